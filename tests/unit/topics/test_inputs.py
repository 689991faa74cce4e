"""Every shape that an input record may arrive in."""

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics import limits
from topics.inputs import (
    Dialogue,
    MailParts,
    RawMail,
    Tombstone,
    Turn,
    has_mail_headers,
    read_dialogue,
    read_log,
    read_mail,
)
from topics.log_lines import LogLine
from topics.messages import Rejected

STRING_SCHEMA = {"type": "string", "optional": False}
MAIL = b"From: Ann <ann@shop.example>\r\nSubject: Hello\r\n\r\nWhere is my order?\r\n"


def connect(payload: object, schema: object = STRING_SCHEMA) -> bytes:
    return orjson.dumps({"schema": schema, "payload": payload})


@pytest.mark.parametrize(
    "value",
    [
        b"disk full on node",
        b"disk full on node\r\n",
        b"\xef\xbb\xbfdisk full on node",
        b"disk\0 full on node\0",
        b"\x1b[31mdisk full\x1b[0m on node",
        b'{"line": "disk full on node"}',
        b'\xef\xbb\xbf  {"line": "disk full on node"}\n',
        b'{"payload": {"line": "disk full on node"}}',
        b'{"id": "bgl-1", "stream": "logs", "time": null, "payload": {"line": "disk full on node"}}',
        b'"disk full on node"',
        connect("disk full on node"),
        connect("disk full on node", None),
        connect('{"line": "disk full on node"}'),
        connect({"line": "disk full on node"}, {"type": "struct", "fields": [{"field": "line", "type": "string"}]}),
        connect(base64.b64encode(b"disk full on node").decode(), {"type": "bytes"}),
        b'{"message": "disk full on node"}',
        b'{"log": "disk full on node\\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}',
        b"2026-01-01T00:00:00.000000000Z stdout F disk full on node",
    ],
)
def test_a_log_line_in_every_wrapping_is_the_same_line(value: bytes) -> None:
    line = read_log(value)
    assert isinstance(line, LogLine), line
    assert line.stable == "disk full on node"


@pytest.mark.parametrize("read", [read_log, read_mail, read_dialogue])
@pytest.mark.parametrize("value", [b"", b" ", b"\r\n\t ", b'""', b'"  "'])
def test_an_empty_record_is_rejected_as_empty(read, value: bytes) -> None:
    rejected = read(value)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "unknown_shape"
    assert "empty" in rejected.detail


@pytest.mark.parametrize("read", [read_log, read_mail, read_dialogue])
@pytest.mark.parametrize("value", [None, b'{"schema": null, "payload": null}'])
def test_a_record_without_a_value_is_a_tombstone(read, value: bytes | None) -> None:
    assert read(value) == Tombstone()


@pytest.mark.parametrize("read", [read_log, read_mail, read_dialogue])
@pytest.mark.parametrize(
    "value",
    [
        b"42",
        b"true",
        b"null",
        b"[]",
        b'["a", "b"]',
        b"{}",
        b'{"colour": "red"}',
        b'{"payload": null}',
        b'{"payload": 7}',
    ],
)
def test_json_of_no_known_shape_is_rejected_with_what_would_be_known(read, value: bytes) -> None:
    rejected = read(value)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "unknown_shape"
    assert "Known shapes" in rejected.detail


@pytest.mark.parametrize("read", [read_log, read_dialogue, read_mail])
def test_bytes_that_are_no_text_are_undecodable_and_the_offset_is_named(read) -> None:
    rejected = read(b"abc\xff\xfe\x00binary")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "undecodable"
    assert "byte 3" in rejected.detail
    assert "0xff" in rejected.detail


@pytest.mark.parametrize("read", [read_log, read_mail, read_dialogue])
def test_a_value_beyond_the_limit_is_too_large_and_one_at_the_limit_is_not(
    read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INPUT_VALUE_BYTES_MAX", 10)
    rejected = read(b"12345678901")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "too_large"
    assert "11 bytes" in rejected.detail
    assert "10" in rejected.detail
    assert not isinstance(read(b"hello text"), Rejected)


def test_envelopes_are_opened_only_so_deep() -> None:
    value: object = {"line": "x"}
    for _ in range(limits.ENVELOPES_MAX + 1):
        value = {"payload": value}
    assert isinstance(read_log(orjson.dumps(value)), Rejected)


def test_a_line_that_only_begins_like_json_is_a_line() -> None:
    for text in ("[Sun Dec 04 04:47:44 2005] [error] x", '{"line": "cut off', "{not json}", '"GET /" 200'):
        line = read_log(text.encode())
        assert isinstance(line, LogLine)
        assert line.text == text


def test_plain_is_never_opened_and_connect_json_never_is_text() -> None:
    line = read_log(b'{"line": "x"}', "plain")
    assert isinstance(line, LogLine)
    assert line.text == '{"line": "x"}'
    rejected = read_log(b"just text", "connect-json")
    assert isinstance(rejected, Rejected)
    assert "no JSON document" in rejected.detail


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("syslog", b"just text"),
        ("ecs", b"just text"),
        ("otel", b'{"message": "x"}'),
        ("docker", b'{"message": "x"}'),
        ("cri", b"just text"),
    ],
)
def test_a_line_of_another_format_than_asked_for_is_rejected(format, value: bytes) -> None:
    rejected = read_log(value, format)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "unknown_shape"


@pytest.mark.parametrize(
    "value",
    [
        MAIL,
        orjson.dumps({"raw": MAIL.decode()}),
        orjson.dumps({"payload": {"raw": MAIL.decode()}}),
        connect(MAIL.decode()),
        connect({"raw": MAIL.decode()}, {"type": "struct", "fields": [{"field": "raw", "type": "string"}]}),
        connect(
            {"raw": base64.b64encode(MAIL).decode()},
            {"type": "struct", "fields": [{"field": "raw", "type": "bytes"}]},
        ),
    ],
)
def test_a_raw_mail_in_every_wrapping_keeps_its_bytes(value: bytes) -> None:
    assert read_mail(value) == RawMail(MAIL)


def test_a_mail_in_parts() -> None:
    value = b'{"from": "a@b.c", "to": ["x@y.z", "u@v.w"], "subject": null, "body": "hi"}'
    assert read_mail(value) == MailParts("a@b.c", "x@y.z, u@v.w", "", "hi")


def test_a_latin_1_mail_is_a_mail_but_such_text_without_headers_is_not() -> None:
    assert read_mail(b"Subject: gr\xfc\xdfe\n\nsch\xf6n") == RawMail(b"Subject: gr\xfc\xdfe\n\nsch\xf6n")
    assert isinstance(read_mail(b"sch\xf6n"), Rejected)


def test_text_without_headers_is_a_mail_and_broken_json_is_not() -> None:
    assert read_mail(b"Where is my order?") == RawMail(b"Where is my order?")
    rejected = read_mail(b'{"from": "a", "subject": ')
    assert isinstance(rejected, Rejected)
    assert "no JSON document" in rejected.detail


def test_headers_are_looked_for_in_the_head_only() -> None:
    assert has_mail_headers(b"Subject: x\n\nbody")
    assert has_mail_headers(b"From ann Mon Jan 1 00:00:00 2001\nX: y\n\nbody")
    assert not has_mail_headers(b"Hello\n\nSubject: x")


@pytest.mark.parametrize(
    ("value", "turn"),
    [
        (b'{"conversation_id": "c1", "speaker": "agent", "text": "Hello"}', Turn("c1", "agent", "Hello")),
        (b'{"conversation_id": 7, "speaker": "user", "text": "Hi"}', Turn("7", "user", "Hi")),
        (b'{"payload": {"speaker": "user", "text": "Hi"}}', Turn(None, "user", "Hi")),
        (b"I lost my card", Turn(None, "customer", "I lost my card")),
    ],
)
def test_one_turn(value: bytes, turn: Turn) -> None:
    assert read_dialogue(value) == turn


def test_a_whole_dialogue() -> None:
    value = b'{"payload": {"turns": [{"speaker": "customer", "text": "a"}, {"speaker": "agent", "text": " "}]}}'
    assert read_dialogue(value) == Dialogue(None, (Turn(None, "customer", "a"),))
    assert isinstance(read_dialogue(b'{"turns": []}'), Rejected)
    assert isinstance(read_dialogue(b'{"turns": [{"speaker": "customer"}]}'), Rejected)


def test_a_turn_of_nobody_is_of_no_known_shape() -> None:
    assert isinstance(read_dialogue(b'{"conversation_id": "c1", "text": "Hello"}'), Rejected)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["payload", "schema", "line", "raw", "body", "from", "log", "message", "turns", "speaker", "text",
                 "resourceLogs", "severityText", "attributes", "fields", "type", "conversation_id", "x"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize("read", [read_log, read_mail, read_dialogue])
@given(data=st.binary(max_size=200) | JSON.map(orjson.dumps) | st.text().map(lambda text: text.encode()))
def test_nothing_raises_and_every_rejection_says_why(read, data: bytes) -> None:
    result = read(data)
    if isinstance(result, Rejected):
        assert result.detail
