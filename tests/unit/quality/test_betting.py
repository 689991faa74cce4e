"""The bets are those of the formula, nothing can be won at the boundary, and intervals are what the bets leave."""

import random
from math import exp, inf, isfinite, log, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.quality.betting import FRACTIONS, Evidence, finite_exp, version_delta
from topics.limits import QUALITY_WEIGHTS_MAX

shares = st.floats(0.001, 0.45)
weights = st.sampled_from([1.0, 0.5, 0.1, 0.02])
audits = st.lists(st.tuples(weights, st.booleans()), max_size=60)


def gathered(seen: list[tuple[float, bool]]) -> Evidence:
    evidence = Evidence()
    for weight, disagrees in seen:
        evidence.add(weight, disagrees)
    return evidence


@given(audits, shares)
def test_e_is_the_mean_of_the_products_of_the_formula(seen: list[tuple[float, bool]], epsilon: float) -> None:
    stakes = []
    for part in FRACTIONS:
        p = epsilon * part
        edge = (epsilon - p) / (epsilon * (1 - epsilon))
        stakes.append(prod(1 + weight * edge * (epsilon - disagrees) for weight, disagrees in seen))
    assert exp(gathered(seen).log_e(epsilon)) == pytest.approx(sum(stakes) / len(stakes), rel=1e-9)


@given(audits, shares, weights, st.floats(0, 1))
def test_no_audit_is_expected_to_raise_e_where_the_disagreement_is_epsilon_or_more(
    seen: list[tuple[float, bool]], epsilon: float, weight: float, beyond: float
) -> None:
    """At epsilon itself E is a martingale, so it is neither expected to fall."""
    before = exp(gathered(seen).log_e(epsilon))
    if_wrong = exp(gathered([*seen, (weight, True)]).log_e(epsilon))
    if_right = exp(gathered([*seen, (weight, False)]).log_e(epsilon))
    assert epsilon * if_wrong + (1 - epsilon) * if_right == pytest.approx(before, rel=1e-9)
    disagreement = epsilon + beyond * (1 - epsilon)
    assert disagreement * if_wrong + (1 - disagreement) * if_right <= before * (1 + 1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=200), shares)
def test_e_is_at_most_one_where_every_message_was_audited_and_too_many_were_wrong(
    wrong: list[bool], epsilon: float
) -> None:
    """The step of the proof that needs no chance: whatever the order."""
    e = exp(gathered([(1.0, each) for each in wrong]).log_e(epsilon))
    if sum(wrong) >= epsilon * len(wrong):
        assert e <= 1 + 1e-9
    if not any(wrong):
        assert e > 1


@given(audits, shares, st.randoms())
def test_the_order_of_audits_says_nothing(seen: list[tuple[float, bool]], epsilon: float, rng: random.Random) -> None:
    shuffled = rng.sample(seen, len(seen))
    assert gathered(seen).log_e(epsilon) == pytest.approx(gathered(shuffled).log_e(epsilon), abs=1e-9)


@given(audits, shares)
def test_what_is_kept_is_all_of_it(seen: list[tuple[float, bool]], epsilon: float) -> None:
    evidence = gathered(seen)
    again = Evidence.load(evidence.dump())
    assert again.dump() == evidence.dump()
    assert again.log_e(epsilon) == pytest.approx(evidence.log_e(epsilon), abs=1e-12)
    assert (again.audits, again.disagreements) == (len(seen), sum(disagrees for _, disagrees in seen))


@given(st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=30, max_size=80), shares)
def test_too_many_weights_make_e_smaller_never_larger(seen: list[tuple[float, bool]], epsilon: float) -> None:
    exact = []
    for part in FRACTIONS:
        edge = (1 - part) / (1 - epsilon)
        exact.append(prod(1 + weight * edge * (epsilon - disagrees) for weight, disagrees in seen))
    evidence = gathered(seen)
    assert exp(evidence.log_e(epsilon)) <= sum(exact) / len(exact) * (1 + 1e-9)
    assert len(evidence.dump()) <= QUALITY_WEIGHTS_MAX + 2
    assert evidence.audits == len(seen)


def test_millions_of_audits_are_no_number_too_large() -> None:
    evidence = Evidence.load([[1.0, 5_000_000, 5_000]])
    assert evidence.log_e(0.02) > 10_000
    assert isfinite(finite_exp(evidence.log_e(0.02)))
    assert Evidence.load([[1.0, 0, 5_000_000]]).log_e(0.02) < -1_000_000
    low, high = evidence.interval(0.05)
    assert low < 0.001 < high < 0.0012
    assert low > 0.0008


@given(audits, st.sampled_from([0.5, 0.1, 0.05, 0.001]))
def test_an_interval_holds_the_estimate_and_is_wider_where_it_has_to_be_surer(
    seen: list[tuple[float, bool]], alpha: float
) -> None:
    evidence = gathered(seen)
    low, high = evidence.interval(alpha)
    assert 0 <= low <= high <= 1
    if evidence.disagreement is not None:
        assert low - 1e-9 <= evidence.disagreement <= high + 1e-9
    wider = evidence.interval(alpha / 10)
    assert wider[0] <= low
    assert high <= wider[1]


def test_nothing_is_known_without_audits() -> None:
    evidence = Evidence()
    assert evidence.interval(0.05) == (0.0, 1.0)
    assert evidence.disagreement is None
    assert evidence.log_e(0.02) == 0


def test_audits_that_were_rarer_count_for_more_messages() -> None:
    """Weights are the least probability by the audit's own: 10 at 0.1 stand for 100 messages, 10 at 1 for 10."""
    evidence = Evidence.load([[1.0, 10, 0], [0.1, 0, 10]])
    assert evidence.disagreement == pytest.approx(10 / 110)


def test_what_is_needed_is_about_what_it_takes() -> None:
    needed = Evidence().needed(0.02, 0.05, 0.005)
    assert 400 < needed < 900
    without_errors = Evidence().needed(0.02, 0.05, 0.0)
    assert Evidence.load([[1.0, int(without_errors) + 1, 0]]).log_e(0.02) >= log(20)
    assert Evidence().needed(0.02, 0.05, 0.03) == inf


def test_parts_of_delta_sum_to_it() -> None:
    assert version_delta(0.05, 1) == pytest.approx(0.0304, abs=1e-4)
    total = sum(version_delta(0.05, number) for number in range(1, 20_000))
    assert 0.0499 < total < 0.05


def test_a_weight_beyond_one_is_refused() -> None:
    """Such an audit was tossed with less than the least probability: nothing would be proven."""
    with pytest.raises(ValueError, match="weight"):
        Evidence().add(1.5, disagrees=False)


@given(audits, st.floats(0.001, 0.9))
def test_a_share_is_exceeded_where_the_lower_end_is_beyond_it(seen: list[tuple[float, bool]], share: float) -> None:
    evidence = gathered(seen)
    lower = evidence.lower(0.05)
    if abs(lower - share) > 1e-6:
        assert evidence.is_above(share, 0.05) == (lower > share)
