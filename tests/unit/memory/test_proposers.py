"""Proposers one after the other."""

from processors.items import Item
from processors.proposals import Proposal
from processors.proposers import Chain
from tests.unit.memory.build import line, verdict


class Says:
    def __init__(self, label: str | None, score: float = 0.5) -> None:
        self.proposal = None if label is None else Proposal(verdict(label), score)
        self.asked = 0

    def propose(self, item: Item) -> Proposal | None:
        self.asked += 1
        return self.proposal


def label(*proposers: Says) -> str | None:
    proposal = Chain(proposers).propose(line("a"))
    return proposal and proposal.verdict.label


def test_the_highest_score_wins_and_of_equal_ones_the_first() -> None:
    assert label() is None
    assert label(Says(None), Says(None)) is None
    assert label(Says("alert", 0.4), Says(None), Says("routine", 0.6), Says("noise", 0.6)) == "routine"


def test_what_is_certain_ends_the_search() -> None:
    last = Says("alert", 1.0)
    assert label(Says("noise", 0.2), Says("routine", 1.0), last) == "routine"
    assert last.asked == 0
