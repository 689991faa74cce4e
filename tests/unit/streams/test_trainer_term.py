"""Which students are kept when there are too many; how a stream goes on after a term, and what is lost between two."""

import random
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any, Literal, cast

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from processors import metrics
from processors.policy import Policy, Quality
from processors.quality.standing import Standing
from processors.quality.state import StreamQuality
from streams.brokers import Brokers
from streams.engine.broker import Membership
from streams.engine.kafka_records import KafkaRecord
from streams.quality_records import Certificate, Newest, Order, certificate_record
from streams.student_records import Kept
from streams.trainer_term import Term, _certificate, _in_words, _kept, _Learning, _removed, _resumed, _show, stream_in
from tests.fakes import ManualClock
from tests.unit.quality.audits import below
from topics import codec, limits
from topics.catalog import AUDITS, LESSONS
from topics.messages import Audit, Lesson, Shadow, Source
from topics.records import Headers

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
    for number in range(3_000 if certified else 0):
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
                shadows=tuple(Shadow(rule="free", version=each, label="alert", score=1.0) for each in certified),
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


# --- from one term to the next ----------------------------------------------------------------------


def tell(one: _Learning, now_ms: int) -> str | None:
    """What is published of it, and which version answers by it."""
    certificate = _certificate(one, one.judged.standing(now_ms), now_ms)
    Term._was_said(cast(Term, None), one, certificate)
    return certificate.standing.free_version


def test_a_stream_is_taught_anew_after_a_revocation_also_where_another_version_goes_on() -> None:
    one, now_ms = learning("v1", "v2")
    answered = tell(one, now_ms)
    assert answered is not None
    assert not one.revoked
    chance = one.judged.standing(now_ms).audit_probability
    for _ in range(50):
        one.judged.fold(below(now_ms, True, version=answered, policy_version=one.spec.version, probability=chance))
    assert tell(one, now_ms) not in (None, answered)
    assert one.revoked


def heard(value: bytes, *, key: bytes = b"logs") -> Newest:
    newest = Newest()
    newest.take(KafkaRecord("quality", 0, 0, 0, key, value, ()))
    return newest


def said(offset: int = 100) -> tuple[Certificate, _Learning]:
    """What the term before has written, with two versions tried, and what it was."""
    one, now_ms = learning("m.a", "m.b")
    one.offset = offset
    return _certificate(one, one.judged.standing(now_ms), now_ms), one


def resumed(newest: Newest, *, first: int = 0, end: int = 100) -> _Learning:
    one, now_ms = learning()
    return _resumed("logs", one.spec, WANTED, newest, first, end, now_ms)


def count(one: _Learning) -> int:
    """Of trials so far."""
    number: int = one.judged.dump()["admissions"]["free"]["count"]
    return number


def test_it_goes_on_where_the_term_before_left_off() -> None:
    certificate, before = said()
    after = resumed(heard(certificate_record(certificate)[1]))
    assert after.judged.dump() == before.judged.dump()
    assert (after.offset, after.coin, after.said is not None) == (100, before.coin, True)


def test_a_certificate_under_another_claim_is_not_its_own() -> None:
    certificate, before = said()
    after = resumed(heard(certificate_record(replace(certificate, claim="mini 0.5 0.5"))[1]))
    assert after.said is None, "so that its own is written at once"
    assert after.coin == before.coin


def spoilt(certificate: Certificate, **fields: Any) -> bytes:
    return orjson.dumps(asdict(certificate) | fields)


def test_of_a_state_that_is_lost_the_number_of_trials_stays() -> None:
    certificate, before = said()
    beyond = resumed(heard(certificate_record(certificate)[1]), first=20, end=99)
    strange = resumed(heard(spoilt(certificate, state=before.judged.dump() | {"format": 0})), first=20)
    unread = resumed(heard(spoilt(certificate, standing="of another shape")), first=20)
    for after in (beyond, strange, unread):
        assert (count(after), after.offset, after.said) == (count(before), 20, None)
        assert after.judged.report(0).began_anew_ms is not None
    assert beyond.coin == strange.coin == before.coin


@pytest.mark.parametrize("value", [b"no json", b"[]", b"{}"])
def test_of_what_cannot_be_read_at_all_it_is_taken_for_high(value: bytes) -> None:
    assert count(resumed(heard(value))) == limits.QUALITY_TRIALS_UNKNOWN


def test_a_later_certificate_takes_the_place_of_one_that_cannot_be_read() -> None:
    certificate, before = said()
    newest = heard(b"no json")
    assert newest.lost == {"logs": None}
    newest.take(KafkaRecord("quality", 0, 1, 0, *certificate_record(certificate), ()))
    assert resumed(newest).judged.dump() == before.judged.dump()


def test_without_any_certificate_it_is_new_as_long_as_every_audit_is_there() -> None:
    assert (count(resumed(Newest())), resumed(Newest()).judged.report(0).began_anew_ms) == (0, None)
    lost = resumed(Newest(), first=1)
    assert (count(lost), lost.offset) == (limits.QUALITY_TRIALS_UNKNOWN, 1)
    certificate, _ = said()
    others = heard(certificate_record(replace(certificate, stream="mail"))[1], key=b"mail")
    assert count(resumed(others, first=1)) == 0, "others are there: this one is new"


def test_a_kill_switch_whose_order_is_lost_too_stays() -> None:
    certificate, before = said()
    before.obey(Order(stream="logs", off=True))
    after = resumed(heard(spoilt(certificate, state=before.judged.dump() | {"format": 0})))
    assert after.judged.off


# --- audits that were removed -----------------------------------------------------------------------


def test_what_retention_removed_before_it_was_read_is_a_gap() -> None:
    assert _removed(read_to=10, came_to=50, begins=50) == 40
    assert _removed(read_to=10, came_to=53, begins=50) == 40, "and markers after it"


def test_markers_and_aborted_records_are_none() -> None:
    assert _removed(read_to=10, came_to=14, begins=0) == 0
    assert _removed(read_to=10, came_to=14, begins=10) == 0


def test_what_is_removed_after_it_was_read_is_none() -> None:
    assert _removed(read_to=10, came_to=11, begins=50) == 0


def test_an_audit_that_cannot_be_read_may_still_name_its_stream() -> None:
    assert stream_in(b'{"stream": "logs", "rule": "of tomorrow"}') == "logs"
    assert [stream_in(each) for each in (b"no json", b"[]", b"{}", b'{"stream": 7}')] == [None] * 4


class Reader:
    """Of topics without records, which say where it stands."""

    def __init__(self) -> None:
        self.at = 7

    async def getmany(self, **_: Any) -> dict[Any, Any]:
        return {}

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def stop(self) -> None:
        pass


async def nobody(*_: Any) -> None:
    """Teaches."""


async def test_a_topic_of_audits_that_was_made_anew_ends_the_term() -> None:
    """Else what is written to it would not be taken in until it is as long as the one before."""
    one, _ = learning()
    policy = Policy(streams={"mail": one.spec.model_copy(update={"quality": None})})
    reader, member = Reader(), Membership("trainer", 1, "m", None)
    term = Term(policy, Brokers("nowhere:1"), teach=nobody, clock=ManualClock(), rng=random.Random(1))
    try:
        term._reader = cast("AIOKafkaConsumer", reader)
        await term.turn(member)
        reader.at = 3
        with pytest.raises(KafkaError, match="goes back to 3"):
            await term.turn(member)
    finally:
        await term.end()


# --- a term of several streams ----------------------------------------------------------------------


@pytest.fixture
async def term() -> AsyncIterator[Term]:
    """Of three streams, two of which have a quality."""
    one, _ = learning()
    specs = {name: one.spec.model_copy(update={"topics": (f"{name}.in",)}) for name in ("logs", "mail", "plain")}
    specs["plain"] = specs["plain"].model_copy(update={"quality": None})
    begun = Term(Policy(streams=specs), Brokers("nowhere:1"), teach=nobody, clock=ManualClock(), rng=random.Random(1))
    for name in ("logs", "mail"):
        judged = StreamQuality(name, WANTED, specs[name].version)
        begun._streams[name] = _Learning(name, specs[name], judged, 0)
    yield begun
    await begun.end()


def test_an_agents_word_is_of_what_was_told_before(term: Term) -> None:
    def told(label: str, *, text: str, tier: Literal["nano", "mini"]) -> KafkaRecord:
        lesson = Lesson(
            id="logs.in/0/1",
            stream="logs",
            tenant="default",
            at_ms=0,
            policy_version="p",
            label=label,
            tier=tier,
            confidence=None,
            text=text,
        )
        return KafkaRecord("lessons", 0, 3, 0, b"key", codec.encode(lesson), ())

    known = term._streams["logs"].lessons
    term._take(term._places[LESSONS], told("alert", text="", tier="mini"))
    assert known.all() == []
    for record in (told("routine", text="disk full", tier="nano"), told("alert", text="", tier="mini")):
        term._take(term._places[LESSONS], record)
    assert [(each.text, each.label) for each in known.all()] == [("disk full", "alert")]


def lost(term: Term) -> set[str]:
    """The streams whose claim is void."""
    reports = {name: each.judged.report(0) for name, each in term._streams.items()}
    return {name for name, report in reports.items() if report.start is not None and "void" in report.start.why}


@pytest.mark.parametrize(
    ("value", "ce_id", "voided"),
    [
        (b'{"stream": "mail", "rule": 7}', b"logs.in/0/7#audit", {"mail"}),
        (b"no json", b"logs.in/0/7#audit", {"logs"}),
        (b"no json", b"plain.in/0/7#audit", set()),
        (b"no json", b"gone.in/0/7#audit", {"logs", "mail"}),
        (b"no json", b"logs.in/0/7#decision", {"logs", "mail"}),
        (b"no json", b"logs.in", {"logs", "mail"}),
        (b"no json", b"\xff", {"logs", "mail"}),
        (b"no json", None, {"logs", "mail"}),
    ],
)
async def test_an_audit_that_cannot_be_read_is_lost_to_its_stream_alone_where_anything_tells_which(
    term: Term, value: bytes, ce_id: bytes | None, voided: set[str]
) -> None:
    headers = [("ce_id", ce_id)]  # Kafka's may be null
    record = KafkaRecord("audits", 0, 3, 0, b"key", value, cast("Headers", headers))
    term._take(term._places[AUDITS], record)
    assert lost(term) == voided
    assert {name for name, each in term._streams.items() if each.offset == 4} == voided


def gauges() -> dict[tuple[str, ...], float]:
    found = (metrics.CERTIFIED, metrics.SWITCHED_OFF)
    samples = [sample for gauge in found for metric in gauge.collect() for sample in metric.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


async def test_metrics_say_what_is_switched_off_and_nothing_of_a_stream_that_promises_nothing_any_more(
    term: Term,
) -> None:
    for name, each in term._streams.items():
        each.obey(Order(stream=name, off=name == "mail"))
        _show(name, Standing(free_version="v"))
    assert gauges()["sluice_quality_off", "mail"] == 1
    assert gauges()["sluice_quality_off", "logs"] == 0
    streams = dict(term._policy.streams)
    streams["mail"] = streams["mail"].model_copy(update={"quality": None})
    term.adopt(term._policy.model_copy(update={"streams": streams}))
    assert {labels[1] for labels in gauges()} == {"logs"}
    assert gauges()["sluice_quality_certified", "logs", "free"] == 1
    await term.end()
    assert gauges() == {}, "the next trainer's to say"


def test_the_model_that_an_operator_wants_is_told_to_workers_until_it_is_wanted_no_more() -> None:
    one, now_ms = learning("m.s")
    one.obey(Order(stream="logs", candidate_model="another"))
    assert one.judged.standing(now_ms).candidate_model == "another"
    one.obey(Order(stream="logs", candidate_model="another", off=True))
    assert one.judged.standing(now_ms).candidate_model == "another", "one order does not undo another"
    one.obey(Order(stream="logs"))
    assert one.judged.standing(now_ms).candidate_model is None


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (Standing(), "certified to answer in the reference's place: nothing"),
        (Standing(off=True), "switched off; `sluice policy on` lets it answer again"),
        (
            Standing(free_version="m1", batch_certified=True, batch_version="b1", audit_probability=0.02),
            "memory and student (version m1) and nano in batches; 2.00% of such answers are audited",
        ),
        (Standing(candidate="m2", candidate_model="mini"), "nothing; version m2 is on trial; mini is tried in nano's"),
    ],
)
def test_an_operator_is_told_of_a_standing_in_words(standing: Standing, told: str) -> None:
    assert told in _in_words(standing)
    assert "Standing(" not in _in_words(standing)
