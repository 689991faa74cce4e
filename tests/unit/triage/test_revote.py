"""When another vote is worth its price, and what votes say together."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.proposals import Proposal
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


def opinion(label: str, score: float) -> Proposal:
    return Proposal(vote(label, score), score)


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
    revote = Revote(0.7, random.Random(1))
    assert revote.wanted([vote(confidence=confidence)], vote_usd_micros, escalation_usd_micros) is wanted


def wanted(revote: Revote, confidences: Iterable[float], share: float = 0.3) -> list[bool]:
    """Which of these answers get a second vote, of a stream with two labels that are as common."""
    votes = [vote("ab"[number % 2], confidence) for number, confidence in enumerate(confidences)]
    return [revote.wanted([one], VOTE, 0, share=share) for one in votes]


def test_the_least_sure_share_gets_a_second_vote():
    revote = Revote(0.0, random.Random(1))
    sure = [number / 1_000 for number in range(500, 1_000)]
    random.Random(2).shuffle(sure)
    wanted(revote, sure * 4)
    voted = [confidence for confidence, again in zip(sure, wanted(revote, sure), strict=True) if again]
    assert max(voted) < 0.66
    assert {confidence for confidence in sure if confidence < 0.64} <= set(voted)


def test_of_equally_sure_answers_as_many_as_the_share_says():
    voted = wanted(Revote(0.0, random.Random(1)), [0.99] * 4_000)
    assert 500 < sum(voted[2_000:]) < 700


def test_what_was_long_ago_says_little_of_what_is_least_sure():
    revote = Revote(0.0, random.Random(1))
    wanted(revote, [0.4] * 5_000)
    wanted(revote, [0.9] * 20_000)
    assert sum(wanted(revote, [0.9] * 1_000)) > 200


def test_what_is_not_doubtful_at_all_has_one_vote():
    revote = Revote(0.0, random.Random(1))
    assert sum(wanted(revote, [0.999] * 2_000, share=1.0)) < 50, "but for the first, of which nothing is known"
    common = [revote.wanted([vote("a", 0.99)], VOTE, 0, share=1.0) for _ in range(4_000)]
    assert not any(common[2_000:])


def test_of_equally_sure_answers_those_with_a_rare_label():
    revote, draw = Revote(0.0, random.Random(1)), random.Random(2)
    came = ["rare" if draw.random() < 0.1 else "common" for _ in range(3_000)]
    voted = [label for label in came if revote.wanted([vote(label, 0.9)], VOTE, 0, share=0.12)]
    assert voted.count("rare") > 0.9 * came.count("rare")
    assert len(voted) < 0.14 * len(came)


def test_what_is_common_is_doubtful_where_it_is_unsure():
    revote = Revote(0.0, random.Random(1))
    for _ in range(100):
        for label, confidence in [("common", 0.99)] * 9 + [("rare", 0.99)]:
            revote.wanted([vote(label, confidence)], VOTE, 0, share=0.15)
    assert revote.wanted([vote("common", 0.55)], VOTE, 0, share=0.15)


def test_without_a_share_nothing_is_asked_twice_but_what_climbs():
    revote = Revote(0.7, random.Random(1))
    assert not any(revote.wanted([vote(confidence=0.8)], VOTE, ESCALATION) for _ in range(100))


def test_a_third_vote_is_for_what_would_climb():
    revote = Revote(0.7, random.Random(1))
    assert revote.wanted([vote("a", 0.8), vote("b", 0.75)], VOTE, ESCALATION, share=1.0)
    assert not revote.wanted([vote("a", 0.8), vote("b", 0.99)], VOTE, ESCALATION, share=1.0), "b is sure enough"
    assert not revote.wanted([vote("a", 0.8), vote("b", 0.75)], VOTE, 0.0, share=1.0)
    assert not revote.wanted([vote("a"), vote("a")], VOTE, ESCALATION, share=1.0)
    assert not revote.wanted([vote("a"), vote("b"), vote("c")], VOTE, ESCALATION, share=1.0)


def test_two_that_agree_are_as_sure_as_in_the_mean_and_two_that_do_not_less_than_the_surer():
    revote = Revote(0.7, random.Random(1))
    agreed = revote.settle([vote("a", 0.6), vote("a", 0.8)])
    assert (agreed.label, agreed.fields) == ("a", {"from": "a"})
    assert 0.6 < agreed.confidence < 0.8
    differing = revote.settle([vote("a", 0.6), vote("b", 0.95)])
    assert differing.label == "b"
    assert 0.9 < differing.confidence < 0.95
    assert revote.settle([vote("a", 0.8), vote("b", 0.82)]).confidence < 0.7


def test_what_is_behind_a_label_decides():
    revote = Revote(0.7, random.Random(1))
    assert revote.settle([vote("a", 0.7), vote("b", 0.6), vote("b", 0.7)]).label == "b"
    assert revote.settle([vote("a", 0.99), vote("b", 0.6), vote("b", 0.6)]).label == "a"
    assert revote.settle([vote("a", 0.6), vote("b", 0.9), vote("c", 0.7)]).label == "b"


def test_of_equally_sure_answers_those_that_a_student_would_not_give():
    revote, draw = Revote(0.0, random.Random(1)), random.Random(2)
    differ, voted = 0, []
    for _ in range(3_000):
        label = draw.choice("ab")
        said = label if draw.random() < 0.9 else "ab".replace(label, "")
        differ += said != label
        if revote.wanted([vote(label, 0.9)], VOTE, 0, share=0.12, opinion=opinion(said, 0.9)):
            voted.append(said != label)
    assert sum(voted) > 0.9 * differ
    assert len(voted) < 0.14 * 3_000


def test_a_student_decides_between_votes_and_never_against_them():
    revote = Revote(0.7, random.Random(1))
    assert revote.settle([vote("a", 0.8), vote("b", 0.82)], opinion("a", 0.7)).label == "a"
    assert revote.settle([vote("a", 0.8), vote("b", 0.99)], opinion("a", 0.7)).label == "b"
    assert revote.settle([vote("a", 0.8), vote("b", 0.82)], opinion("c", 0.99)).label == "b"
    assert revote.settle([vote("a", 0.6), vote("a", 0.6)], opinion("b", 0.99)).label == "a"
    assert revote.settle([vote("a", 0.6)], opinion("b", 0.99)) == vote("a", 0.6)


def test_votes_that_save_no_escalations_are_asked_for_no_more():
    revote = Revote(0.7, random.Random(1))
    for _ in range(2_000):
        revote.settle([vote("a", 0.6), vote("b", 0.6), vote("c", 0.6)])
    assert not revote.wanted([vote()], VOTE, ESCALATION)
    for _ in range(200):
        revote.settle([vote("a", 0.6), vote("a", 0.9)])
    assert revote.wanted([vote()], VOTE, ESCALATION)


@given(
    given=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1) | st.none()), min_size=1, max_size=VOTES_MAX),
    confidence_min=st.floats(0, 1),
    said=st.builds(opinion, st.sampled_from("abcd"), st.floats(0, 1)) | st.none(),
)
def test_the_verdict_is_one_of_the_votes_with_a_confidence_between_0_and_1(given, confidence_min, said):
    votes = [vote(label, confidence) for label, confidence in given]
    settled = Revote(confidence_min, random.Random(1)).settle(votes, said)
    assert settled.label in {one.label for one in votes}
    assert settled.fields == {"from": settled.label}
    assert settled == votes[0] if len(votes) == 1 else 0 <= settled.confidence <= 1
