"""What a stream still says once audits, or its state, are lost; and of audits that say they are of tomorrow."""

from dataclasses import asdict
from typing import Any

import orjson
import pytest

from processors.policy import Quality
from processors.quality.state import StreamQuality
from tests.unit.quality.audits import DAY_MS, HOUR_MS, START_MS, below, judged, shadow
from topics.limits import QUALITY_DAYS_MAX, QUALITY_TRIALS_UNKNOWN

QUALITY = Quality(reference="flagship", max_disagreement=0.02, confidence=0.95)


def audited(days: int = 2, judge: StreamQuality | None = None) -> StreamQuality:
    """Answers below the reference that are right, enough of them each day to prove it."""
    judge = judge or StreamQuality("logs", QUALITY, "p1")
    for n in range(days * 400):
        judge.fold(below(START_MS + n * DAY_MS // 400, probability=0.02))
    return judge


def claims(judge: StreamQuality, now_ms: int = START_MS + 2 * DAY_MS) -> dict[str, bool]:
    report = judge.report(now_ms)
    assert report.start is not None
    return {each.period: each.holds for each in (report.start, *report.days)}


# --- audits -----------------------------------------------------------------------------------------


def test_with_every_audit_read_the_claims_are_proven() -> None:
    assert set(claims(audited()).values()) == {True}


def test_an_audit_that_cannot_be_read_voids_its_day_and_the_time_since_the_start() -> None:
    judge = audited()
    at_ms = START_MS + HOUR_MS
    judge.lose(1, at_ms, since_ms=at_ms)
    assert claims(judge) == {"start": False, "2024-10-05": True, "2024-10-04": False}
    report = judge.report(START_MS + 2 * DAY_MS)
    assert report.start is not None
    assert report.start.why == "void: 1 records that may be audits were removed or could not be read"
    assert "void" in report.events[0].what


def test_of_many_that_cannot_be_read_one_event_tells() -> None:
    judge = audited()
    for _ in range(5):
        judge.lose(1, START_MS, since_ms=START_MS)
    assert len([each for each in judge.report(START_MS).events if "void" in each.what]) == 1


def test_audits_that_were_removed_void_every_day_since_the_last_one_that_was_read() -> None:
    judge = audited(days=1)
    judge.lose(700, START_MS + 3 * DAY_MS)
    held = claims(judge)
    assert set(held) == {"start", "2024-10-04", "2024-10-05", "2024-10-06", "2024-10-07"}
    assert not any(held.values())
    audited(days=5, judge=judge)
    assert claims(judge)["2024-10-08"], "the next day stands for itself"
    assert not claims(judge)["2024-10-07"]


def test_a_gap_of_years_is_as_bounded_as_all_else() -> None:
    judge = audited(days=1)
    judge.lose(10**9, START_MS + 2_000 * DAY_MS)
    assert len(judge.dump()["running"]["days"]) == QUALITY_DAYS_MAX


def test_what_was_lost_before_any_answer_below_counts_too() -> None:
    judge = StreamQuality("logs", QUALITY, "p1")
    judge.lose(3, START_MS)
    assert claims(audited(judge=judge))["start"] is False


def test_a_void_claim_is_void_after_a_restart() -> None:
    judge = audited()
    judge.lose(1, START_MS, since_ms=START_MS)
    again = StreamQuality.load(orjson.loads(orjson.dumps(judge.dump())), QUALITY, "p1")
    assert claims(again) == claims(judge)
    assert again.dump() == judge.dump()


def test_an_audit_of_tomorrow_is_one_of_now() -> None:
    """A worker's clock that is ahead would keep its certificate alive."""
    judge = StreamQuality("logs", QUALITY, "p1")
    for n in range(30 * 60):
        judge.fold(judged(START_MS + n * HOUR_MS // 60, shadow()))
    now_ms = START_MS + 30 * HOUR_MS
    judge.fold(below(now_ms + 300 * DAY_MS, probability=0.02), now_ms)
    assert judge.standing(now_ms).free_version == "v1"
    assert judge.standing(now_ms + 2 * DAY_MS).free_version is None


# --- state ------------------------------------------------------------------------------------------


def numbers(judge: StreamQuality) -> list[int]:
    """Of the next trial of each rule."""
    judge.fold(judged(START_MS, shadow(version="new"), shadow(rule="batch", version="new")))
    return [each.number for each in judge.report(START_MS).versions]


def test_after_a_lost_state_no_part_of_delta_is_spent_twice() -> None:
    judge = audited()
    for version in ("a", "b", "c"):
        judge.freeze("free", version, START_MS)
    judge.switch_off()
    judge.pin("b")
    old = judge.dump() | {"format": 0, "running": "of another shape"}
    with pytest.raises(ValueError, match="format"):
        StreamQuality.load(old, QUALITY, "p1")
    anew = StreamQuality.anew("logs", QUALITY, "p1", old, START_MS + DAY_MS)
    assert (anew.off, anew.pinned) == (True, "b")
    assert numbers(anew) == [4, 1]


@pytest.mark.parametrize(
    "lost",
    [None, "x", {}, {"admissions": None}, {"admissions": {"free": {"count": "3"}, "batch": {"count": -1}}}, [], 7],
)
def test_where_the_number_of_trials_cannot_be_read_it_is_taken_for_high(lost: Any) -> None:
    anew = StreamQuality.anew("logs", QUALITY, "p1", lost, START_MS)
    assert numbers(anew) == [QUALITY_TRIALS_UNKNOWN + 1] * 2
    assert (anew.off, anew.pinned) == (False, None)


def test_that_it_began_anew_is_told_and_kept() -> None:
    anew = StreamQuality.anew("logs", QUALITY, "p1", None, START_MS)
    again = StreamQuality.load(orjson.loads(orjson.dumps(anew.dump())), QUALITY, "p1")
    for judge in (anew, again):
        report = judge.report(START_MS)
        assert report.began_anew_ms == START_MS
        assert "the claim before is void" in report.events[0].what
    assert StreamQuality("logs", QUALITY, "p1").report(START_MS).began_anew_ms is None
    orjson.dumps(asdict(again.report(START_MS)))
