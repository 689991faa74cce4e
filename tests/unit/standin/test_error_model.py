"""The stand-in's errors are as its profile says: rates, correlation, confusions, confidence."""

import math
from dataclasses import replace
from functools import cache, partial
from statistics import NormalDist, correlation

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.standin.error_model import ErrorModel, Judgement
from local.standin.error_profile import load_profile

PROFILE = load_profile()
ITEMS = tuple(f"text {number}" for number in range(20_000))
FEW = ITEMS[:4_000]
LABELS = ("alert", "routine", "security", "warning")


@cache
def judged(tier: str, *, call: int = 0, error_factor: float = 1.0, redrawn: float = 0.0) -> list[Judgement]:
    """What a tier says about all items, alone in their calls."""
    judge = partial(ErrorModel(PROFILE, seed=1).judge, tier=tier, call=call, truth="alert", labels=LABELS)
    return [judge(fingerprint=item, error_factor=error_factor, redrawn=redrawn) for item in ITEMS]


def errors(judgements: list[Judgement]) -> list[int]:
    return [0 if judgement.right else 1 for judgement in judgements]


def joint_rate(rate_a: float, rate_b: float, rho: float) -> float:
    """P(both wrong) of a Gaussian copula, by integrating over the shared part."""
    normal = NormalDist()
    a, b = normal.inv_cdf(1 - rate_a), normal.inv_cdf(1 - rate_b)
    shared = np.linspace(-8, 8, 20_001)
    density = np.exp(-(shared**2) / 2) / math.sqrt(2 * math.pi)

    def beyond(bound: float) -> np.ndarray:
        z = (bound - math.sqrt(rho) * shared) / math.sqrt(1 - rho)
        return np.array([normal.cdf(-value) for value in z])

    return float(np.trapezoid(density * beyond(a) * beyond(b), shared))


@pytest.mark.parametrize("tier", ["nano", "mini", "flagship"])
def test_each_tier_errs_at_its_rate(tier: str) -> None:
    rate = PROFILE.tiers[tier]
    measured = sum(errors(judged(tier))) / len(ITEMS)
    assert measured == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / len(ITEMS)))


def test_two_tiers_err_on_the_same_items_as_the_copula_says() -> None:
    both = [a and b for a, b in zip(errors(judged("nano")), errors(judged("flagship")), strict=True)]
    expected = joint_rate(PROFILE.tiers["nano"], PROFILE.tiers["flagship"], PROFILE.shared)
    assert expected > 5 * PROFILE.tiers["nano"] * PROFILE.tiers["flagship"]  # far from independent
    assert sum(both) / len(ITEMS) == pytest.approx(expected, rel=0.2)


def test_a_tier_repeats_its_own_mistakes_when_asked_again() -> None:
    both = [a and b for a, b in zip(errors(judged("nano")), errors(judged("nano", call=1)), strict=True)]
    rho = PROFILE.shared + (1 - PROFILE.shared) * PROFILE.persistent
    expected = joint_rate(PROFILE.tiers["nano"], PROFILE.tiers["nano"], rho)
    assert sum(both) / len(ITEMS) == pytest.approx(expected, rel=0.15)


def test_the_wrong_label_is_the_same_across_tiers_as_often_as_said() -> None:
    model = ErrorModel(replace(PROFILE, tiers={"nano": 1.0, "flagship": 1.0}, concentration=50.0), seed=1)
    labels = tuple(f"l{number}" for number in range(60))  # so many that two draws seldom meet by chance
    wrong = [
        [model.judge(fingerprint=item, tier=tier, call=0, truth="l0", labels=labels) for tier in ("nano", "flagship")]
        for item in FEW
    ]
    pairs = [(a.label, b.label) for a, b in wrong if not a.right and not b.right]
    same = sum(a == b for a, b in pairs) / len(pairs)
    assert same == pytest.approx(PROFILE.same_across_tiers, abs=0.03)


def test_confidence_has_the_auroc_that_the_profile_says() -> None:
    answers = judged("nano")
    right = np.array([answer.confidence for answer in answers if answer.right])
    wrong = np.array([answer.confidence for answer in answers if not answer.right])
    ranks = np.searchsorted(np.sort(right), wrong)  # right answers that are less confident than the wrong one
    assert 1 - ranks.mean() / len(right) == pytest.approx(PROFILE.auroc, abs=0.02)


def test_confidence_is_overconfident_and_honest_once_divided_by_the_temperature() -> None:
    answers = judged("nano")
    claimed = np.array([answer.confidence for answer in answers])
    right = np.array([answer.right for answer in answers])
    unsure = (claimed > 0.9) & (claimed < 0.97)
    odds = np.log(claimed / (1 - claimed + 1e-9)) / PROFILE.temperature
    honest = 1 / (1 + np.exp(-odds))
    assert right[unsure].mean() < claimed[unsure].mean() - 0.05
    assert right[unsure].mean() == pytest.approx(honest[unsure].mean(), abs=0.04)


def test_batches_err_more_towards_their_end_and_with_mixed_sources() -> None:
    model = ErrorModel(PROFILE, 1)
    assert model.batch_factor(0, 1, mixed=False) == 1
    assert model.batch_factor(0, 16, mixed=False) == pytest.approx(1.2)
    assert model.batch_factor(15, 16, mixed=False) == pytest.approx(1.2 * 1.3)
    assert model.batch_factor(0, 16, mixed=True) == pytest.approx(2.4)
    doubled = sum(errors(judged("nano", error_factor=2.0))) / len(ITEMS)
    assert doubled == pytest.approx(2 * PROFILE.tiers["nano"], rel=0.15)


def test_accidents_of_batches_come_at_their_rates_and_never_alone() -> None:
    model = ErrorModel(PROFILE, 1)
    batched = [
        model.judge(fingerprint=item, tier="nano", call=0, truth="alert", labels=LABELS, batched=True) for item in ITEMS
    ]
    assert sum(answer.copies_neighbour for answer in batched) / len(ITEMS) == pytest.approx(0.005, abs=0.0015)
    broken = [answer.broken for answer in batched if answer.broken is not None]
    assert len(broken) / len(ITEMS) == pytest.approx(0.001, abs=0.0007)
    assert set(broken) == {"missing", "extra", "swapped"}
    assert not any(answer.copies_neighbour or answer.broken for answer in judged("nano"))


def test_drift_redraws_a_share_of_the_mistakes() -> None:
    before, after = errors(judged("nano")), errors(judged("nano", redrawn=1.0))
    assert sum(after) / len(ITEMS) == pytest.approx(PROFILE.tiers["nano"], rel=0.15)
    assert correlation(before, after) < 0.8


@given(st.text(max_size=50), st.integers(0, 5), st.integers(0, 9), st.sampled_from(["nano", "mini", "flagship"]))
def test_an_answer_depends_on_seed_text_tier_and_call_only(text: str, call: int, seed: int, tier: str) -> None:
    def judge() -> Judgement:
        return ErrorModel(PROFILE, seed).judge(
            fingerprint=text, tier=tier, call=call, truth="alert", labels=LABELS, batched=True
        )

    assert judge() == judge()
    assert judge().label in LABELS
    assert (judge().label == "alert") == judge().right
    assert 0 <= judge().confidence <= 1


def test_rows_of_confusions_can_be_given() -> None:
    model = ErrorModel(replace(PROFILE, tiers={"nano": 1.0}, rows={"alert": {"warning": 1.0}}), seed=1)
    wrong = [model.judge(fingerprint=item, tier="nano", call=0, truth="alert", labels=LABELS) for item in FEW[:500]]
    assert {answer.label for answer in wrong if not answer.right} == {"warning"}


def test_with_one_label_nothing_can_be_wrong() -> None:
    model = ErrorModel(replace(PROFILE, tiers={"nano": 1.0}), seed=1)
    assert model.judge(fingerprint="x", tier="nano", call=0, truth="only", labels=("only",)).right
