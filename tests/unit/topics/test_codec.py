"""Messages survive the way to Kafka and back; what is no message is told why."""

from dataclasses import fields, replace
from types import MappingProxyType

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.topics.values import ANY, SOURCES
from topics import codec
from topics.messages import Decision, Source


@settings(max_examples=60)
@given(st.one_of(*ANY.values()))
def test_round_trip(value: object) -> None:
    assert codec.decode(type(value), codec.encode(value)) == value


@given(SOURCES)
def test_fields_of_newer_writers_are_left_out(source: Source) -> None:
    data = orjson.dumps(orjson.loads(codec.encode(source)) | {"added_later": [1, 2]})
    assert codec.decode(Source, data) == source


@given(ANY[Decision])
def test_any_mapping_is_written_as_an_object(decision: Decision) -> None:
    frozen = replace(decision, fields=MappingProxyType(dict(decision.fields)))
    assert codec.encode(frozen) == codec.encode(decision)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"topic": 1, "partition": 0, "offset": 0, "key": null, "timestamp_ms": 0}', "topic"),
        (b'{"topic": "t", "partition": "0", "offset": 0, "key": null, "timestamp_ms": 0}', "partition"),
        (b'{"topic": "t", "partition": 0, "offset": 0, "key": null}', "timestamp_ms"),
        (b"[]", "Source"),
        (b"{", "Source"),
        (b"\xff", "Source"),
    ],
)
def test_what_is_no_message_is_told_why(data: bytes, told: str) -> None:
    with pytest.raises(codec.Undecodable, match=told):
        codec.decode(Source, data)


def test_only_json_is_encoded() -> None:
    with pytest.raises(TypeError, match="not JSON serializable: object"):
        codec.encode({"a": object()})
    with pytest.raises(TypeError, match="64-bit"):
        codec.encode({"a": 2**64})
    with pytest.raises(TypeError, match="surrogate"):
        codec.encode({"a": "\ud800"})


def test_every_field_is_written() -> None:
    source = Source("t", 1, 2, "k", 3)
    assert orjson.loads(codec.encode(source)).keys() == {field.name for field in fields(Source)}
