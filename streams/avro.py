"""Avro's binary encoding to JSON, by the schema that it was written with. The one file that knows fastavro.

Bytes that are UTF-8 become text. Others become base64, and where it is the value itself or a field of its record that
has them, they are in the envelope of Connect's JsonConverter, which says so: they are read byte for byte.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import orjson

from processors.errors import SluiceError
from streams.schema_registry import SchemaUnusable
from topics import limits

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


class AvroInvalid(SluiceError):
    """The value does not fit its schema."""


class Avro:
    """Reads the values of one schema."""

    def __init__(self, schema: str, references: Sequence[str] = ()) -> None:
        """`references`: the schemas that it is made of, each after those that it is made of itself. Raises
        SchemaUnusable."""
        named: dict[str, Any] = {}
        try:
            for reference in references:
                fastavro.parse_schema(orjson.loads(reference), named_schemas=named)
            # A record's bytes are its fields': around any schema it changes nothing, and takes all kinds of them.
            field = {"name": "value", "type": orjson.loads(schema)}
            wrapped = {"type": "record", "name": "SluiceValue", "fields": [field]}
            self._schema = fastavro.parse_schema(wrapped, named_schemas=named)
            _require_bounded(self._schema, named, ())
        except SchemaUnusable:
            raise
        except Exception as error:  # the library raises whatever a malformed schema leads it to
            raise SchemaUnusable(f"it is no Avro schema that can be read ({type(error).__name__}: {error})") from error

    def json(self, data: bytes) -> bytes:
        """The value as JSON. Raises AvroInvalid."""
        stream = io.BytesIO(data)
        try:
            read: Any = fastavro.schemaless_reader(stream, self._schema, None)
            if stream.tell() != len(data):
                raise AvroInvalid(f"{len(data) - stream.tell():,} bytes of {len(data):,} are left over")
            return orjson.dumps(_enveloped(read["value"]), default=_plain)
        except AvroInvalid:
            raise
        except EOFError as error:
            raise AvroInvalid(f"it ends after {len(data):,} bytes, in the middle of a value") from error
        except Exception as error:  # the library raises whatever the bytes lead it to
            raise AvroInvalid(f"{type(error).__name__}: {error}") from error


def _require_bounded(schema: Any, named: Mapping[str, Any], around: Sequence[str]) -> bool:
    """Whether a value of it may take no byte at all.

    The reader is compiled: a value nested as deep as a sender likes would end the process, and an array of values
    without bytes would never end. `around`: names of the types that it is within.
    """
    if len(around) > limits.AVRO_DEPTH_MAX:
        raise SchemaUnusable(f"it nests types more than {limits.AVRO_DEPTH_MAX} deep")
    if isinstance(schema, list):
        for branch in schema:
            _require_bounded(branch, named, (*around, ""))
        return False
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return schema == "null"
        schema = named[schema]
    kind = schema["type"]
    name = schema.get("name", "")
    if name and name in around:
        raise SchemaUnusable(f"type '{name}' contains itself, so that its values may nest without end")
    within = (*around, name)
    match kind:
        case "record" | "error":
            of_fields = [_require_bounded(field["type"], named, within) for field in schema["fields"]]
            return all(of_fields)
        case "array":
            if _require_bounded(schema["items"], named, within):
                raise SchemaUnusable(
                    "it has an array whose items take no bytes, so that it may have any number of them"
                )
            return False
        case "map":
            _require_bounded(schema["values"], named, within)
            return False
        case "fixed":
            return bool(schema["size"] == 0)
        case "enum":
            return False
        case _:
            return _require_bounded(kind, named, within)


def _enveloped(value: Any) -> Any:
    if isinstance(value, bytes) and not _is_text(value):
        return {"schema": {"type": "bytes"}, "payload": value}
    if isinstance(value, dict):
        binary = [name for name, part in value.items() if isinstance(part, bytes) and not _is_text(part)]
        if binary:
            fields = [{"field": name, "type": "bytes"} for name in binary]
            return {"schema": {"type": "struct", "fields": fields}, "payload": value}
    return value


def _plain(value: object) -> str:
    """What JSON has no type for. (orjson knows dates, times and UUIDs itself.)"""
    if isinstance(value, bytes):
        return value.decode() if _is_text(value) else base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
