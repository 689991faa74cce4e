"""Values that begin with a zero byte, where no schema registry is asked."""

import pytest

from topics.inputs import RawMail, Turn, familiar_log, read_dialogue, read_log, read_mail
from topics.messages import Rejected

HEADER = b"\0\0\0\0\x11"


def test_a_framed_json_object_needs_no_registry() -> None:
    assert read_log(HEADER + b'{"line":"disk full"}') == read_log(b'{"line":"disk full"}')
    assert read_log(HEADER + b'{"line":"disk full"}', "connect-json") == read_log(b'{"line":"disk full"}')
    assert read_mail(HEADER + b'{"raw":"Subject: x\\n\\ny"}') == RawMail(b"Subject: x\n\ny")
    assert read_dialogue(HEADER + b'{"speaker":"customer","text":"hi"}') == Turn(None, "customer", "hi")


@pytest.mark.parametrize("read", [read_log, read_mail, read_dialogue])
def test_anything_else_is_undecodable_and_both_causes_are_named(read) -> None:
    told = read(HEADER + b"\x06abc")
    assert isinstance(told, Rejected)
    assert told.reason == "undecodable"
    assert "schema 17 in a schema registry: name that in kafka.schema_registry.url" in told.detail
    assert 'say format = "plain"' in told.detail


@pytest.mark.parametrize("value", [b"\0", b"\0\0\0\0\x01", b"\0ab"])
def test_a_value_too_short_to_be_framed_is_told_so(value: bytes) -> None:
    told = read_log(value)
    assert isinstance(told, Rejected)
    assert "too few for what a schema registry's serializer writes" in told.detail


def test_a_framed_value_is_not_taken_for_a_line_that_was_seen_before() -> None:
    assert familiar_log(b"\0\0\0\0\x11disk full on node 7") is None


def test_where_all_of_a_value_is_text_zero_bytes_are_text() -> None:
    line = read_log(b"\0\0\0\0\0disk full", "plain")
    assert not isinstance(line, Rejected)
    assert read_mail(HEADER + b"\x06abc", "string") == RawMail(HEADER + b"\x06abc")
