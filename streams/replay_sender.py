"""Writes dead letters back, and a Replay for each, in one transaction: both become visible, or neither.

Every run has the same transactional id, so that starting one fences the one before it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, NoReturn

from aiokafka.codec import lz4_encode
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from processors.clock import Clock
from processors.errors import ConfigurationError, SluiceError
from streams.brokers import Brokers
from streams.engine.broker import Batch, Fenced
from streams.engine.kafka_producer import KafkaProducer
from streams.replay_choice import Going
from streams.topics_admin import Existing
from topics import codec, limits
from topics.catalog import REPLAYS, Names
from topics.headers import EventHeaders
from topics.messages import Replay
from topics.records import Headers

_TRANSACTION_SECONDS_MAX = limits.TRANSACTION_TIMEOUT_MS / 1000 * 0.8  # ends before the broker's own would fence us

_by_key = DefaultPartitioner()  # Java's


class ReplayEnded(SluiceError):
    """A run cannot go on. What it has committed is done, the rest is not; the message says how to go on."""


@asynccontextmanager
async def sender(
    brokers: Brokers, names: Names, targets: Mapping[str, Existing], clock: Clock
) -> AsyncIterator["Sender"]:
    """A sender that has fenced every other. `targets`: the topics that may be written to, as they are.

    Raises ConfigurationError where the broker refuses the transactional id, ReplayEnded where it does not answer.
    """
    smallest = min(map(bytes_max, targets.values()))
    producer = _Producer(brokers, names.replayer, batch_bytes=min(limits.OUTPUT_BATCH_BYTES, smallest // 2))
    try:
        try:
            await producer.start()
        except TransactionalIdAuthorizationFailed as error:
            raise ConfigurationError(
                f"the broker refuses the transactional id '{names.replayer}': allow Write and Describe on it;"
                f" one prefixed ACL on '{names.prefix}' covers all that Sluice owns"
            ) from error
        except KafkaError as error:
            raise ReplayEnded(f"the broker gives no transactional producer ({error}): nothing was sent") from error
        yield Sender(producer, names, targets, clock)
    finally:
        await producer.stop()


def fits(going: Going, topic: Existing) -> bool:
    """Whether the topic admits the record, compressed where it has to be, as its sender may have done."""
    headers = list(going.letter.replayed())
    estimate = DefaultRecordBatchBuilder.estimate_size_in_bytes
    plain: int = estimate(going.key, going.value, headers)
    if plain <= bytes_max(topic) or going.value is None:
        return plain <= bytes_max(topic)
    compressed: int = estimate(going.key, lz4_encode(going.value), headers)
    return plain <= limits.DEAD_LETTER_VALUE_BYTES_MAX and compressed <= bytes_max(topic)


def bytes_max(topic: Existing) -> int:
    """The largest batch that the topic admits."""
    return min(int(topic.config["max.message.bytes"]), limits.DEAD_LETTER_VALUE_BYTES_MAX)


class _Producer(KafkaProducer):
    """Its batches are compressed, and one of several records is small enough for every topic."""

    def __init__(self, brokers: Brokers, transactional_id: str, *, batch_bytes: int) -> None:
        super().__init__(brokers, transactional_id, timeout_ms=limits.TRANSACTION_TIMEOUT_MS)
        self._batch_bytes = batch_bytes

    def create_batch(self) -> Batch:
        batch: Batch = BatchBuilder(
            self._batch_bytes,
            DefaultRecordBatch.CODEC_LZ4,
            is_transactional=True,
            key_serializer=None,
            value_serializer=None,
        )
        return batch


class _Out(NamedTuple):
    """A record to be written to a partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Sender:
    """One transaction after the other, until the first that fails."""

    def __init__(self, producer: KafkaProducer, names: Names, targets: Mapping[str, Existing], clock: Clock) -> None:
        self._producer = producer
        self._replays = names.topic(REPLAYS)
        self._targets = targets
        self._clock = clock
        self._headers = EventHeaders("replay", "replay")
        self._sent = 0

    async def send(self, batch: Sequence[Going]) -> None:
        """Sends all of them back, in order. Raises ReplayEnded or ConfigurationError: then none of them is sent, or,
        where the answer to the commit was lost, all."""
        try:
            async with asyncio.timeout(_TRANSACTION_SECONDS_MAX):
                await self._transaction(batch)
        except Fenced as error:
            self._end("another `sluice replay` has begun and took over, or this one stood still too long", error)
        except TopicAuthorizationFailedError as error:
            topics = ", ".join(sorted({going.letter.topic for going in batch} | {self._replays}))
            raise ConfigurationError(
                f"the broker does not allow writing to all of {topics}: `sluice replay` needs Write on the topics that"
                f" dead letters came from. {self._sent:,} dead letters were sent back by this run"
            ) from error
        except KafkaError as error:
            self._end(f"the broker refused a transaction ({error})", error)
        except TimeoutError as error:
            self._end(f"the broker did not end a transaction within {_TRANSACTION_SECONDS_MAX:g} s", error)
        self._sent += len(batch)

    async def _transaction(self, batch: Sequence[Going]) -> None:
        try:
            await self._producer.begin()
            written = await self._write([self._back(going) for going in batch])
            await self._write([self._note(going, to) for going, to in zip(batch, written, strict=True)])
            await self._producer.commit()
        except BaseException as error:
            if await self._producer.abort() and isinstance(error, Exception):
                raise Fenced(str(error)) from error
            raise

    async def _write(self, outs: Sequence[_Out]) -> list[str]:
        """Message ids of what was written, in the same order."""
        ids = [""] * len(outs)
        gathered: dict[tuple[str, int], tuple[Batch, list[int]]] = {}  # open batches, with the outs that are in each
        sent: list[tuple[Any, list[int]]] = []

        async def submit(where: tuple[str, int]) -> None:
            batch, numbers = gathered.pop(where)
            sent.append((await self._producer.send_batch(batch, where[0], partition=where[1]), numbers))

        for number, (topic, partition, key, value, headers) in enumerate(outs):
            where = topic, partition
            if where in gathered:
                batch, numbers = gathered[where]
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is not None:
                    numbers.append(number)
                    continue
                await submit(where)
            batch = self._producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)  # the first fits
            gathered[where] = batch, [number]
        for where in list(gathered):
            await submit(where)
        for answer, numbers in sent:
            first = await answer
            for position, number in enumerate(numbers):
                ids[number] = f"{first.topic}/{first.partition}/{first.offset + position}"
        return ids

    def _back(self, going: Going) -> _Out:
        """To the partition where it lay: its key's other records are there. By its key where that is gone."""
        letter = going.letter
        partition, partitions = letter.partition, list(range(self._targets[letter.topic].partitions))
        if partition not in partitions:
            partition = _by_key(going.key, partitions, partitions)
        return _Out(letter.topic, partition, going.key, going.value, letter.replayed())

    def _note(self, going: Going, to: str) -> _Out:
        """The Replay, which keeps the dead letter from being sent back again."""
        letter, now_ms = going.letter, int(self._clock.time() * 1000)
        replay = Replay(
            id=going.id,
            letter_at_ms=going.at_ms,
            of=letter.replay_of,
            to=to,
            reason=letter.reason,
            replays=letter.replays + 1,
            at_ms=now_ms,
        )
        return _Out(self._replays, 0, going.id.encode(), codec.encode(replay), self._headers(going.id, now_ms))

    def _end(self, why: str, error: Exception) -> NoReturn:
        raise ReplayEnded(
            f"{why}. {self._sent:,} dead letters were sent back by this run. Run it again for what is left: it finds"
            " out by itself what was sent"
        ) from error
