"""Outputs and offsets, published together: in one transaction, or at least once.

A transaction is five steps, and their order is the guarantee:
1. begin, only now that results are ready: an open transaction hides every other record of its output partitions;
2. send the offsets with their metadata, in the name of the group's generation: a worker that lost its partitions is
   refused before it writes anything, even where it has a producer of its own;
3. send the outputs, in batches. Not at the same time as the offsets: the broker refuses a partition's first batch
   while the transaction's coordinator is busy with them, and aiokafka tries again only a while later;
4. look at every batch: a refused one does not fail the commit by itself, it would just be missing;
5. commit.
A failure at any step aborts, and the producer is thrown away: its sequence numbers are worth nothing any more.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.structs import TopicPartition

from streams.engine.broker import Committed, Fenced, Member, Membership, Producer
from streams.engine.outbox import OutputRefused, Sealed

log = logging.getLogger(__name__)


class Delivery(Protocol):
    """Started once, used by one caller at a time, stopped once."""

    producer: Producer

    async def start(self) -> None:
        """After it, committed offsets may be read: none can change but by this worker."""
        ...

    async def publish(self, batches: Sequence[Sealed], offsets: Mapping[TopicPartition, Committed]) -> None:
        """Raises Fenced, OutputRefused, KafkaError or TimeoutError: then the producer is spent, and only the group's
        offsets say what was published."""
        ...

    async def stop(self) -> None:
        """Lets go of the producer, whatever state it is in. Raises nothing but cancellation."""
        ...


class ExactlyOnce:
    """A reader of committed records sees outputs and offsets together or not at all."""

    def __init__(self, producer: Producer, membership: Membership, *, timeout_ms: int) -> None:
        self.producer = producer
        self._membership = membership
        self._timeout_s = timeout_ms / 1000 * 0.8  # ends before the broker's own timeout would fence us

    async def start(self) -> None:
        """Fences the id's last producer and ends its transaction."""
        await self.producer.start()

    async def publish(self, batches: Sequence[Sealed], offsets: Mapping[TopicPartition, Committed]) -> None:
        """The five steps."""
        producer = self.producer
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.begin()  # 1
                await producer.send_offsets(offsets, self._membership)  # 2
                sent = await _send(producer, batches)  # 3
                await _look_at(sent)  # 4
                await producer.commit()  # 5
        except BaseException as error:
            if await producer.abort() and isinstance(error, Exception) and not isinstance(error, Fenced):
                raise Fenced(str(error)) from error
            raise

    async def stop(self) -> None:
        await self.producer.stop()


class AtLeastOnce:
    """Outputs first, then offsets: whoever dies between the two repeats what it published last."""

    def __init__(self, producer: Producer, member: Member, *, timeout_ms: int) -> None:
        self.producer = producer
        self._member = member
        self._timeout_s = timeout_ms / 1000

    async def start(self) -> None:
        await self.producer.start()

    async def publish(self, batches: Sequence[Sealed], offsets: Mapping[TopicPartition, Committed]) -> None:
        async with asyncio.timeout(self._timeout_s):
            await _look_at(await _send(self.producer, batches))
            await self._member.commit(offsets)

    async def stop(self) -> None:
        await self.producer.stop()


_Sent = Sequence[tuple[Awaitable[object], Sealed]]


async def _send(producer: Producer, batches: Sequence[Sealed]) -> _Sent:
    """The first batch of every output partition, then the second of every one: a producer holds one batch of each."""
    turns: Counter[tuple[str, int]] = Counter()
    in_turn: list[tuple[int, Sealed]] = []
    for sealed in batches:
        where = (sealed.topic, sealed.partition)
        in_turn.append((turns[where], sealed))
        turns[where] += 1
    in_turn.sort(key=lambda each: each[0])  # stable: batches of one partition stay in order
    return [
        (await producer.send_batch(sealed.batch, sealed.topic, partition=sealed.partition), sealed)
        for _, sealed in in_turn
    ]


async def _look_at(sent: _Sent) -> None:
    for answer, sealed in sent:
        try:
            await answer
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            told = f"larger than max.message.bytes of topic {sealed.topic}"
            raise OutputRefused(told, sealed.record, "too_large") from error
