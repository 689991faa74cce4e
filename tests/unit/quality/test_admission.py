"""A frozen version proves itself on spread audits that tuned nothing, level by level."""

import random

import pytest

from processors.quality.admission import COVERAGES, WALKS_FROM, WHOLE, Admission, Drawn, Spread, Trial, Windows
from processors.quality.betting import version_delta
from tests.unit.quality.audits import HOUR_MS, START_MS
from topics.limits import QUALITY_BURN_IN_AUDITS, QUALITY_VERSIONS_MAX

NO_SPREAD = Spread(windows=0)


def admission(spread: Spread = NO_SPREAD, coverages: tuple[float, ...] = COVERAGES) -> Admission:
    return Admission("free", 0.02, 0.05, coverages, spread)


def judge(
    to: Admission,
    score: float,
    disagrees: bool = False,
    *,
    version: str = "v1",
    at_ms: int = START_MS,
    may_certify: bool = True,
) -> None:
    to.judge(version, score, Drawn(at_ms, 1.0, 1.0, disagrees), may_certify=may_certify)


def even_scores(n: int) -> list[float]:
    return [each / n for each in range(n)]


def test_the_first_audits_fix_thresholds_and_certify_nothing() -> None:
    to = admission()
    for score in even_scores(QUALITY_BURN_IN_AUDITS):
        judge(to, score)
    trial = to.trials["v1"]
    assert [level.coverage for level in trial.levels] == list(COVERAGES)
    assert [level.score_min for level in trial.levels] == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    assert sum(level.evidence.audits for level in trial.levels) == 0
    assert trial.scores == []


def test_scores_that_come_with_a_version_save_these_audits() -> None:
    to = admission()
    trial = to.freeze("v1", START_MS, even_scores(500))
    assert len(trial.levels) == len(COVERAGES)
    judge(to, 0.95)
    assert trial.levels[0].evidence.audits == 1


def test_levels_of_one_threshold_are_one_level() -> None:
    to = admission()
    trial = to.freeze("v1", START_MS, [1.0] * 95 + [0.2] * 5)
    assert [(level.coverage, level.score_min) for level in trial.levels] == [(0.9, 1.0), (1.0, 0.0)]


def test_a_version_that_agrees_is_certified_whole() -> None:
    to = admission()
    trial = to.freeze("v1", START_MS, even_scores(100))
    for n in range(3_000):
        judge(to, n % 100 / 100)
    assert trial.whole
    assert any("100% coverage" in what for _, what in to.events)


def test_where_only_sure_answers_are_right_only_these_are_certified() -> None:
    to, rng = admission(), random.Random(1)
    trial = to.freeze("v1", START_MS, even_scores(100))
    for _ in range(6_000):
        score = rng.random()
        judge(to, score, disagrees=score < 0.4 and rng.random() < 0.2)
    assert trial.level is not None
    assert 0.5 <= trial.level.coverage <= 0.7
    assert trial.level.score_min >= 0.3


def test_where_most_can_be_trusted_the_second_walk_comes_first() -> None:
    """The surest third is as good as the rest: alone it would take more audits to tell."""
    to, rng = admission(), random.Random(2)
    trial = to.freeze("v1", START_MS, even_scores(100))
    while not trial.certified:
        judge(to, rng.random(), disagrees=rng.random() < 0.003)
    assert trial.level is not None
    assert trial.level.coverage >= WALKS_FROM
    assert not trial.levels[0].certified
    assert all(level.coverage > trial.level.coverage for level in trial.next_levels)


@pytest.mark.parametrize(
    ("sure_from", "wrong", "false_from"),
    [(1.0, 0.1, 0.0), (0.5, 0.6, WALKS_FROM)],
    ids=["as wrong everywhere", "right where it is sure"],
)
def test_no_more_levels_that_disagree_too_often_are_certified_than_delta(
    sure_from: float, wrong: float, false_from: float
) -> None:
    """With both walks, at the boundary: the levels from `false_from` on disagree in ε or more."""
    false, runs, delta = 0, 200, version_delta(0.5, 1)
    for seed in range(runs):
        to, rng = Admission("free", 0.1, 0.5, COVERAGES, NO_SPREAD), random.Random(seed)
        trial = to.freeze("v1", START_MS, even_scores(100))
        for _ in range(1_500):
            score = rng.random()
            judge(to, score, disagrees=score < sure_from and rng.random() < wrong)
        false += any(level.certified and level.coverage >= false_from for level in trial.levels)
    assert 0 < false <= runs * delta + 3 * (runs * delta * (1 - delta)) ** 0.5


def test_a_wide_level_waits_for_the_strict_ones() -> None:
    """The surest answers are wrong: no level counts, however good the rest is."""
    to, rng = admission(), random.Random(1)
    trial = to.freeze("v1", START_MS, even_scores(100))
    for _ in range(280):
        score = rng.random()
        judge(to, score, disagrees=score >= 0.95)
    for _ in range(5_000):
        judge(to, 0.1)
    assert trial.levels[-1].evidence.log_e(0.02) > to.log_bound(trial)
    assert not trial.certified


def test_audits_of_one_hour_certify_nothing_however_many_they_are() -> None:
    to = admission(Spread())
    trial = to.freeze("v1", START_MS, even_scores(100))
    for n in range(5_000):
        judge(to, n % 100 / 100, at_ms=START_MS + n * 700 % HOUR_MS)
    assert trial.levels[0].evidence.log_e(0.02) > to.log_bound(trial)
    for hour in range(1, 24):  # single audits in other hours do not make up for it
        judge(to, 0.9, at_ms=START_MS + hour * HOUR_MS)
    assert not trial.certified
    for n in range(40 * 200):
        judge(to, n % 100 / 100, at_ms=START_MS + (24 + n // 200) * HOUR_MS)
    assert not trial.certified, "5,000 of 13,000 are of one hour still"


def test_audits_of_a_day_certify() -> None:
    to = admission(Spread())
    trial = to.freeze("v1", START_MS, even_scores(100))
    for n in range(24 * 200):
        assert not trial.certified
        judge(to, n % 100 / 100, at_ms=START_MS + n // 200 * HOUR_MS)
    assert trial.whole


def test_windows_may_be_of_messages_where_times_say_nothing() -> None:
    to = admission(Spread(windows=10, window_messages=400))
    trial = to.freeze("v1", START_MS, even_scores(100))
    for _ in range(3_800):
        to.passed(1)
        judge(to, 0.9)
    assert not trial.certified
    for _ in range(400):
        to.passed(1)
        judge(to, 0.9)
    assert trial.certified


def test_much_traffic_ends_no_trial_that_only_waits_for_its_day() -> None:
    to = admission(Spread())
    trial = to.freeze("v1", START_MS, [1.0] * 100)
    for n in range(25 * 1_000):  # more than QUALITY_FUTILE_AUDITS before a day is over
        judge(to, 1.0, at_ms=START_MS + n * HOUR_MS // 1_000)
    assert not trial.futile
    assert trial.whole


def test_a_rule_whose_surest_answers_are_its_worst_is_tried_on() -> None:
    """The surest 30% are wrong too often, the surest 60% are not."""
    for seed in range(10):
        to, rng = admission(), random.Random(seed)
        trial = to.freeze("v1", START_MS, even_scores(100))
        for _ in range(4_000):
            score = rng.random()
            judge(to, score, disagrees=score >= 0.7 and rng.random() < 0.024)
        assert not trial.futile


def test_windows_in_which_fewer_are_audited_count_as_much() -> None:
    """As when another version was certified meanwhile, and one of twenty messages is audited."""
    windows = Windows()
    for hour in range(24):
        share = 1 if hour < 18 else 20
        for _ in range(800 // share):
            windows.add(hour, share)
    assert windows.effective == pytest.approx(24)


def test_what_is_hopeless_is_given_up_with_figures() -> None:
    to, rng = admission(), random.Random(3)
    trial = to.freeze("v1", START_MS, even_scores(100))
    for _ in range(3_000):
        judge(to, rng.random(), disagrees=rng.random() < 0.06)
    assert "disagreements in" in trial.futile
    assert "2.00%" in trial.futile
    audits = trial.levels[0].evidence.audits
    judge(to, 0.99)
    assert trial.levels[0].evidence.audits == audits, "no more of them are wanted"


def test_what_is_good_is_not_given_up() -> None:
    for seed in range(20):
        to, rng = admission(), random.Random(seed)
        trial = to.freeze("v1", START_MS, even_scores(100))
        for _ in range(6_000):
            judge(to, rng.random(), disagrees=rng.random() < 0.005)
        assert not trial.futile
        assert trial.certified


def test_each_version_has_less_of_delta_than_the_one_before() -> None:
    to = admission()
    bounds = [to.log_bound(to.freeze(f"v{n}", START_MS)) for n in range(1, 6)]
    assert bounds == sorted(bounds)
    assert len(set(bounds)) == 5


def certified() -> tuple[Admission, Trial]:
    to = admission(coverages=WHOLE)
    for _ in range(400):
        judge(to, 0.5)
    trial = to.trials["v1"]
    assert trial.certified
    return to, trial


def test_drift_ends_a_certificate_and_the_version_begins_anew() -> None:
    to, trial = certified()
    for _ in range(20):
        to.watch("v1", Drawn(START_MS + 5, 1.0, 1.0, True))
        if to.trials["v1"] is not trial:
            break
    again = to.trials["v1"]
    assert (again.certified, again.number) == (False, 2)
    assert again.levels[0].evidence.audits == 0
    assert again.levels[0].score_min == trial.levels[0].score_min
    assert again.ended
    assert "no longer certified" in to.events[-1][1]


def test_a_certificate_ends_where_audits_stop() -> None:
    to, _ = certified()
    to.watch("v1", Drawn(START_MS + 1_000, 1.0, 1.0, False))
    to.expire(START_MS + 1_000 + HOUR_MS, HOUR_MS)
    assert to.certified
    to.expire(START_MS + 1_001 + HOUR_MS, HOUR_MS)
    assert not to.certified
    assert to.trials["v1"].number == 2


def test_nothing_is_certified_while_it_may_not_be() -> None:
    to = admission(coverages=WHOLE)
    for _ in range(400):
        judge(to, 0.5, may_certify=False)
    assert not to.certified


def test_the_number_of_versions_is_bounded_and_what_answers_stays() -> None:
    to, trial = certified()
    for n in range(2 * QUALITY_VERSIONS_MAX):
        to.freeze(f"w{n}", START_MS, pinned="w0")
    assert len(to.trials) == QUALITY_VERSIONS_MAX
    assert to.trials["v1"] is trial
    assert "w0" in to.trials
    assert to.newest is not None
    assert to.newest.version == f"w{2 * QUALITY_VERSIONS_MAX - 1}"
    assert to.count == 1 + 2 * QUALITY_VERSIONS_MAX
