"""Kafka Connect's schema of what Sluice writes, for sinks that need one to make tables and columns.

It is what JsonConverter's setting `schema.content` takes (KIP-1054, Kafka 4.2 and later): the values on the topic stay
plain JSON. Connect has no type for "text or number", and sinks make poor columns of maps, so a mapping becomes a struct
of the names that it may have; Connect passes over what a schema does not name.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from topics.catalog import Topic

Primitive = Literal["string", "int64", "double", "boolean"]
Schema = dict[str, Any]

_PRIMITIVES: Mapping[type, Primitive] = {str: "string", int: "int64", float: "double", bool: "boolean"}
_UNIONS = (Union, types.UnionType)


def connect_schema(topic: Topic, members: Mapping[str, Mapping[str, Primitive]]) -> Schema:
    """The schema of a topic's values. ValueError for a topic that carries somebody else's bytes.

    `members`: for a field that is a mapping, the names in it and their types; each may be missing from a value. A
    mapping without names is left out.
    """
    if topic.value is None:
        raise ValueError(f"topic '{topic.name}' has no schema: its values are other topics' records, byte for byte")
    return _struct(topic.value, members) | {"name": f"sluice.{topic.value.__name__}"}


def _struct(cls: type, members: Mapping[str, Mapping[str, Primitive]]) -> Schema:
    hints = get_type_hints(cls)
    found = []
    for field in fields(cls):
        hint, optional = _without_none(hints[field.name])
        schema = _named(members.get(field.name, {})) if get_origin(hint) is Mapping else _of(hint, members)
        if schema is not None:
            added_later = field.default is not MISSING or field.default_factory is not MISSING
            found.append({"field": field.name} | schema | {"optional": optional or added_later})
    return {"type": "struct", "optional": False, "fields": found}


def _named(members: Mapping[str, Primitive]) -> Schema | None:
    if not members:
        return None
    return {"type": "struct", "fields": [{"field": name, "type": t, "optional": True} for name, t in members.items()]}


def _of(hint: Any, members: Mapping[str, Mapping[str, Primitive]]) -> Schema:
    if is_dataclass(hint) and isinstance(hint, type):
        return _struct(hint, members)
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _of(get_args(hint)[0], members) | {"optional": False}}
    if get_origin(hint) is Literal:
        return {"type": "string"}
    return {"type": _PRIMITIVES[hint]}


def _without_none(hint: Any) -> tuple[Any, bool]:
    """`X | None` as X and whether there was a None."""
    if get_origin(hint) not in _UNIONS:
        return hint, False
    inner = [part for part in get_args(hint) if part is not type(None)]
    if len(inner) != 1:
        raise TypeError(f"Connect has no type for {hint}")
    return inner[0], True
