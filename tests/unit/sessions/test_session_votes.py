"""Several answers about a kind of session before memory speaks for it."""

import random
from collections.abc import Sequence

import pytest

from processors.items import Item
from processors.session_votes import Votes
from tests.unit.triage.build import item
from topics.limits import SESSION_VOTES_KEPT, SESSION_VOTES_MAX
from topics.messages import Verdict


class Asked:
    """Votes, and the memory that they are in."""

    def __init__(self) -> None:
        self.memory: dict[tuple[str, str], Verdict] = {}
        self.votes = Votes(lambda tenant, text: self.memory.get((tenant, text)), random.Random(1))

    def number(self, tenant: str = "a", kind: str = "kind") -> int:
        return _number(self.votes.of(item(kind, tenant=tenant)))

    def label(self) -> str | None:
        """What memory says of a session; None where another vote is wanted."""
        known = self.memory.get(("a", self.votes.of(item("kind", tenant="a")).memory_text))
        return None if known is None else known.label

    def answer(self, *labels: str) -> Sequence[int]:
        """A model is asked about sessions one after the other."""
        return [_number(self.hear(label)) for label in labels]

    def hear(self, label: str, kind: str = "kind") -> Item:
        vote = self.votes.heard(self.votes.of(item(kind, tenant="a")))
        self.memory["a", vote.memory_text] = verdict(label)
        return vote


def _number(vote: Item) -> int:
    return ord(vote.memory_text.removeprefix("kind").removeprefix("other")) - ord("0")


def verdict(label: str) -> Verdict:
    return Verdict(
        tier="memory",
        label=label,
        severity=None,
        confidence=0.9,
        priority=1,
        fields={},
        summary=None,
        model=None,
    )


def test_votes_have_numbers_of_their_own_until_there_are_enough() -> None:
    asked = Asked()
    assert sorted(asked.answer("x", "x", "x")) == [0, 1, 2]
    assert asked.number() in (0, 1, 2)


@pytest.mark.parametrize("labels", [("x", "y", "y", "y", "y"), ("y", "x", "x", "y", "y"), ("y", "y", "x", "x", "y")])
def test_where_they_differ_more_are_asked_and_most_of_them_decide(labels: Sequence[str]) -> None:
    asked = Asked()
    numbers = asked.answer(*labels)
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert labels[numbers.index(asked.number())] == "y"


def test_what_is_said_of_a_kind_that_memory_knows_is_a_vote_more() -> None:
    asked = Asked()
    assert sorted(asked.answer("y", "y", "y", "y")) == [0, 1, 2, 3]
    assert asked.answer("x", "y", "x") == [4, 5, 6]
    assert asked.label() == "y"
    asked.answer("x", "x", "x", "x")
    assert asked.label() == "x"


@pytest.mark.parametrize("turn", range(5))
def test_a_slip_about_one_session_in_eight_never_changes_what_memory_says(turn: int) -> None:
    """Where every session is judged, as on trial, memory says what most of many answers were, not the last few."""
    asked = Asked()
    asked.answer(*["y"] * SESSION_VOTES_MAX)
    said = set()
    for judged in range(500):
        asked.answer("x" if judged % 8 == turn else "y")
        said.add(asked.label())
    assert said == {"y"}


@pytest.mark.parametrize("others", [0, 2, 4])
def test_a_kind_that_has_become_another_is_believed_soon(others: int) -> None:
    """However many other kinds are heard of in between."""
    asked = Asked()
    asked.answer(*["y"] * 100)
    assert len(asked.memory) == SESSION_VOTES_KEPT
    for _ in range(3 * SESSION_VOTES_KEPT):
        asked.answer("x")
        for number in range(others):
            asked.hear("y", kind=f"other{number}")
    assert asked.label() == "x"


def test_two_answers_on_their_way_as_the_same_vote_are_two() -> None:
    asked = Asked()
    vote = asked.votes.of(item("kind", tenant="a"))
    for label in ("x", "y"):
        asked.memory["a", asked.votes.heard(vote).memory_text] = verdict(label)
    assert sorted(verdict.label for verdict in asked.memory.values()) == ["x", "y"]


def test_what_was_forgotten_is_asked_about_again() -> None:
    asked = Asked()
    asked.answer("y", "y", "y")
    del asked.memory["a", "kind1"]
    assert asked.number() == 1


def test_while_no_answer_has_come_no_more_numbers_are_given_out_than_votes_are_wanted() -> None:
    asked = Asked()
    assert {asked.number() for _ in range(20)} == {0, 1, 2}


def test_tenants_and_kinds_have_votes_of_their_own() -> None:
    asked = Asked()
    asked.answer("x", "x", "x")
    assert {asked.number(tenant="b") for _ in range(9)} == {asked.number(kind="other") for _ in range(9)} == {0, 1, 2}
