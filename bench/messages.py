"""The sample streams as records, by the shape in which they lie on Kafka."""

from collections.abc import Sequence
from functools import cache

import orjson

from local.drive import Fed
from local.samples import Sample, generate

SEED = 7

_LOG_SHAPES = ({"@timestamp"}, {"severityText"}, {"log", "stream"})  # ECS, OpenTelemetry, Docker


@cache
def samples() -> tuple[Sample, ...]:
    return tuple(generate(SEED))


def by_shape() -> dict[str, list[Fed]]:
    """Records of five shapes, in order of time."""
    found: dict[str, list[Fed]] = {
        "raw log line": [],
        "JSON log": [],
        "mail, plain": [],
        "mail with HTML": [],
        "dialogue turn": [],
    }
    for offset, sample in enumerate(samples()):
        shape = _shape(sample)
        if shape is not None:
            found[shape].append(Fed(sample.topic, 0, offset, sample.timestamp_ms, sample.key, sample.value))
    return found


def lines(bytes_each: int) -> list[tuple[bytes, bytes]]:
    """Host and raw log line, repeated or cut to that length."""
    raw = [(s.key, s.value) for s in samples() if _shape(s) == "raw log line"]
    return [(key, _sized(value, bytes_each)) for key, value in raw if key and value and value.isascii()]


def _sized(value: bytes, length: int) -> bytes:
    return ((value + b" ") * (length // len(value) + 1))[:length]


def _shape(sample: Sample) -> str | None:
    """None for the shapes that are not measured, and for what is no message."""
    if sample.payload is None or sample.value is None:
        return None
    is_object = sample.value.startswith(b"{")
    keys: Sequence[str] = orjson.loads(sample.value) if is_object else ()
    match sample.stream:
        case "logs" if is_object:
            return "JSON log" if any(shape <= set(keys) for shape in _LOG_SHAPES) else None
        case "logs":
            return None if sample.value.startswith(b'"') else "raw log line"
        case "emails" if not is_object:
            return "mail with HTML" if b"text/html" in sample.value else "mail, plain"
        case "dialogues":
            return "dialogue turn" if "speaker" in keys else None
        case _:
            return None
