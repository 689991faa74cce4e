"""Avro to JSON: every type has a form, and no value of any schema ends or holds the process."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from streams.avro import Avro, AvroInvalid
from streams.schema_registry import SchemaUnusable
from tests.unit.streams.registries import avro
from topics.framing import HEADER_BYTES
from topics.inputs import RawMail, read_mail


def json_of(schema: Any, value: Any) -> bytes:
    return Avro(orjson.dumps(schema).decode()).json(avro(1, schema, value)[HEADER_BYTES:])


def of(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": type_} for name, type_ in fields.items()]}


@pytest.mark.parametrize(
    ("type_", "value", "json"),
    [
        ("string", "Où?", "Où?"),
        (["null", "string"], None, None),
        (["null", "string"], "x", "x"),
        ("long", 2**62, 2**62),
        ({"type": "array", "items": "string"}, ["a", "b"], ["a", "b"]),
        ({"type": "map", "values": "int"}, {"a": 1}, {"a": 1}),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            datetime(2026, 1, 2, tzinfo=UTC),
            "2026-01-02T00:00:00+00:00",
        ),
        ({"type": "int", "logicalType": "date"}, date(2026, 1, 2), "2026-01-02"),
        ({"type": "string", "logicalType": "uuid"}, UUID(int=1), str(UUID(int=1))),
        ({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, Decimal("19.90"), "19.90"),
        ("bytes", "Grüße".encode(), "Grüße"),
        ({"type": "array", "items": "bytes"}, [b"\xff\xfe"], ["//4="]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_of_each_type_has_a_form_in_json(type_: Any, value: Any, json: Any) -> None:
    assert orjson.loads(json_of(of(v=type_), {"v": value})) == {"v": json}


def test_a_mail_that_is_no_utf_8_is_read_byte_for_byte() -> None:
    mail = b"From: a@b.example\nContent-Type: text/plain; charset=latin-1\n\nGr\xfc\xdfe\n"
    assert read_mail(json_of(of(raw="bytes"), {"raw": mail})) == RawMail(mail)
    assert read_mail(json_of("bytes", mail)) == RawMail(mail)


@pytest.mark.parametrize("namespace", ["", "x."])
def test_types_of_other_schemas_are_found_in_them(namespace: str) -> None:
    word, said = (
        orjson.dumps(of(**fields) | {"name": namespace + name}).decode()
        for name, fields in (("Word", {"w": "string"}), ("Said", {"a": namespace + "Word", "b": namespace + "Word"}))
    )
    value = b"\x02\x02i\x02j"
    assert Avro(f'["null", "{namespace}Said"]', [word, said]).json(value) == b'{"a":{"w":"i"},"b":{"w":"j"}}'
    with pytest.raises(SchemaUnusable, match="Word"):
        Avro(said)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x08abc", b"\x01", b"\x04abc", b"\x04\xff\xfe", b"\xff" * 12, b"\xfe\xff\xff\xff\xff\xff\x01a"],
    ids=repr,
)
def test_bytes_that_do_not_fit_are_told(data: bytes) -> None:
    with pytest.raises(AvroInvalid, match=r"\w"):
        Avro('{"type":"record","name":"R","fields":[{"name":"line","type":"string"}]}').json(data)


@pytest.mark.parametrize(
    "schema",
    ["", "5", "null,", '"Unheard"', '{"type":"record","fields":[]}', '{"x":1}'],
)
def test_what_is_no_schema_is_told(schema: str) -> None:
    with pytest.raises(SchemaUnusable, match="no Avro schema"):
        Avro(schema)


def test_values_that_nest_without_end_are_not_read() -> None:
    """The library's reader ends the process at about ten thousand levels, one byte each."""
    with pytest.raises(SchemaUnusable, match="'N' contains itself"):
        Avro('{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}')
    deep: Any = "string"
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    with pytest.raises(SchemaUnusable, match="more than 32 deep"):
        Avro(orjson.dumps(deep).decode())


@pytest.mark.parametrize("items", ["null", of(nothing="null"), of(), {"type": "fixed", "name": "F", "size": 0}])
def test_arrays_of_values_without_bytes_are_not_read(items: Any) -> None:
    with pytest.raises(SchemaUnusable, match="take no bytes"):
        Avro(orjson.dumps({"type": "array", "items": items}).decode())
