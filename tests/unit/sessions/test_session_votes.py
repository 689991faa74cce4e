"""Several answers about a kind of session before memory speaks for it."""

from collections.abc import Sequence

import pytest

from processors.session_votes import Votes
from tests.unit.triage.build import item
from topics.messages import Verdict


class Asked:
    """Votes, and the memory that they are in."""

    def __init__(self) -> None:
        self.memory: dict[tuple[str, str], Verdict] = {}
        self.votes = Votes(lambda vote: self.memory.get((vote.tenant, vote.memory_text)))

    def number(self, tenant: str = "a", kind: str = "kind") -> int:
        return int(self.votes.of(item(kind, tenant=tenant)).memory_text.removeprefix(kind))

    def answer(self, *labels: str) -> Sequence[int]:
        """Sessions one after the other; memory has what was said last."""
        numbers = []
        for label in labels:
            vote = self.votes.of(item("kind", tenant="a"))
            self.memory["a", vote.memory_text] = verdict(label)
            numbers.append(int(vote.memory_text.removeprefix("kind")))
        return numbers


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
    assert not {3, 4} & set(asked.answer("x", "x"))


@pytest.mark.parametrize("labels", [("x", "y", "y", "y", "y"), ("y", "x", "x", "y", "y"), ("y", "y", "x", "x", "y")])
def test_where_they_differ_more_are_asked_and_most_of_them_decide(labels: Sequence[str]) -> None:
    asked = Asked()
    numbers = asked.answer(*labels)
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert labels[numbers.index(asked.number())] == "y"


def test_a_vote_that_memory_has_otherwise_by_now_is_outvoted() -> None:
    """As where every session is asked about, and what is said about the last one is kept."""
    asked = Asked()
    asked.answer("y", "y", "y")
    asked.memory["a", f"kind{asked.number()}"] = verdict("x")
    asked.answer("y", "y")
    assert asked.memory["a", f"kind{asked.number()}"].label == "y"


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
