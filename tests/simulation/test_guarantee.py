"""The error rates of the quality guarantee, on seeded streams: at the boundary, under adversaries, with drift.

The fast ones are numpy on the formulas (bench/guarantee.py, whose bets are compared with the state's own here); those
named "stream" run through StreamQuality, audit by audit, with a coin for every message.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import numpy as np
import pytest

from bench import guarantee
from bench.guarantee import DELTA, EPSILON, KINDS, Kind
from processors.policy import Quality
from processors.quality.betting import Evidence, version_delta
from processors.quality.state import StreamQuality
from tests.unit.quality.audits import DAY_MS, START_MS, below, judged, shadow

RUNS = 600


def at_most(outcomes: "np.typing.NDArray[np.bool_]", share: float) -> None:
    """A share of `share` passes 99.9% of the time; one of twice as much hardly ever."""
    allowed = share * len(outcomes)
    assert outcomes.sum() <= allowed + 3.1 * (allowed + 1) ** 0.5, f"{outcomes.sum()} of {len(outcomes)}"


# --- the formulas ----------------------------------------------------------------------------------


def test_the_simulations_bets_are_those_of_the_product() -> None:
    rng = np.random.default_rng(1)
    wrong = rng.random(300) < 0.03
    evidence = Evidence()
    for each in wrong:
        evidence.add(1.0, bool(each))
    assert guarantee._paths(wrong[None, :])[0][-1] == pytest.approx(evidence.log_e(EPSILON))


@pytest.mark.parametrize("kind", KINDS)
def test_the_running_claim_is_false_in_at_most_delta_of_runs(kind: Kind) -> None:
    false = guarantee.running_false(kind, RUNS, seed=1, messages=4_000, least=0.25)
    print(f"running, {kind}: {false.sum()} of {RUNS} false")
    assert false.mean() <= DELTA


@pytest.mark.parametrize("number", [1, 5, 20])
def test_a_version_at_the_boundary_is_certified_in_at_most_its_part_of_delta(number: int) -> None:
    allowed = version_delta(DELTA, number)
    false = guarantee.ever(RUNS, allowed, seed=number, audits=5_000)
    print(f"admission, version {number}: {false.sum()} of {RUNS} false, {allowed:.2%} allowed")
    at_most(false, allowed)


def test_twenty_versions_share_delta_and_at_all_of_delta_each_they_are_wrong() -> None:
    shared = guarantee.any_of(20, 200, seed=1, spend=True, audits=1_500)
    greedy = guarantee.any_of(20, 200, seed=1, spend=False, audits=1_500)
    print(f"any of 20 versions: {shared.sum()} of 200 false; each at full delta: {greedy.sum()}")
    assert shared.mean() <= DELTA
    assert greedy.mean() > 0.4


def test_consecutive_audits_of_clustered_lines_certify_falsely_and_spread_ones_do_not() -> None:
    assert guarantee.clustered_false(200, 1, hours_min=0).mean() > 0.25
    assert guarantee.clustered_false(60, 1, hours_min=24).mean() <= DELTA


@pytest.mark.parametrize(("number", "median"), [(1, 355), (5, 777), (20, 1_159)])
def test_a_certificate_takes_as_many_audits_as_was_computed_elsewhere(number: int, median: int) -> None:
    """Medians move in steps of one disagreement, which are about 100 audits."""
    stopped = guarantee.audits_until(2_000, version_delta(DELTA, number), 0.005, seed=number, audits=4_000)
    assert abs(float(np.median(stopped)) - median) <= 104


# --- streams ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """Of one run."""

    false_claim: bool  # at some message the claim held, and ε or more of what was published so far was wrong
    claimed: bool  # it held at some message
    covered: bool  # the interval at the end has the realised disagreement in it
    wrongly_certified: bool  # while the version's answers were wrong in ε or more


ErrorRate = Callable[[int], float]
"""Of the version's answers, by message."""

QUALITY = Quality(reference="flagship", max_disagreement=EPSILON, confidence=1 - DELTA)
MESSAGES = 16_000
EVERY_MS = 5 * DAY_MS // MESSAGES
LEAST = 0.1


def stream(seed: int, error_rate: ErrorRate, *, messages: int = MESSAGES) -> Seen:
    """One version, tried in shadow; it answers when it is certified and from its threshold on, and goes when it is
    revoked. Scores say nothing about errors, so that every level is at the same rate."""
    rng = random.Random(seed)
    judge = StreamQuality("logs", QUALITY, "p1", audit_min=LEAST)
    judge.freeze("free", "v1", START_MS, [n / 200 for n in range(200)])
    standing = judge.standing(START_MS)
    answered = wrong_answers = 0
    false_claim = claimed = wrongly_certified = holds = False
    at_ms = START_MS
    for n in range(messages):
        at_ms += EVERY_MS
        wrong = rng.random() < error_rate(n)
        score = rng.random()
        audited = True
        if standing.free_version is not None and score >= standing.free_score_min:
            audited = rng.random() < standing.audit_probability
            answered += 1
            wrong_answers += wrong
            audit = (
                below(at_ms, wrong, probability=standing.audit_probability, shadows=[shadow(wrong, score)])
                if audited
                else None
            )
        else:
            audit = judged(at_ms, shadow(wrong, score))
        if audit is not None:
            before = standing.free_version
            judge.fold(audit)
            standing = judge.standing(at_ms)
            if audit.below:
                holds = judge.holds
            if before is None and standing.free_version is not None and error_rate(n) >= EPSILON:
                wrongly_certified = True
        claimed |= holds
        false_claim |= holds and wrong_answers >= EPSILON * answered
    start = judge.report(at_ms).start
    realised = wrong_answers / answered if answered else 0.0
    covered = start is None or start.share.low <= realised <= start.share.high
    return Seen(false_claim, claimed, covered, wrongly_certified)


def steady(seed: int) -> ErrorRate:
    rate = random.Random(-seed).uniform(0.001, 0.015)
    return lambda _: rate


def drifting(seed: int) -> ErrorRate:
    """At some message a good version becomes a bad one: by a little, or by a lot."""
    rng = random.Random(-seed)
    before, after = rng.uniform(0.001, 0.01), exp(rng.uniform(log(0.025), log(0.4)))
    shift_at = rng.randrange(MESSAGES // 4, MESSAGES)
    return lambda n: before if n < shift_at else after


def boundary(seed: int) -> ErrorRate:
    return lambda _: EPSILON


@pytest.mark.parametrize("kind", [steady, drifting])
def test_a_stream_in_short(kind: Callable[[int], ErrorRate]) -> None:
    assert not any(stream(seed, kind(seed)).false_claim for seed in range(4))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [steady, drifting])
def test_a_streams_claim_is_false_in_at_most_five_of_a_hundred_runs(kind: Callable[[int], ErrorRate]) -> None:
    runs = [stream(seed, kind(seed)) for seed in range(1_000, 1_100)]
    false = sum(run.false_claim for run in runs)
    claimed = sum(run.claimed for run in runs)
    covered = sum(run.covered for run in runs)
    print(f"{kind.__name__}: false {false}, claimed {claimed}, interval covers {covered} of 100")
    assert false <= 5
    assert covered >= 95
    assert claimed >= 30, "else the test says nothing"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stream_at_the_boundary_is_certified_in_at_most_half_of_delta() -> None:
    runs = [stream(seed, boundary(seed), messages=8_000) for seed in range(200)]
    wrongly = sum(run.wrongly_certified for run in runs)
    print(f"boundary: wrongly certified {wrongly}, false claims {sum(run.false_claim for run in runs)} of 200")
    assert wrongly <= 200 * DELTA / 2
    assert sum(run.false_claim for run in runs) <= 200 * DELTA
