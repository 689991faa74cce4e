"""A publisher without a broker: what becomes of it where the consumer has lost a partition before it was told."""

import asyncio
import random
from collections.abc import Sequence
from typing import Literal

from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition

from streams.engine.attempts import Attempts
from streams.engine.broker import Committed, Membership
from streams.engine.calls import Calls
from streams.engine.delivery import ExactlyOnce
from streams.engine.intake import Intake
from streams.engine.partition import Partition
from streams.engine.publisher import Publisher
from streams.engine.settings import EngineSettings
from streams.engine.stage import Later, Outputs
from tests.fakes import ManualClock, settle
from tests.unit.engine.fakes import FakeProducer
from topics.messages import Rejected
from topics.records import Out, Record

PARTITION = TopicPartition("in", 0)


class FakeConsumer:
    """Has the partition or not; without it every call about it is refused, as aiokafka does."""

    def __init__(self) -> None:
        self.assigned = {PARTITION}
        self.paused = True
        self.offset = 0
        self.refused = asyncio.Event()

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def pause(self, *partitions: TopicPartition) -> None:
        for partition in partitions:
            self._check(partition)
            self.paused = True

    def resume(self, *partitions: TopicPartition) -> None:
        for partition in partitions:
            self._check(partition)
            self.paused = False

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._check(partition)
        self.offset = offset

    async def position(self, partition: TopicPartition) -> int:
        self._check(partition)
        return self.offset

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def _check(self, partition: TopicPartition) -> None:
        if partition not in self.assigned:
            self.refused.set()
            raise IllegalStateError(f"Partition {partition} is not assigned")


class FakeOffsets:
    async def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed]:
        return dict.fromkeys(partitions, Committed(0, ""))


class FakeStage:
    def order(self, topic: str) -> Literal["none", "key"]:
        return "none"

    def lookback(self, topic: str) -> int:
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [() for _ in records]

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass


def dead_letter(record: Record, rejected: Rejected) -> Out:
    return Out("dead-letters", record.key, record.value, ())


async def test_a_partition_that_the_consumer_lost_ends_no_worker_and_starts_anew_once_it_is_back() -> None:
    """A rejoin takes the assignment away at once; the listener is told only when the coordinator comes to it."""
    clock, consumer, producers = ManualClock(), FakeConsumer(), []
    settings = EngineSettings(transaction_interval_s=0.0)

    def delivery() -> ExactlyOnce:
        producers.append(FakeProducer())
        return ExactlyOnce(producers[-1], Membership("group", 1, "member", None), timeout_ms=1_000)

    async with asyncio.TaskGroup() as tasks:
        attempts = Attempts("triage", Intake("triage", clock), clock=clock, rng=random.Random(1), settings=settings)
        partition = Partition(
            PARTITION,
            stage=FakeStage(),
            stage_name="triage",
            member=consumer,  # type: ignore[arg-type]
            calls=Calls("triage", tasks, attempts),
            dead_letter=dead_letter,
            parked_topic=None,
            clock=clock,
            settings=settings,
        )
        publisher = Publisher(
            [partition],
            stage_name="triage",
            member=consumer,  # type: ignore[arg-type]
            offsets=FakeOffsets(),  # type: ignore[arg-type]
            delivery=delivery,
            on_fenced=lambda: None,
            clock=clock,
            rng=random.Random(1),
            settings=settings,
        )
        publisher.start(tasks)
        await settle()
        assert publisher.serving
        consumer.assigned = set()
        await clock.advance(1.0)
        async with asyncio.timeout(5):
            await consumer.refused.wait()
        await settle()
        assert not publisher.serving
        consumer.assigned, consumer.paused = {PARTITION}, True
        await clock.advance(10.0)
        assert publisher.serving
        assert not consumer.paused
        await publisher.close(1.0)
    assert len(producers) > 1
    assert not any(producer.running for producer in producers)
