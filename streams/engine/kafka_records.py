"""aiokafka's fetcher, reading records in whole chunks: lighter ones, of any header name, and of bounded bytes.

What decides which records a reader of committed transactions sees (aborted ones, control batches, gaps of compaction,
checksums, positions) stays aiokafka's `PartitionRecords`. Only the last step is another: where that takes one record
from a batch at a time, it is given a chunk that looks like one.
"""

import asyncio
import struct
from collections.abc import Collection, Iterator, Set
from itertools import islice
from typing import Any, NamedTuple

from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.structs import TopicPartition

from topics.limits import PREFETCH_BYTES_MAX
from topics.records import Headers

_BATCH_START = struct.Struct(">qi")  # base offset, and length of what follows


class KafkaRecord(NamedTuple):
    """A `topics.records.Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class RecordFetcher(Fetcher):  # type: ignore[misc]
    """Fetches nothing while PREFETCH_BYTES_MAX wait to be read.

    So that partitions whose records nobody asks for do not keep the others from being fetched, theirs are dropped then,
    and fetched again when they are asked for.
    """

    def __init__(self, client: Any, subscriptions: Any, **settings: Any) -> None:
        super().__init__(_Client(client), subscriptions, **settings)
        self._asked: Set[TopicPartition] = frozenset()  # by the last call
        self._dropped: Set[TopicPartition] = frozenset()  # and not asked for since

    async def fetched_records(
        self, partitions: Collection[TopicPartition], timeout: float = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[KafkaRecord]]:
        """Called by the consumer's `getmany`. `timeout`: seconds."""
        self._asked = asked = frozenset(partitions)
        if not self._dropped.isdisjoint(asked):
            self._dropped -= asked
            self._notify(self._wait_consume_future)
        ends_at = self._loop.time() + timeout
        while True:
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            if taken := self._take(asked, max_records):
                return taken
            seconds = ends_at - self._loop.time()
            if seconds <= 0 or self._closed:
                return {}
            waiter = self._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=seconds)
            if not waiter.done():
                waiter.cancel()
                return {}
            waiter.result()  # raises what the coordinator has against us

    def _take(
        self, asked: Collection[TopicPartition], max_records: int | None
    ) -> dict[TopicPartition, list[KafkaRecord]]:
        taken: dict[TopicPartition, list[KafkaRecord]] = {}
        for at in [at for at in self._records if at in asked]:
            fetched = self._records[at]
            try:
                records = fetched.getall(max_records) if type(fetched) is _Fetched else fetched.check_raise()
            except Exception as error:
                if taken:  # whose positions have moved on: the error waits for the next call
                    self._records[at] = FetchError(error=error, backoff=self._prefetch_backoff)
                    break
                self._drop(at)
                raise
            if not fetched.has_more():
                self._drop(at)
            if records:
                taken[at] = records
                if max_records is not None:
                    max_records -= len(records)
                    if max_records == 0:
                        break
        return taken

    def _drop(self, at: TopicPartition) -> None:
        del self._records[at]
        self._notify(self._wait_consume_future)

    def _get_actions_per_node(self, assignment: Any) -> tuple[Any, ...]:
        """Called by the fetcher's routine whenever something has changed."""
        not_asked = {at for at, fetched in self._records.items() if at not in self._asked and type(fetched) is _Fetched}
        if not_asked and self._prefetched_bytes >= PREFETCH_BYTES_MAX:
            for at in not_asked:
                self._records.pop(at).forget()  # its position has not moved
            self._dropped |= not_asked
        requests, *others = super()._get_actions_per_node(_Less(assignment, self._dropped | not_asked))
        return ([] if self._prefetched_bytes >= PREFETCH_BYTES_MAX else requests, *others)

    @property
    def _prefetched_bytes(self) -> int:
        return sum(fetched.bytes for fetched in self._records.values() if type(fetched) is _Fetched)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        found: bool = await super()._proc_fetch_request(assignment, node_id, request)
        # Without an await since the answer came: it is the one to this request.
        answer, self._client.answer = self._client.answer, None
        if found:
            for topic, partitions in answer.topics:
                for partition, *_, data in partitions:
                    at = TopicPartition(topic, partition)
                    if type(fetched := self._records.get(at)) is FetchResult:
                        self._records[at] = _Fetched(fetched, data)
        return found


class _Client:
    """aiokafka's client, as its fetcher sees it: keeps the last answer, whose bytes a batch may have to be read from
    a second time."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.answer: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any) -> Any:
        self.answer = await self._client.send(node_id, request)
        return self.answer


class _Less:
    """An assignment, less partitions of which nothing is to be fetched now."""

    def __init__(self, assignment: Any, less: Set[TopicPartition]) -> None:
        self.state_value = assignment.state_value
        self.tps = [at for at in assignment.tps if at not in less or not assignment.state_value(at).has_valid_position]


class _Fetched(FetchResult):  # type: ignore[misc]
    """What one fetch brought of one partition."""

    _partition_records: Any

    def __init__(self, fetched: FetchResult, data: bytes) -> None:
        """`fetched` as aiokafka made it of `data`, not read yet."""
        reader = fetched._partition_records
        reader._records_iterator = None  # as `forget` does
        super().__init__(
            fetched._topic_partition,
            assignment=fetched._assignment,
            partition_records=_ChunkReader(
                fetched._topic_partition,
                _Batches(fetched._topic_partition, reader._records, data),
                reader._aborted_transactions,
                reader.next_fetch_offset,
                None,
                None,
                reader._check_crcs,
                reader._isolation_level,
            ),
            backoff=fetched._backoff,
        )
        self.bytes = len(data)

    def getall(self, max_records: int | None = None) -> list[KafkaRecord]:
        """At most `max_records`, none where the partition has been revoked, paused or sought elsewhere since."""
        taken: list[KafkaRecord] = []
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return taken
        batches = self._partition_records._records
        batches.wanted = max_records
        for chunk in self._partition_records:
            taken += chunk
            if max_records is not None:
                batches.wanted = max_records - len(taken)
                if batches.wanted == 0:
                    self._update_position()
                    return taken
        self._update_position()
        self._partition_records = None
        return taken

    def forget(self) -> None:
        """It is not read to its end: reader and generator would hold each other, and the bytes, until a collection."""
        self._partition_records._records_iterator = None


class _ChunkReader(PartitionRecords):  # type: ignore[misc]
    """Gives lists of records."""

    def _consumer_record(self, at: TopicPartition, chunk: "_Chunk") -> list[KafkaRecord]:  # noqa: ARG002
        """Less those before the position: a fetch gives whole batches."""
        wanted_from = self.next_fetch_offset
        return chunk if chunk[0].offset >= wanted_from else [each for each in chunk if each.offset >= wanted_from]


class _Chunk(list[KafkaRecord]):
    """Records of one batch that pose as one: the last, which says where reading goes on."""

    __slots__ = ()

    @property
    def offset(self) -> int:
        return self[-1].offset


class _Batches:
    """aiokafka's MemoryRecords, whose batches give chunks of `wanted` records; None: all at once."""

    def __init__(self, at: TopicPartition, records: Any, data: bytes) -> None:
        self.at = at
        self.wanted: int | None = None
        self._records = records
        self._data = data
        self.has_next = records.has_next

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        return batch if batch.is_control_batch else _ChunkedBatch(batch, self)

    def bytes_of(self, base_offset: int) -> bytes:
        """The batch as it came."""
        position = 0
        while True:
            base, length = _BATCH_START.unpack_from(self._data, position)
            end = position + _BATCH_START.size + length
            if base == base_offset:
                return self._data[position:end]
            position = end


class _ChunkedBatch:
    """One batch of records, with what PartitionRecords asks of it."""

    __slots__ = ("_batch", "_batches", "base_offset", "is_transactional", "next_offset", "producer_id", "validate_crc")

    is_control_batch = False

    def __init__(self, batch: Any, batches: _Batches) -> None:
        self._batch = batch
        self._batches = batches
        self.base_offset = batch.base_offset
        self.next_offset = batch.next_offset
        self.producer_id = batch.producer_id
        self.is_transactional = batch.is_transactional
        self.validate_crc = batch.validate_crc

    def __iter__(self) -> Iterator[_Chunk]:
        topic, partition = self._batches.at
        new, kind = tuple.__new__, KafkaRecord  # half the price of calling the class
        records = islice(self._batch, None)  # the batch itself cannot be begun twice
        given = 0
        while True:
            wanted = self._batches.wanted
            try:
                chunk = _Chunk(
                    [
                        new(
                            kind,
                            (topic, partition, each.offset, each.timestamp, each.key, each.value, each.headers or ()),
                        )
                        for each in islice(records, wanted)
                    ]
                )
            except UnicodeDecodeError:  # the name of a header: aiokafka's compiled parser can do nothing with it
                records = islice(_LenientBatch(self._batches.bytes_of(self.base_offset)), given, None)
                continue
            if chunk:
                given += len(chunk)
                yield chunk
            if len(chunk) != wanted:
                return


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Read in Python, fifteen times as slow: what is not UTF-8 in the name of a header becomes U+FFFD."""

    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _LenientBytes(self._buffer)


class _LenientBytes(bytearray):
    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _LenientBytes(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
