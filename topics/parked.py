"""Parked records: what waits for hours waits on a topic, byte for byte, with when it is due and where it came from."""

from dataclasses import dataclass
from typing import Final

from topics import limits
from topics.messages import Parked
from topics.records import Headers, Out, Record

OWN: Final = "sluice.parked."
_UNTIL, _WHY = OWN + "until", OWN + "why"
_TOPIC, _PARTITION, _OFFSET, _TIMESTAMP = (OWN + f"origin.{name}" for name in ("topic", "partition", "offset", "time"))


@dataclass(frozen=True, slots=True)
class Original:
    """The record that was parked, as it was read first: what is decided about it names this place."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def park(record: Record, parked: Parked, *, topic: str) -> Out:
    """The record as it goes to `topic`."""
    told = {
        _UNTIL: parked.until_ms,
        _WHY: parked.why[: limits.DEAD_LETTER_ERROR_CHARS_MAX],
        _TOPIC: record.topic,
        _PARTITION: record.partition,
        _OFFSET: record.offset,
        _TIMESTAMP: record.timestamp,
    }
    headers = [*record.headers, *((name, str(value).encode(errors="replace")) for name, value in told.items())]
    return Out(topic, record.key, record.value, headers)


def due_ms(record: Record) -> int:
    """When a parked record is due, epoch milliseconds; 0, which is at once, for what nobody of us has parked."""
    told = dict(record.headers).get(_UNTIL, b"")
    return int(told) if told.isdigit() else 0


def original(record: Record) -> Record:
    """What was parked. A record that somebody else wrote to the topic is itself."""
    told = dict(record.headers)
    topic, partition, offset, timestamp = (told.get(name) for name in (_TOPIC, _PARTITION, _OFFSET, _TIMESTAMP))
    if not topic or not all(number and number.isdigit() for number in (partition, offset, timestamp)):
        return record
    assert partition is not None
    assert offset is not None
    assert timestamp is not None
    headers = [(name, value) for name, value in record.headers if not name.startswith(OWN)]
    place = (topic.decode(errors="replace"), int(partition), int(offset), int(timestamp))
    return Original(*place, record.key, record.value, headers)


HEADERS: Final = {
    _UNTIL: "When it is due, epoch milliseconds",
    _WHY: "What it waits for, in words",
    _TOPIC: "The topic that it was read from",
    _PARTITION: "The partition that it was read from",
    _OFFSET: "Its offset there",
    _TIMESTAMP: "Its timestamp there, epoch milliseconds",
}
"""What each header says; every value is UTF-8 text."""
