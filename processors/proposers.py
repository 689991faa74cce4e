"""Proposers one after the other, as one."""

from collections.abc import Sequence

from processors.items import Item
from processors.proposals import Proposal, Proposer


class Chain:
    """Asks all in order and takes the proposal with the highest score; of equal ones the first.

    Each score is a chance to be right, so they can be compared. A proposal that is certain ends the search: put what is
    cheap first.
    """

    def __init__(self, proposers: Sequence[Proposer]) -> None:
        self._proposers = tuple(proposers)

    def propose(self, item: Item) -> Proposal | None:
        best: Proposal | None = None
        for proposer in self._proposers:
            best = surer(best, proposer.propose(item))
            if best is not None and best.score >= 1.0:
                break
        return best


def surer(one: Proposal | None, other: Proposal | None) -> Proposal | None:
    """That with the higher score; of equal ones the first."""
    if one is None or (other is not None and other.score > one.score):
        return other
    return one
