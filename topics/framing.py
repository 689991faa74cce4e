"""What a schema registry's serializers put before a value: Confluent's wire format.

A zero byte, the schema's id in four bytes (big-endian), then the value as Avro, JSON or Protobuf. No text and no JSON
begins with a zero byte, so one look at it tells.
"""

from typing import Final

import orjson

from topics.messages import Rejected

MAGIC: Final = b"\0"
HEADER_BYTES: Final = 5


def schema_id(value: bytes) -> int | None:
    """None where the value is too short to be framed."""
    return int.from_bytes(value[1:HEADER_BYTES]) if len(value) > HEADER_BYTES else None


def json_object(value: bytes) -> bytes | None:
    """The JSON object in a framed value: it needs no schema. None for anything else.

    Avro that happens to be a whole JSON object as well is not to be expected.
    """
    inner = value[HEADER_BYTES:]
    if not (inner.startswith(b"{") and inner.endswith(b"}")):
        return None
    try:
        orjson.loads(inner)
    except orjson.JSONDecodeError:
        return None
    return inner


def unreadable(value: bytes) -> Rejected:
    """Why a value that begins with MAGIC and holds no JSON cannot be read where no registry is asked."""
    id_ = schema_id(value)
    framed = (
        f"{len(value)} bytes are too few for what a schema registry's serializer writes"
        if id_ is None
        else f"it may be of schema {id_} in a schema registry: name that in kafka.schema_registry.url"
    )
    return Rejected("undecodable", f"the value begins with a zero byte: {framed}. {IF_TEXT}")


IF_TEXT: Final = 'If it is text with zero bytes in it, say format = "plain" for the stream.'
