"""Outputs and offset of one input partition, written in one transaction.

One producer an input partition: aiokafka sends TxnOffsetCommit v0, which names no generation, so that only the
transactional id keeps a worker that lost its partition from committing.

A transaction is five steps, and their order is the guarantee:
1. begin, only now that results are ready: an open transaction hides every other record of its output partitions;
2. send the outputs, in batches and in order;
3. send the offset and its metadata;
4. look at every batch: a refused one does not fail the commit by itself, it would just be missing;
5. commit.
A failure at any step aborts, and the producer is thrown away: its sequence numbers are worth nothing any more.
"""

import asyncio
import functools
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import murmur2
from aiokafka.structs import TopicPartition

from topics.limits import OUTPUT_BATCH_BYTES
from topics.records import Out, Record

log = logging.getLogger(__name__)

Result = tuple[Record, Sequence[Out]]

_START_SECONDS_MAX = 30.0  # a predecessor's open transaction is aborted by it in milliseconds
_STOP_SECONDS_MAX = 1.0  # a healthy producer needs none; one that cannot reach its broker would never stop
_TOPIC_SECONDS_MAX = 3.0  # until a topic that the cluster does not name is taken for missing


class Fenced(Exception):
    """Another producer has the transactional id: the partition is another worker's, or was for a while."""


class OutputRefused(Exception):
    """An output cannot be written, however often it is tried: too large for its topic, or not bytes.

    `record` led to it; None where the refused batch held several outputs.
    """

    def __init__(self, message: str, record: Record | None, reason: Literal["too_large", "internal"]) -> None:
        super().__init__(message)
        self.record = record
        self.reason: Literal["too_large", "internal"] = reason


class Transactions:
    """A transactional producer: started once, used by one caller at a time, stopped once."""

    def __init__(
        self,
        *,
        transactional_id: str,
        group: str,
        timeout_ms: int,
        rng: random.Random,
        bootstrap_servers: str,
    ) -> None:
        self._group = group
        self._rng = rng
        self._timeout_s = timeout_ms / 1000 * 0.8  # ends before the broker's own timeout would fence us
        self._producer = AIOKafkaProducer(
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
            max_batch_size=OUTPUT_BATCH_BYTES,
            bootstrap_servers=bootstrap_servers,
        )

    async def start(self) -> None:
        """Fences the id's last producer and waits until its transaction has ended. Then offsets can be read."""
        async with asyncio.timeout(_START_SECONDS_MAX):
            await self._producer.start()

    async def commit(
        self,
        results: Sequence[Result],
        offsets: Mapping[TopicPartition, tuple[int, str]],
        *,
        one_output_a_batch: bool = False,
    ) -> None:
        """The five steps. Raises Fenced, OutputRefused, KafkaError or TimeoutError: then nothing is committed, or,
        where the answer was lost, all of it; either way the producer is spent and the committed offset says which.

        `one_output_a_batch` finds out which record leads to an output that is too large.
        """
        producer = self._producer
        sent: list[tuple[asyncio.Future[Any], Record | None]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.begin_transaction()  # 1
                await self._send(results, sent, one_output_a_batch)  # 2
                await producer.send_offsets_to_transaction(dict(offsets), self._group)  # 3
                await _look_at(sent)  # 4
                await producer.commit_transaction()  # 5
        except BaseException as error:
            _retrieve_errors(future for future, _ in sent)
            fenced = await self._abort() or isinstance(error, ProducerFenced)
            if fenced and isinstance(error, Exception):
                raise Fenced(str(error)) from error
            raise

    async def stop(self) -> None:
        """Lets go of the producer, whatever state it is in. Raises nothing but cancellation; lets go even then."""
        producer = self._producer
        try:
            async with asyncio.timeout(_STOP_SECONDS_MAX):
                await producer.stop()
        except BaseException as error:
            await producer.client.close()
            if producer._sender.sender_task is not None:
                producer._sender.sender_task.cancel()  # it would go on sending for ever
            if not isinstance(error, Exception):
                raise
            log.warning("a producer did not stop in order, its transaction ends by its successor or by time: %r", error)
        finally:
            _retrieve_errors(_unawaited(producer))

    async def _send(
        self, results: Sequence[Result], sent: list[tuple[asyncio.Future[Any], Record | None]], one_output_a_batch: bool
    ) -> None:
        producer = self._producer
        partitions: dict[str, int] = {}
        keyless: dict[str, int] = {}  # outputs without a key stay together for a transaction, as in Java
        open_batches: dict[tuple[str, int], tuple[Any, Record]] = {}  # with the record that its first output is of

        async def submit(where: tuple[str, int]) -> None:
            batch, record = open_batches.pop(where)
            alone = batch.record_count() == 1
            future = await producer.send_batch(batch, where[0], partition=where[1])
            sent.append((future, record if alone else None))

        for record, outs in results:
            try:
                for topic, key, value, headers, timestamp_ms in outs:
                    count = partitions.get(topic)
                    if count is None:
                        count = partitions[topic] = await self._partitions_of(topic)
                        keyless[topic] = self._rng.randrange(count)
                    where = (topic, _hash(key) % count if key is not None else keyless[topic])
                    header_list = headers if type(headers) is list else list(headers)  # aiokafka takes nothing else
                    opened = open_batches.get(where)
                    if opened is not None:
                        added = opened[0].append(timestamp=timestamp_ms, key=key, value=value, headers=header_list)
                        if added is not None:
                            continue
                        await submit(where)
                    batch = producer.create_batch()
                    batch.append(timestamp=timestamp_ms, key=key, value=value, headers=header_list)  # the first fits
                    open_batches[where] = (batch, record)
                    if one_output_a_batch:
                        await submit(where)
            except (TypeError, ValueError, AttributeError) as error:
                raise OutputRefused(f"{type(error).__name__}: {error}", record, "internal") from error
        for where in list(open_batches):
            await submit(where)

    async def _partitions_of(self, topic: str) -> int:
        try:
            async with asyncio.timeout(_TOPIC_SECONDS_MAX):
                return len(await self._producer.partitions_for(topic))
        except TimeoutError:
            raise UnknownTopicOrPartitionError(
                f"the cluster names no topic {topic!r}: create it with `sluice topics apply`, and allow Describe on it"
            ) from None

    async def _abort(self) -> bool:
        """As far as the producer's state allows; its successor's start ends what is left. True: it is fenced."""
        _retrieve_errors(_unawaited(self._producer))
        try:
            async with asyncio.timeout(_STOP_SECONDS_MAX):
                await self._producer.abort_transaction()
        except ProducerFenced:
            return True
        except (KafkaError, AssertionError, TimeoutError):  # aiokafka asserts that its state allows the abort
            pass
        return False


async def _look_at(sent: Sequence[tuple[asyncio.Future[Any], Record | None]]) -> None:
    for future, record in sent:
        try:
            await future
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise OutputRefused("larger than the topic's max.message.bytes", record, "too_large") from error


def _unawaited(producer: AIOKafkaProducer) -> Iterator[asyncio.Future[Any]]:
    """Futures inside aiokafka that get an error when the producer is fenced, and that nobody waits for."""
    state = producer._txn_manager
    if state._transaction_waiter is not None:
        yield state._transaction_waiter
    yield from (future for _, _, future in state._pending_txn_offsets)
    for batches in producer._message_accumulator._batches.values():
        yield from (batch._drain_waiter for batch in batches)


def _retrieve_errors(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Without it asyncio logs each of them as never retrieved, with a trace, whenever a partition changes hands."""
    for future in futures:
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


@functools.lru_cache(maxsize=65_536)  # 2.9 µs a key in Python
def _hash(key: bytes) -> int:
    """Java's default partitioner: murmur2 without its sign."""
    return int(murmur2(key)) & 0x7FFFFFFF
