"""Several answers about a kind of session before memory speaks for it."""

from collections.abc import Sequence

import pytest

from processors.session_votes import Votes


def voted(votes: Votes, *labels: str) -> Sequence[int]:
    numbers = []
    for label in labels:
        numbers.append(votes.number("a", "kind"))
        votes.told("a", "kind", numbers[-1], label)
    return numbers


def test_votes_have_numbers_of_their_own_until_there_are_enough() -> None:
    votes = Votes()
    assert sorted(voted(votes, "x", "x", "x")) == [0, 1, 2]
    assert votes.number("a", "kind") in (0, 1, 2)
    assert sorted(voted(votes, "x", "x")) != [3, 4]


@pytest.mark.parametrize("labels", [("x", "y", "y", "y", "y"), ("y", "x", "x", "y", "y"), ("y", "y", "x", "x", "y")])
def test_where_they_differ_more_are_asked_and_most_of_them_decide(labels: Sequence[str]) -> None:
    votes = Votes()
    numbers = voted(votes, *labels)
    assert sorted(numbers) == [0, 1, 2, 3, 4]
    assert labels[numbers.index(votes.number("a", "kind"))] == "y"


def test_while_no_answer_has_come_no_more_numbers_are_given_out_than_votes_are_wanted() -> None:
    votes = Votes()
    assert {votes.number("a", "kind") for _ in range(20)} == {0, 1, 2}


def test_tenants_and_kinds_have_votes_of_their_own() -> None:
    votes = Votes()
    voted(votes, "x", "x", "x")
    assert {votes.number("b", "kind") for _ in range(9)} == {votes.number("a", "other") for _ in range(9)} == {0, 1, 2}
