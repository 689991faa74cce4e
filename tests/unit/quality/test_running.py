"""The running claim: one a day and one since the start."""

import pytest

from processors.quality.running import DAY_MS, Running
from tests.unit.quality.audits import START_MS
from topics.limits import QUALITY_DAYS_MAX

EPSILON, DELTA = 0.02, 0.05


def test_a_claim_is_proven_by_agreement_and_refuted_by_disagreement() -> None:
    running = Running(0.02)
    assert running.start is None
    for n in range(400):
        running.add(START_MS + n, 0.02, disagrees=False, means="memory")
    assert running.start is not None
    assert running.start.holds(EPSILON, DELTA)
    for n in range(30):
        running.add(START_MS + 400 + n, 0.02, disagrees=True, means="memory")
    assert not running.start.holds(EPSILON, DELTA)


def test_each_day_stands_for_itself() -> None:
    running = Running(0.02)
    for n in range(300):
        running.add(START_MS + n, 0.02, disagrees=False, means="memory")
    for n in range(40):
        running.add(START_MS + DAY_MS + n, 0.02, disagrees=n < 20, means="student")
    first, second = running.days.values()
    assert first.holds(EPSILON, DELTA)
    assert not second.holds(EPSILON, DELTA)
    assert second.evidence.disagreements == 20
    assert running.means["student"].audits == 40
    assert running.means["memory"].disagreements == 0


def test_a_late_audit_counts_for_the_day_of_its_answer() -> None:
    running = Running(0.02)
    running.add(START_MS + DAY_MS, 0.02, disagrees=False, means="memory")
    running.add(START_MS + DAY_MS - 1, 0.02, disagrees=True, means="memory")
    assert [period.evidence.disagreements for _, period in sorted(running.days.items())] == [1, 0]


def test_audits_of_higher_probability_prove_less() -> None:
    rare, certain = Running(0.02), Running(0.02)
    for n in range(400):
        rare.add(START_MS + n, 0.02, disagrees=False, means="memory")
        certain.add(START_MS + n, 1.0, disagrees=False, means="memory")
    assert rare.start is not None
    assert certain.start is not None
    assert not certain.start.holds(EPSILON, DELTA)
    assert certain.start.evidence.log_e(EPSILON) == pytest.approx(rare.start.evidence.log_e(EPSILON) / 50, rel=0.2)


def test_an_audit_below_the_least_probability_voids_the_claims_it_is_in() -> None:
    running = Running(0.02)
    for n in range(400):
        running.add(START_MS + n, 0.02, disagrees=False, means="memory")
    running.add(START_MS + DAY_MS, 0.01, disagrees=False, means="memory")
    assert running.start is not None
    assert not running.start.holds(EPSILON, DELTA)
    first, second = running.days.values()
    assert first.holds(EPSILON, DELTA)
    assert second.too_rare == 1


def test_a_month_of_days_is_kept_and_no_older_day_comes_back() -> None:
    running = Running(0.02)
    for day in range(QUALITY_DAYS_MAX + 10):
        running.add(START_MS + day * DAY_MS, 0.02, disagrees=False, means="memory")
    running.add(START_MS, 0.02, disagrees=True, means="memory")
    assert len(running.days) == QUALITY_DAYS_MAX
    assert min(running.days) == START_MS // DAY_MS + 10
    assert running.start is not None
    assert running.start.evidence.disagreements == 1


def test_what_is_kept_is_all_of_it() -> None:
    running = Running(0.02)
    for n in range(100):
        running.add(START_MS + n * DAY_MS // 40, 0.02 if n % 2 else 0.5, disagrees=n % 9 == 0, means="nano")
    again = Running.load(running.dump(), 0.02)
    assert again.dump() == running.dump()
