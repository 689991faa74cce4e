"""Several answers about a kind of session before memory speaks for it."""

from collections.abc import Sequence

import pytest

from processors.session_votes import Vote, Votes
from tests.unit.triage.build import item


def number_of(vote: Vote) -> int:
    return int(vote.item.memory_text.removeprefix("kind").removeprefix("other"))


def number(votes: Votes, tenant: str = "a", kind: str = "kind") -> int:
    return number_of(votes.of(item(kind, tenant=tenant)))


def voted(votes: Votes, *labels: str) -> Sequence[int]:
    numbers = []
    for label in labels:
        vote = votes.of(item("kind", tenant="a"))
        vote.told(label)
        numbers.append(number_of(vote))
    return numbers


def test_votes_have_numbers_of_their_own_until_there_are_enough() -> None:
    votes = Votes()
    assert sorted(voted(votes, "x", "x", "x")) == [0, 1, 2]
    assert number(votes) in (0, 1, 2)
    assert sorted(voted(votes, "x", "x")) != [3, 4]


@pytest.mark.parametrize("labels", [("x", "y", "y", "y", "y"), ("y", "x", "x", "y", "y"), ("y", "y", "x", "x", "y")])
def test_where_they_differ_more_are_asked_and_most_of_them_decide(labels: Sequence[str]) -> None:
    votes = Votes()
    numbers = voted(votes, *labels)
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert labels[numbers.index(number(votes))] == "y"


def test_while_no_answer_has_come_no_more_numbers_are_given_out_than_votes_are_wanted() -> None:
    votes = Votes()
    assert {number(votes) for _ in range(20)} == {0, 1, 2}


def test_tenants_and_kinds_have_votes_of_their_own() -> None:
    votes = Votes()
    voted(votes, "x", "x", "x")
    assert {number(votes, tenant="b") for _ in range(9)} == {number(votes, kind="other") for _ in range(9)} == {0, 1, 2}
