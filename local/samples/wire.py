"""How a message lies in a Kafka record: bare text, natural JSON, or as Kafka Connect's converters write it."""

from collections.abc import Mapping
from typing import Any

import orjson


def bare(text: str) -> bytes:
    """As `StringConverter` and most producers write text."""
    return text.encode()


def json_value(value: object) -> bytes:
    """`JsonConverter` without schemas: objects as they are, text as a quoted string."""
    return orjson.dumps(value)


def connect_string(text: str) -> bytes:
    """`JsonConverter` with its schema envelope, around text."""
    return orjson.dumps({"schema": {"type": "string", "optional": False}, "payload": text})


def connect_struct(payload: Mapping[str, Any], name: str) -> bytes:
    """`JsonConverter` with its schema envelope, around a struct of strings."""
    fields = [{"type": "string", "optional": True, "field": field} for field in payload]
    schema = {"type": "struct", "fields": fields, "optional": False, "name": name}
    return orjson.dumps({"schema": schema, "payload": dict(payload)})
