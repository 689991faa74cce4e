"""A Kafka record as the code sees it coming in, and as it is written out."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from topics.limits import KEY_CHARS_MAX

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """A consumed record. aiokafka's ConsumerRecord has this shape, so the hot path converts nothing."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...  # epoch milliseconds
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...  # None is a tombstone
    @property
    def headers(self) -> Headers: ...


class Out(NamedTuple):
    """A record to be written. The partition follows from the key (murmur2, as in Java)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None = None  # None: the producer's clock


def message_id(record: Record) -> str:
    """`topic/partition/offset`: unique in a cluster, the same however often the record is read."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def key_text(record: Record) -> str | None:
    """The key for people to read: what is not UTF-8 in it is replaced, what is beyond KEY_CHARS_MAX left out."""
    return None if record.key is None else record.key.decode(errors="replace")[:KEY_CHARS_MAX]
