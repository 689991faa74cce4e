"""The schema that Kafka Connect's sinks get says what is written. The real JsonConverter takes it in
tests/kafka/test_connect.py."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.topics.values import ANY
from topics import codec
from topics.catalog import ALERTS, DEAD_LETTERS, DECISIONS, OWNED
from topics.connect_schemas import connect_schema
from topics.messages import Decision

FIELDS = {"fields": {"service": "string", "amount": "double"}}
PLAIN = {"string": str, "int64": int, "double": (int, float), "boolean": bool}
SCHEMAS = {topic.value: connect_schema(topic, {}) for topic in OWNED if topic.value is not None}


def fields_of(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["field"]: field for field in schema["fields"]}


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """What JsonConverter demands; it passes over names that a struct does not have."""
    if value is None:
        assert schema["optional"], schema
    elif schema["type"] == "struct":
        for name, field in fields_of(schema).items():
            check(value.get(name), field)
    elif schema["type"] == "array":
        for item in value:
            check(item, schema["items"])
    else:
        assert isinstance(value, PLAIN[schema["type"]]), schema


@settings(max_examples=60)
@given(st.one_of(*ANY.values()))
def test_what_is_written_fits(value: object) -> None:
    check(orjson.loads(codec.encode(value)), SCHEMAS[type(value)])


def test_a_column_of_a_decision_may_be_null_where_the_decision_may_be_without() -> None:
    columns = fields_of(connect_schema(DECISIONS, FIELDS))
    assert columns["id"] == {"field": "id", "type": "string", "optional": False}
    assert columns["severity"] == {"field": "severity", "type": "string", "optional": True}
    assert columns["priority"]["type"] == "int64"
    assert columns["degraded"] == {"field": "degraded", "type": "boolean", "optional": True}, "older ones have none"


def test_a_mapping_becomes_a_struct_of_the_names_that_are_known() -> None:
    fields = fields_of(connect_schema(DECISIONS, FIELDS))["fields"]
    assert fields["type"] == "struct"
    assert fields_of(fields) == {
        "service": {"field": "service", "type": "string", "optional": True},
        "amount": {"field": "amount", "type": "double", "optional": True},
    }


def test_a_mapping_without_known_names_is_left_out() -> None:
    assert Decision.__dataclass_fields__.keys() - fields_of(connect_schema(DECISIONS, {})).keys() == {"fields"}


def test_lists_of_text_are_arrays() -> None:
    assert fields_of(connect_schema(ALERTS, {}))["evidence"]["items"] == {"type": "string", "optional": False}


def test_somebody_elses_bytes_have_no_schema() -> None:
    with pytest.raises(ValueError, match="dead-letters"):
        connect_schema(DEAD_LETTERS, {})
