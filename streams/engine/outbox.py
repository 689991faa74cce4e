"""Outputs between a stage and the broker: encoded at once into batches by output partition, until they are published.

Encoded bytes are all that is kept of a result: no object a record, and a size that is known.
"""

import asyncio
import functools
import random
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from aiokafka.partitioner import murmur2

from streams.engine.broker import Batch, Producer
from streams.engine.stage import Outs
from topics.limits import OUTPUT_RECORD_BYTES_MAX
from topics.records import Record

_OVERHEAD_BYTES = 300  # of one record's outputs beside their values: headers, key and framing
_COPIES = 6  # of a large output while it is published, all at once: in its batch, in the request, in the socket


class Place(NamedTuple):
    """Of an input record: the record itself would be kept in memory with its value."""

    topic: str
    partition: int
    offset: int


class Sealed(NamedTuple):
    """A batch that takes no more records."""

    topic: str
    partition: int
    batch: Batch
    record: Place | None  # the input that its one output is of; None where it holds several outputs


class OutputRefused(Exception):
    """An output cannot be written, however often it is tried: too large for its topic, or not bytes.

    `record` led to it; None where the refused batch held several outputs.
    """

    def __init__(self, message: str, record: Place | None, reason: Literal["too_large", "internal"]) -> None:
        super().__init__(message)
        self.record = record
        self.reason: Literal["too_large", "internal"] = reason


class _Topic:
    """One output topic's open batches."""

    __slots__ = ("batches", "count", "firsts", "keyless")

    def __init__(self, count: int, keyless: int) -> None:
        self.count = count
        self.keyless = keyless  # the partition of outputs without a key: they stay together, as in Java
        self.batches: list[Batch | None] = [None] * count
        self.firsts: list[Place | None] = [None] * count  # the input that a batch's first output is of


class Outbox:
    """Filled by the records of one or several input partitions, emptied by one publisher."""

    def __init__(
        self, producer: Producer, *, rng: random.Random, records_max: int, bytes_max: int, one_output_a_batch: bool
    ) -> None:
        """Full with the outputs of `records_max` input records or with `bytes_max` bytes, whichever comes first.

        `one_output_a_batch` finds out which record leads to an output that the broker refuses.
        """
        self.results = asyncio.Event()  # something is in it
        self.enough = asyncio.Event()  # it is full
        self.records = 0  # inputs whose outputs are in it; one may have none
        self.bytes = 0  # of all outputs in it, about
        self._producer = producer
        self._rng = rng
        self._records_max = 1 if one_output_a_batch else records_max
        self._bytes_max = bytes_max
        self._one_output_a_batch = one_output_a_batch
        self._topics: dict[str, _Topic] = {}
        self._sealed: list[Sealed] = []
        self._unwritable: OutputRefused | None = None
        self._unresolved: list[tuple[Record, Outs]] = []  # for a topic whose partitions are not known yet, and after

    def add(self, record: Record, outs: Outs) -> None:
        """The outputs of one input record."""
        self.extend((record,), (outs,))

    def extend(self, records: Sequence[Record], results: Sequence[Outs]) -> None:
        """The outputs of each of `records`. The way of every message leads through this loop: it is as tight as it
        can be."""
        self.records += len(records)
        self.bytes += _OVERHEAD_BYTES * len(records)
        each = zip(records, results, strict=True)
        if self._unresolved:
            self._keep(each)
            return
        topics, bytes_added = self._topics, 0
        try:
            for record, outs in each:
                for out in outs:
                    topic, key, value, headers, timestamp_ms = out
                    into = topics.get(topic)
                    if into is None:
                        self._keep([(record, outs[outs.index(out) :]), *each])
                        break
                    size = 0 if value is None else len(value)
                    bytes_added += size if size <= OUTPUT_RECORD_BYTES_MAX else size * _COPIES
                    partition = _hash(key) % into.count if key is not None else into.keyless
                    batch = into.batches[partition]
                    if type(headers) is not list:
                        headers = list(headers)  # aiokafka takes nothing else
                    if batch is None or (
                        batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None
                    ):
                        self._begin(topic, into, partition, record).append(
                            timestamp=timestamp_ms, key=key, value=value, headers=headers
                        )  # the first fits
                        if self._one_output_a_batch:
                            self._seal(topic, into, partition)
        except (TypeError, ValueError, AttributeError) as error:
            self._unwritable = OutputRefused(f"{type(error).__name__}: {error}", _place(record), "internal")
        self.bytes += bytes_added

    def tell(self) -> None:
        """After `add`s: wakes the publisher."""
        if self.records:
            self.results.set()
            if self.full:
                self.enough.set()

    @property
    def full(self) -> bool:
        return self.records >= self._records_max or self.bytes >= self._bytes_max

    async def resolve(self) -> None:
        """Looks up how many partitions the topics have that no output went to before. Raises KafkaError."""
        while self._unresolved:
            topic = next(topic for _, outs in self._unresolved for topic, *_ in outs if topic not in self._topics)
            count = await self._producer.partitions_for(topic)
            self._topics[topic] = _Topic(count, self._rng.randrange(count))
            # Without an await from here on: what is added now comes after these.
            waiting, self._unresolved = self._unresolved, []
            self.records -= len(waiting)
            self.bytes -= sum(_OVERHEAD_BYTES + _bytes(outs) for _, outs in waiting)
            self.extend(*zip(*waiting, strict=True))

    def take(self) -> list[Sealed]:
        """Everything that is in it, batches of one output partition in order; it is empty afterwards.

        Raises OutputRefused for an output that is not bytes: it may be half in, so that all of it has to be dropped.
        """
        if self._unwritable is not None:
            raise self._unwritable
        for name, topic in self._topics.items():
            for partition, batch in enumerate(topic.batches):
                if batch is not None:
                    self._seal(name, topic, partition)
            topic.keyless = self._rng.randrange(topic.count)
        sealed, self._sealed, self.records, self.bytes = self._sealed, [], 0, 0
        self.results.clear()
        self.enough.clear()
        return sealed

    def _keep(self, unresolved: Iterable[tuple[Record, Outs]]) -> None:
        waiting = list(unresolved)
        self._unresolved += waiting
        self.bytes += sum(_bytes(outs) for _, outs in waiting)

    def _begin(self, name: str, topic: _Topic, partition: int, record: Record) -> Batch:
        """A new batch, whose first output is of `record`."""
        if topic.batches[partition] is not None:
            self._seal(name, topic, partition)
        topic.batches[partition] = batch = self._producer.create_batch()
        topic.firsts[partition] = _place(record)
        return batch

    def _seal(self, name: str, topic: _Topic, partition: int) -> None:
        batch, first = topic.batches[partition], topic.firsts[partition]
        assert batch is not None
        topic.batches[partition] = topic.firsts[partition] = None
        self._sealed.append(Sealed(name, partition, batch, first if batch.record_count() == 1 else None))


def _place(record: Record) -> Place:
    return Place(record.topic, record.partition, record.offset)


def _bytes(outs: Outs) -> int:
    return sum(len(value or b"") for _, _, value, *_ in outs)


@functools.lru_cache(maxsize=65_536)  # 2.9 µs a key in Python
def _hash(key: bytes) -> int:
    """Java's default partitioner: murmur2 without its sign."""
    return int(murmur2(key)) & 0x7FFFFFFF
