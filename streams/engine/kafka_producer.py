"""aiokafka's producer, with what the engine needs besides: offsets that name their generation, errors that say Fenced,
and an end that is sure.
"""

import asyncio
import logging
from collections.abc import Awaitable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    ProducerFenced,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import Sender, TxnOffsetCommitHandler
from aiokafka.structs import TopicPartition

from streams.brokers import Brokers
from streams.engine import kafka_protocol
from streams.engine.broker import Batch, Committed, Fenced, Membership
from topics.limits import OUTPUT_BATCH_BYTES
from topics.records import Headers

log = logging.getLogger(__name__)

_START_SECONDS_MAX = 30.0  # a predecessor's open transaction is aborted by it in milliseconds
_STOP_SECONDS_MAX = 1.0  # a healthy producer needs none; one that cannot reach its broker would never stop
_TOPIC_SECONDS_MAX = 3.0  # until a topic that the cluster does not name is taken for missing
_RETRY_BACKOFF_MS = 20  # a coordinator that is busy with the last transaction answers so, and is free in milliseconds
_NOT_COMPRESSED = 0

_GENERATION_OVER = {
    kafka_protocol.ILLEGAL_GENERATION: "the group has gone on to another generation",
    kafka_protocol.UNKNOWN_MEMBER_ID: "the group does not know this member any more",
    kafka_protocol.FENCED_INSTANCE_ID: "another worker has joined the group under this one's instance id",
}


class KafkaProducer:
    """One `broker.Producer`."""

    def __init__(self, brokers: Brokers, transactional_id: str | None, *, timeout_ms: int) -> None:
        self._id = transactional_id
        self._starting: asyncio.Future[None] | None = None
        self._producer = producer = AIOKafkaProducer(
            **brokers.client_options,
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
            enable_idempotence=True,
            acks="all",
        )
        self._sender = producer._sender = _Sender(
            producer.client,
            acks=-1,
            txn_manager=producer._txn_manager,
            message_accumulator=producer._message_accumulator,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            request_timeout_ms=timeout_ms,
        )

    async def start(self) -> None:
        """Raises KafkaTimeoutError where that takes longer than any transaction may."""
        self._starting = asyncio.ensure_future(self._producer.start())
        try:
            async with asyncio.timeout(_START_SECONDS_MAX):
                await asyncio.shield(self._starting)  # cancelled, it would leave a connection open: `stop` ends it
        except TimeoutError:
            raise KafkaTimeoutError(f"producer {self._id} did not start in {_START_SECONDS_MAX:.0f} s") from None

    async def stop(self) -> None:
        producer, starting = self._producer, self._starting
        if starting is not None and not starting.done():
            await asyncio.wait({starting}, timeout=_STOP_SECONDS_MAX)
            starting.cancel()
            _retrieve_errors([starting])
        try:
            async with asyncio.timeout(_STOP_SECONDS_MAX):
                await producer.stop()
        except BaseException as error:
            await producer.client.close()
            if self._sender.sender_task is not None:
                self._sender.sender_task.cancel()  # it would go on sending for ever
            if not isinstance(error, Exception):
                raise
            log.warning("a producer did not stop in order, its transaction ends by its successor or by time: %r", error)
        finally:
            _retrieve_errors(self._unawaited())

    async def partitions_for(self, topic: str) -> int:
        try:
            async with asyncio.timeout(_TOPIC_SECONDS_MAX):
                return len(await self._producer.partitions_for(topic))
        except TimeoutError:
            raise UnknownTopicOrPartitionError(
                f"no broker tells of topic {topic!r}: either none answers, or it is missing: then create it with "
                "`sluice topics apply`, and allow Describe on it"
            ) from None

    def create_batch(self) -> Batch:
        return _Batch(OUTPUT_BATCH_BYTES, _NOT_COMPRESSED, is_transactional=self._id is not None)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[object]:
        with self._fencing():
            future = await self._producer.send_batch(batch, topic, partition=partition)
        _retrieve_errors([future])
        if isinstance(batch, _Batch):
            future.add_done_callback(batch.forget)
        return _Answer(self, future)

    async def begin(self) -> None:
        with self._fencing():
            await self._producer.begin_transaction()

    async def send_offsets(self, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        if membership.generation < 0:  # Kafka would take these offsets for those of a client without a group
            raise Fenced("this worker is not in its group now")
        self._sender.membership = membership
        with self._fencing():
            await self._producer.send_offsets_to_transaction(dict(offsets), membership.group)

    async def commit(self) -> None:
        with self._fencing():
            await self._producer.commit_transaction()

    async def abort(self) -> bool:
        _retrieve_errors(self._unawaited())
        try:
            with self._fencing():
                async with asyncio.timeout(_STOP_SECONDS_MAX):
                    await self._producer.abort_transaction()
        except Fenced:
            return True
        except (KafkaError, TimeoutError):
            pass
        return False

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        """Says Fenced where aiokafka says so in one of its ways; its assertions on a spent producer are KafkaErrors."""
        try:
            yield
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced(f"another producer has started as {self._id}") from error
        except AssertionError as error:
            if self._sender.fenced:
                raise Fenced(f"another producer has started as {self._id}") from error
            raise KafkaError(f"producer {self._id} is spent: {error}") from error

    def _unawaited(self) -> Iterator[asyncio.Future[Any]]:
        """Futures inside aiokafka that get an error when the producer is fenced, and that nobody waits for."""
        state = self._producer._txn_manager
        if state._transaction_waiter is not None:
            yield state._transaction_waiter
        yield from (future for _, _, future in state._pending_txn_offsets)
        for batches in self._producer._message_accumulator._batches.values():
            yield from (batch._drain_waiter for batch in batches)


class _Answer:
    """The broker's, to one batch."""

    __slots__ = ("_future", "_producer")

    def __init__(self, producer: KafkaProducer, future: asyncio.Future[object]) -> None:
        self._producer = producer
        self._future = future

    def __await__(self) -> Generator[Any, None, object]:
        with self._producer._fencing():
            return (yield from self._future)


class _Batch(BatchBuilder):  # type: ignore[misc]
    """aiokafka's, less what it does for serializers: a sixth to a third of an append, by the number of headers."""

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers) -> object:
        added = self._builder.append(self._relative_offset, timestamp, key, value, headers)
        if added is None:
            self._closed = True
        else:
            self._relative_offset += 1
        return added

    def forget(self, answer: "asyncio.Future[object]") -> None:
        """The broker has answered. aiokafka's sender refers to the batch until its next one goes out."""
        if not answer.cancelled():  # else it may yet go out
            self._buffer = b""


class _Sender(Sender):  # type: ignore[misc]
    """Sends offsets in the name of the group's generation. aiokafka's own names none: any zombie may commit."""

    membership: Membership

    @property
    def fenced(self) -> bool:
        """Whether it ended because another producer has the transactional id."""
        task = self.sender_task
        ended = task is not None and task.done() and not task.cancelled()
        return ended and isinstance(task.exception(), ProducerFenced)

    async def _do_txn_offset_commit(self, offsets: dict[TopicPartition, Any], group_id: str) -> None:
        try:
            node_id = await self._find_coordinator(CoordinationType.GROUP, group_id)
        except GroupAuthorizationFailedError as error:
            self._txn_manager.error_transaction(error)
            return
        await _OffsetsHandler(self, offsets, group_id).do(node_id)


class _OffsetsHandler(TxnOffsetCommitHandler):  # type: ignore[misc]
    def create_request(self) -> kafka_protocol.TxnOffsetCommit:
        transaction = self._sender._txn_manager
        return kafka_protocol.TxnOffsetCommit(
            transaction.transactional_id,
            transaction.producer_id,
            transaction.producer_epoch,
            self._sender.membership,
            self._offsets,
        )

    def handle_response(self, response: kafka_protocol.TxnOffsetCommitResponse_v3) -> float | None:
        """A backoff in seconds where it is to be sent again."""
        errors = [
            (topic, [(partition, code) for partition, code, _ in partitions])
            for topic, partitions, _ in response.topics
        ]
        for _, codes in errors:
            for _, code in codes:
                if code in _GENERATION_OVER:
                    # Not aiokafka's own abortable error: with that it forgets what is in the transaction, and never
                    # tells the broker of the abort.
                    _, _, future = self._sender._txn_manager._pending_txn_offsets.popleft()
                    future.set_exception(Fenced(_GENERATION_OVER[code]))
                    return None
        backoff: float | None = super().handle_response(SimpleNamespace(errors=errors))
        return backoff


def _retrieve_errors(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Without it asyncio logs each of them as never retrieved, with a trace, whenever a partition changes hands."""
    for future in futures:
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
