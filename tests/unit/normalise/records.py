"""Input records and streams for tests of normalisers."""

from dataclasses import dataclass
from typing import Any

import orjson

from processors.policy import Stream


@dataclass
class FakeRecord:
    value: bytes | None
    key: bytes | None = None
    offset: int = 0
    timestamp: int = 1_700_000_000_000
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "in"
    partition: int = 0


def stream(kind: str, **more: Any) -> Stream:
    labels = {"a": {"means": "one"}, "b": {"means": "other"}}
    return Stream.model_validate({"kind": kind, "topics": ["in"], "labels": labels, **more})


def json(value: object, **more: Any) -> FakeRecord:
    return FakeRecord(orjson.dumps(value), **more)
