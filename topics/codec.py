"""Message types to JSON bytes and back."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class Undecodable(ValueError):
    """Bytes that are not the asked type. The message says which fields are wrong, and how."""


def encode(value: object) -> bytes:
    """A message as JSON. Raises TypeError for what JSON does not hold: a lone surrogate, an integer beyond 64 bits."""
    return orjson.dumps(value, default=_plain)


def decode(cls: type[T], data: bytes) -> T:
    """JSON as a message of type `cls`: types are taken strictly, fields that it does not have are left out, since
    newer writers may add some. Raises Undecodable."""
    try:
        value: T = adapter(cls).validate_json(data, strict=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'value'}: {one['msg']}" for one in wrong[:5])
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise Undecodable(f"not a {cls.__name__}: {told}{more}") from None
    return value


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}  # as many as there are message types; making one costs milliseconds


def adapter(cls: type) -> TypeAdapter[Any]:
    """What validates a message type and knows its schema."""
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError  # orjson says which type it was
