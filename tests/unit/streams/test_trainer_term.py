"""Which students are kept when there are too many."""

import time

from processors.policy import Policy, Quality
from processors.quality.state import StreamQuality
from streams.quality_records import Order
from streams.student_records import Kept
from streams.trainer_term import _kept, _Learning
from topics import limits
from topics.messages import Audit, Shadow, Source

LABELS = {"alert": {"means": "An operator must look"}, "routine": {"means": "Nobody needs to look"}}
WANTED = Quality(reference="flagship", max_disagreement=0.1, confidence=0.9)
HOUR_MS = 3_600_000


def students(*versions: str) -> tuple[Kept, ...]:
    return tuple(
        Kept(
            version=version,
            policy_version="p",
            parts=1,
            bytes=1,
            sha256="",
            labels=1,
            audits=0,
            lessons=0,
            feedback=0,
            at_ms=0,
        )
        for version in versions
    )


def learning(*certified: str) -> tuple[_Learning, int]:
    """A stream whose audits of the last thirty hours have certified these versions, and the time."""
    now_ms = round(time.time() * 1000)
    spec = Policy.model_validate({"streams": {"logs": {"kind": "log", "topics": ["logs"], "labels": LABELS}}})
    stream = spec.streams["logs"].model_copy(update={"quality": WANTED})
    judged = StreamQuality("logs", WANTED, stream.version)
    for version in certified:
        for number in range(3_000):
            at_ms = now_ms - 30 * HOUR_MS + number * 30 * HOUR_MS // 3_000
            judged.fold(
                Audit(
                    id="logs/0/1",
                    source=Source("logs", 0, 1, None, at_ms),
                    stream="logs",
                    tenant="default",
                    at_ms=at_ms,
                    policy_version=stream.version,
                    reference="flagship",
                    reference_label="alert",
                    label="alert",
                    decided_by="flagship",
                    below=False,
                    rule=None,
                    version=None,
                    probability=1.0,
                    shadows=(Shadow(rule="free", version=version, label="alert", score=1.0),),
                    template=None,
                    text="",
                    cost_usd_micros=0,
                )
            )
    return _Learning("logs", stream, judged, 0), now_ms


def kept(one: _Learning, now_ms: int, *versions: str) -> list[str]:
    return [each.version for each in _kept(students(*versions), one, now_ms)]


def test_as_many_as_there_is_room_for_the_newest_first() -> None:
    assert limits.STUDENTS_KEPT_MAX == 4
    assert kept(*learning(), "a", "b") == ["a", "b"]
    assert kept(*learning(), "a", "b", "c", "d", "e") == ["b", "c", "d", "e"]


def test_what_answers_stays_however_old_it_is() -> None:
    one, now_ms = learning("m.a")
    assert one.judged.standing(now_ms).free_version == "m.a"
    assert kept(one, now_ms, "a", "b", "c", "d", "e") == ["a", "c", "d", "e"]


def test_what_could_be_gone_back_to_stays_before_what_never_was_certified() -> None:
    one, now_ms = learning("m.a", "m.b")
    assert kept(one, now_ms, "a", "b", "c", "d", "e") == ["a", "b", "d", "e"]


def test_what_is_pinned_stays() -> None:
    one, now_ms = learning()
    one.obey(Order(stream="logs", pin="m.a"))
    assert kept(one, now_ms, "a", "b", "c", "d", "e") == ["a", "c", "d", "e"]


def test_memory_alone_needs_no_student() -> None:
    assert kept(*learning("m"), "a", "b", "c", "d", "e") == ["b", "c", "d", "e"]
