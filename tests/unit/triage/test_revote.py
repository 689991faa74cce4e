"""When another vote is worth its price, and what votes say together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.revote import VOTES_MAX, Revote
from topics.messages import Verdict

VOTE, ESCALATION = 20.0, 2_000.0  # micro-dollars


def vote(label: str = "a", confidence: float | None = 0.6) -> Verdict:
    return Verdict(
        tier="nano",
        label=label,
        severity=None,
        confidence=confidence,
        priority=10,
        fields={"from": label},
        summary=None,
        model="m",
    )


@pytest.mark.parametrize(
    ("confidence", "vote_usd_micros", "escalation_usd_micros", "wanted"),
    [
        (0.6, VOTE, ESCALATION, True),
        (0.7, VOTE, ESCALATION, False),  # it does not climb
        (0.6, VOTE, 40.0, False),  # saves less than it costs
        (0.6, ESCALATION, ESCALATION, False),
        (None, VOTE, ESCALATION, False),
    ],
)
def test_a_vote_has_to_save_more_than_it_costs(confidence, vote_usd_micros, escalation_usd_micros, wanted):
    assert Revote(0.7).wanted([vote(confidence=confidence)], vote_usd_micros, escalation_usd_micros) is wanted


def test_an_error_that_costs_something_makes_unsure_answers_worth_a_vote():
    first = [vote(confidence=0.95)]
    assert Revote(0.7, unsure_below=0.99, error_usd_micros=1_000).wanted(first, VOTE, 0)
    assert not Revote(0.7, unsure_below=0.99, error_usd_micros=100).wanted(first, VOTE, 0)
    assert not Revote(0.7, unsure_below=0.9, error_usd_micros=1_000).wanted(first, VOTE, 0)


def test_a_second_vote_that_says_otherwise_needs_a_third():
    revote = Revote(0.7)
    assert revote.wanted([vote("a"), vote("b")], VOTE, ESCALATION)
    assert not revote.wanted([vote("a"), vote("a")], VOTE, ESCALATION)
    assert not revote.wanted([vote("a"), vote("b"), vote("c")], VOTE, ESCALATION)


def test_two_that_agree_need_no_escalation_and_two_that_do_not_do():
    revote = Revote(0.7)
    agreed = revote.settle([vote("a", 0.6), vote("a", 0.65)])
    assert (agreed.label, agreed.fields) == ("a", {"from": "a"})
    assert 0.7 <= agreed.confidence < 0.9
    assert revote.settle([vote("a", 0.6), vote("b", 0.95)]).confidence <= 0.5


def test_most_votes_win_and_of_equals_the_surest():
    revote = Revote(0.7)
    assert revote.settle([vote("a", 0.9), vote("b", 0.6), vote("b", 0.6)]).label == "b"
    assert revote.settle([vote("a", 0.6), vote("b", 0.9), vote("c", 0.7)]).label == "b"


def test_votes_that_save_no_escalations_are_asked_for_no_more():
    revote = Revote(0.7)
    for _ in range(2_000):
        revote.settle([vote("a", 0.6), vote("b", 0.6), vote("c", 0.6)])
    assert not revote.wanted([vote()], VOTE, ESCALATION)
    for _ in range(200):
        revote.settle([vote("a", 0.6), vote("a", 0.6)])
    assert revote.wanted([vote()], VOTE, ESCALATION)


@given(
    given=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1) | st.none()), min_size=1, max_size=VOTES_MAX),
    confidence_min=st.floats(0, 1),
)
def test_the_verdict_is_one_of_the_votes_with_a_confidence_between_0_and_1(given, confidence_min):
    votes = [vote(label, confidence) for label, confidence in given]
    settled = Revote(confidence_min).settle(votes)
    assert settled.label in {one.label for one in votes}
    assert settled.fields == {"from": settled.label}
    assert settled == votes[0] if len(votes) == 1 else 0 <= settled.confidence <= 1
