"""The simulated broker's producer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from aiokafka.errors import IllegalStateError, KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber
from aiokafka.structs import TopicPartition

from streams.engine.broker import Batch, Committed, Fenced, Membership
from tests.simulation.cluster import Cluster
from tests.simulation.log import Transaction, Unsaved
from tests.simulation.network import Connection
from tests.simulation.transactions import EpochOver
from topics.records import Headers

T = TypeVar("T")

_BATCH_BYTES = 61  # of a batch's own head
_RECORD_BYTES = 12  # of a record's framing, about


class SimulatedBatch:
    """Records of one output partition."""

    def __init__(self, bytes_max: int) -> None:
        self.records: list[Unsaved] = []
        self._bytes_max = bytes_max
        self._bytes = _BATCH_BYTES

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers) -> object:
        if not all(isinstance(each, bytes | None) for each in (key, value, *(of for _, of in headers))):
            raise TypeError(f"not bytes: {key!r}, {value!r}, {headers!r}")
        size = _RECORD_BYTES + len(key or b"") + len(value or b"") + sum(len(k) + len(v) for k, v in headers)
        if self.records and self._bytes + size > self._bytes_max:
            return None
        self.records.append(Unsaved(timestamp, key, value, headers))
        self._bytes += size
        return size

    def record_count(self) -> int:
        return len(self.records)

    def size(self) -> int:
        return self._bytes


class SimulatedProducer:
    """With a transactional id or without."""

    def __init__(self, cluster: Cluster, transactional_id: str | None, *, timeout_s: float, batch_bytes: int) -> None:
        self._cluster = cluster
        self._id = None if transactional_id is None else cluster.transactions.of(transactional_id)
        self._timeout_s = timeout_s
        self._batch_bytes = batch_bytes
        self._connection = Connection(cluster.network)
        self._epoch = 0
        self._fenced = False
        self._in_transaction = False
        self._wrote = False  # in this transaction: an empty one has nothing to end
        self._last: dict[TopicPartition, asyncio.Future[object]] = {}  # batch of each partition

    async def start(self) -> None:
        self._fenced = self._in_transaction = False
        self._last.clear()
        if self._id is not None:
            id_ = self._id
            self._epoch = await self._send(lambda: self._cluster.transactions.take_over(id_, self._timeout_s))

    async def stop(self) -> None:
        """Its transaction stays open, until somebody takes over or its time is over."""
        self._fenced = True

    async def partitions_for(self, topic: str) -> int:
        return await self._send(lambda: len(self._cluster.partitions(topic)))

    def create_batch(self) -> Batch:
        return SimulatedBatch(self._batch_bytes)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[object]:
        """A batch that fails takes those behind it along: their sequence numbers have a gap before them."""
        assert isinstance(batch, SimulatedBatch)
        self._check_own()
        place = TopicPartition(topic, partition)
        self._wrote = True
        answer = self._last[place] = asyncio.ensure_future(self._after(self._last.get(place), batch, place))
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody has to await it
        return answer

    async def begin(self) -> None:
        self._check_own()
        if self._in_transaction:
            raise IllegalStateError("a transaction is open")
        self._in_transaction, self._wrote = True, False

    async def send_offsets(self, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        self._check_own()
        self._wrote = True
        group = self._cluster.group(membership.group)
        self._cluster.history.note("offsets", *offsets)
        await self._send_in_transaction(lambda transaction: group.commit_in(transaction, offsets, membership))

    async def commit(self) -> None:
        """As with aiokafka, a batch that failed does not keep it from being done."""
        self._check_own()
        await self._end(commit=True)

    async def abort(self) -> bool:
        if self._fenced or not self._in_transaction:
            return self._fenced
        try:
            await self._end(commit=False)
        except Fenced:
            return True
        except KafkaError:
            pass
        return False

    async def _end(self, *, commit: bool) -> None:
        if self._last:
            await asyncio.wait(self._last.values())
        id_ = self._id
        assert id_ is not None
        if self._wrote:
            await self._send(lambda: self._cluster.transactions.end(id_, self._epoch, commit=commit))
        self._in_transaction = False

    async def _after(self, last: asyncio.Future[object] | None, batch: SimulatedBatch, place: TopicPartition) -> object:
        if last is not None:
            await asyncio.wait([last])
            if last.cancelled() or last.exception() is not None:
                raise OutOfOrderSequenceNumber

        def append(transaction: Transaction | None) -> int:
            log = self._cluster.log(place)
            if batch.size() > log.batch_bytes_max:
                raise MessageSizeTooLargeError(f"{batch.size()} bytes")
            return log.append(batch.records, transaction, self._cluster.now_ms())

        if self._id is None:
            return await self._send(lambda: append(None))
        return await self._send_in_transaction(append)

    async def _send_in_transaction(self, effect: Callable[[Transaction], T]) -> T:
        """The first one begins it, once the last one has ended everywhere."""
        id_ = self._id
        assert id_ is not None
        epoch = self._epoch
        transactions = self._cluster.transactions

        def join() -> T | asyncio.Future[T]:
            transactions.check(id_, epoch)
            if id_.ending is None:
                return effect(transactions.join(id_, epoch))
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

            def ended(_: object) -> None:
                try:
                    answer.set_result(effect(transactions.join(id_, epoch)))
                except (KafkaError, Fenced) as error:
                    answer.set_exception(error)

            id_.ending.add_done_callback(ended)
            return answer

        return await self._send(join)

    async def _send(self, effect: Callable[[], T | asyncio.Future[T]]) -> T:
        try:
            return await self._connection.send(effect)
        except EpochOver:
            self._fenced = True
            raise

    def _check_own(self) -> None:
        if self._fenced:
            raise Fenced("this producer was fenced before")
