"""The watch for drift is quiet while nothing is worse than ε, and soon loud where it is."""

import random

from hypothesis import given
from hypothesis import strategies as st

from processors.quality.drift import ALARM, DriftWatch


def alarmed_after(seed: int, disagreement: float, audits: int, weight: float = 1.0) -> int | None:
    rng, watch = random.Random(seed), DriftWatch(0.02)
    for n in range(audits):
        watch.add(weight, rng.random() < disagreement)
        if watch.alarmed:
            return n + 1
    return None


def test_it_is_quiet_on_what_was_certified() -> None:
    assert [seed for seed in range(20) if alarmed_after(seed, 0.005, 5_000)] == []


def test_at_epsilon_itself_the_mean_time_to_an_alarm_is_what_it_says() -> None:
    """A run that has none counts as its length, so that the mean is less than it is."""
    runs = [alarmed_after(seed, 0.02, 20_000) or 20_000 for seed in range(12)]
    assert sum(runs) / len(runs) > ALARM


def test_a_shift_is_found_within_some_dozen_audits() -> None:
    found = [alarmed_after(seed, 0.2, 1_000) for seed in range(40)]
    assert None not in found
    assert sorted(each for each in found if each)[20] < 60


def test_audits_of_little_weight_take_longer() -> None:
    light, full = alarmed_after(1, 0.4, 50_000, weight=0.02), alarmed_after(1, 0.4, 50_000)
    assert light is not None
    assert full is not None
    assert light > 5 * full


@given(st.floats(0.001, 0.4), st.sampled_from([1.0, 0.3, 0.02]), st.floats(0, 1))
def test_a_fresh_bet_is_not_expected_to_win_while_nothing_is_worse(epsilon: float, weight: float, part: float) -> None:
    right, wrong = DriftWatch(epsilon), DriftWatch(epsilon)
    right.add(weight, disagrees=False)
    wrong.add(weight, disagrees=True)
    disagreement = part * epsilon
    assert disagreement * wrong.value + (1 - disagreement) * right.value <= 1 + 1e-9


def test_what_is_kept_is_all_of_it() -> None:
    watch = DriftWatch(0.02)
    for n in range(50):
        watch.add(1.0, n % 7 == 0)
    assert DriftWatch(0.02, watch.dump()).value == watch.value
