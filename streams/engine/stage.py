"""The seam between the engine and what a stage does with its records."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from topics.messages import Parked, Rejected
from topics.records import Out, Record

Outs = Sequence[Out]
"""Everything that one input record leads to; written with its offset in one transaction."""

Outputs = Outs | Rejected | Parked

Later = Callable[[], Coroutine[Any, Any, Outputs]]
"""Work that has to wait for something. Not started yet: the engine starts it, and again after a failure."""


@dataclass(frozen=True, slots=True)
class Together:
    """What came of a Gathering: the outputs of each of its records, in the order in which they were taken."""

    each: Sequence[Outs | Rejected]


Joint = Callable[[], Coroutine[Any, Any, Together]]
"""A Later that answers for all records of a Gathering."""


class Keeper(Protocol):
    """Who keeps Gatherings open, one a partition and stage. Both methods may close some; neither raises."""

    def look(self) -> None:
        """Called about twice a second: time alone may end what is open."""
        ...

    def relieve(self) -> None:
        """The partition takes no more before something that waits is done: what is open longest has to end."""
        ...


class Gathering:
    """Records of one partition that get their results together, once the stage says so, and in one transaction.

    `take` answers each of them with the same object. Nothing of it outlives the assignment: what is not published is
    taken again, by whoever has the partition then. Only where no order is kept, and never of what was parked.
    """

    __slots__ = ("_count", "_on_ready", "joint", "keeper", "records")

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.records: list[Record] = []  # that the engine has placed
        self.joint: Together | Joint | None = None  # None while it is open
        self._count = 0
        self._on_ready: Callable[[Gathering], None] | None = None

    def close(self, joint: Together | Joint, records: int) -> None:
        """For the stage, once: nothing joins any more. `records` were answered with it; some of them may be in the
        `take` that is under way."""
        assert self.joint is None, "it is closed once"
        self.joint, self._count = joint, records
        self._look()

    def join(self, record: Record, on_ready: "Callable[[Gathering], None]") -> None:
        """For the engine: `on_ready` is called once it is closed and all of its records have joined."""
        self.records.append(record)
        self._on_ready = on_ready
        self._look()

    def _look(self) -> None:
        if self.joint is not None and len(self.records) == self._count and self._on_ready is not None:
            self._on_ready(self)


class Forgotten(Exception):
    """What a Later was waiting for was dropped by `forget`. If the partition comes back, its record's new result takes
    its place."""


class Stage(Protocol):
    """What a stage does. The engine calls every method on its event loop, for one partition at a time in offset order.

    The engine promises: every record delivered is taken exactly once an assignment; its outputs and its offset
    become visible together or not at all; `Later` is never running twice for one record.
    """

    def order(self, topic: str) -> Literal["none", "key"]:
        """Asked once a partition. `key`: work of one key runs one after the other, in offset order; others go on."""
        ...

    def lookback(self, topic: str) -> int:
        """Records before the committed offset that `recall` sees when a partition is assigned; 0 for none."""
        ...

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later | Gathering]:
        """One result a record, in the same order: ready, or to be waited for. Does not block and does not raise.

        The records are of one topic: also those that were parked come as they were when they were read first. Only
        records that keep no order and that nothing is remembered of may be answered with Parked.

        Where no order is kept, all that is ready goes into one transaction: an output may stand for several records
        that are ready with it.

        A `Later` may raise BudgetSpent (the record waits, others go on), another AccountError (the engine pauses
        intake and tries again), ProviderUnavailable (tries again after a growing delay, within
        PROVIDER_OUTAGE_SECONDS_MAX) and AnswerError or any Exception (tries again ATTEMPTS_MAX times in all, then
        dead-letters). It raises Forgotten where it cannot go on after `forget`. Cancelled, it leaves nothing behind.
        """
        ...

    def recall(self, records: Sequence[Record]) -> None:
        """Records that were decided before: state may be rebuilt from them, nothing is decided."""
        ...

    def forget(self, topic: str, partition: int) -> None:
        """The partition is another worker's now: drop what was kept for it."""
        ...
