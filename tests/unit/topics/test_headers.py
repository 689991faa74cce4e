"""CloudEvents headers of what Sluice writes, and the headers of dead letters."""

from dataclasses import dataclass, field

from topics import dead_letters, limits
from topics.dead_letters import dead_letter
from topics.headers import EventHeaders
from topics.messages import Rejected

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class FakeRecord:
    topic: str = "logs"
    partition: int = 3
    offset: int = 41
    timestamp: int = 1_117_838_570_123
    key: bytes | None = b"\xffkey"
    value: bytes | None = b"\xff\x00raw"
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def test_cloudevents_in_binary_mode() -> None:
    headers = EventHeaders("triage", "decision")("logs/3/41", 1_700_000_000_003, TRACE)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"logs/3/41#decision",
        "ce_source": b"/sluice/triage",
        "ce_type": b"sluice.decision.v1",
        "ce_time": b"2023-11-14T22:13:20.003Z",
        "content-type": b"application/json",
        "traceparent": TRACE,
    }
    assert len(headers) == len(dict(headers))


def test_the_same_event_has_the_same_id_and_another_part_has_another() -> None:
    mini, flagship = (EventHeaders("triage", "escalation", part=tier) for tier in ("mini", "flagship"))
    assert mini("a/0/1", 1) == mini("a/0/1", 1)
    assert dict(mini("a/0/1", 1))["ce_id"] == b"a/0/1#escalation.mini"
    assert dict(flagship("a/0/1", 1))["ce_id"] == b"a/0/1#escalation.flagship"


def test_the_time_follows_whatever_came_before() -> None:
    headers = EventHeaders("triage", "decision")
    times = [0, 999, 1_000, 999, 1_700_000_000_000]
    assert [dict(headers("a/0/1", time))["ce_time"] for time in times] == [
        b"1970-01-01T00:00:00.000Z",
        b"1970-01-01T00:00:00.999Z",
        b"1970-01-01T00:00:01.000Z",
        b"1970-01-01T00:00:00.999Z",
        b"2023-11-14T22:13:20.000Z",
    ]


def test_without_a_trace_there_is_no_trace_header() -> None:
    assert "traceparent" not in dict(EventHeaders("mini", "resolution")("a/0/1", 0))


def test_a_dead_letter_is_the_record_byte_for_byte_with_its_headers_and_why() -> None:
    record = FakeRecord(headers=[("tenant", b"acme"), ("odd", b"\xff")])
    out = dead_letter(record, Rejected("undecodable", "byte 0: é", 2), stage="triage", topic="sluice.dead-letters")
    assert (out.topic, out.key, out.value, out.timestamp_ms) == (
        "sluice.dead-letters",
        b"\xffkey",
        b"\xff\x00raw",
        None,
    )
    headers = dict(out.headers)
    assert list(out.headers[:2]) == record.headers
    assert headers["sluice.reason"] == b"undecodable"
    assert headers["sluice.error"].decode() == "byte 0: é"
    assert headers["sluice.attempts"] == b"2"
    assert headers["sluice.origin.topic"] == headers["__connect.errors.topic"] == b"logs"
    assert headers["sluice.origin.partition"] == headers["__connect.errors.partition"] == b"3"
    assert headers["sluice.origin.offset"] == headers["__connect.errors.offset"] == b"41"
    assert headers["sluice.origin.timestamp"] == b"1117838570123"
    assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert headers.keys() - {"tenant", "odd"} == dead_letters.HEADERS.keys()


def test_a_record_that_dies_again_tells_its_last_death_only() -> None:
    first = dead_letter(FakeRecord(), Rejected("internal", "one"), stage="triage", topic="d")
    again = dead_letter(
        FakeRecord(headers=list(first.headers)), Rejected("model_invalid", "two"), stage="mini", topic="d"
    )
    assert len(again.headers) == len(first.headers)
    assert dict(again.headers)["sluice.error"] == b"two"


def test_a_long_error_is_cut() -> None:
    out = dead_letter(FakeRecord(), Rejected("internal", "x" * 10_000), stage="triage", topic="d")
    assert len(dict(out.headers)["sluice.error"]) == limits.DEAD_LETTER_ERROR_CHARS_MAX
