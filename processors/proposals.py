"""What a free means would answer about a message: memory or a student. Whether it may is the standing's to say."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from processors.items import Item
from topics.messages import Verdict


class Proposal(NamedTuple):
    """An answer that costs nothing."""

    verdict: Verdict  # tier "memory" or "student"
    score: float  # 0 to 1: the estimated chance that the reference would say the same; thresholds are on this


class Proposer(Protocol):
    """Bounded, synchronous, without I/O: on the event loop for every message that no rule decides."""

    def propose(self, item: Item) -> Proposal | None:
        """None where it has nothing to say."""
        ...


@runtime_checkable
class BatchProposer(Protocol):
    """A Proposer that does many at once for a fraction of the price."""

    def propose_all(self, items: Sequence[Item]) -> Sequence[Proposal | None]:
        """One each, in order; the same as `propose` of each."""
        ...
