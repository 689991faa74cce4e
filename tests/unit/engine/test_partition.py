"""A partition's life without a broker: what becomes of it where the consumer has lost it before it was told."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Literal

from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition

from streams.engine.attempts import Attempts
from streams.engine.calls import Calls
from streams.engine.intake import Intake
from streams.engine.partition import Partition
from streams.engine.settings import EngineSettings
from streams.engine.stage import Later, Outputs
from tests.fakes import ManualClock, settle
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

    def pause(self, partition: TopicPartition) -> None:
        self._check(partition)
        self.paused = True

    def resume(self, partition: TopicPartition) -> None:
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
    async def committed(self, partition: TopicPartition) -> tuple[int, str]:
        return 0, ""


class FakeTransactions:
    """A producer that takes everything; counts those that are not stopped."""

    started = 0

    async def start(self) -> None:
        FakeTransactions.started += 1

    async def commit(self, *_: Any, **__: Any) -> None:
        pass

    async def stop(self) -> None:
        FakeTransactions.started -= 1


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
    clock, consumer = ManualClock(), FakeConsumer()
    settings = EngineSettings(transaction_interval_s=0.0)
    async with asyncio.TaskGroup() as tasks:
        attempts = Attempts("triage", Intake("triage", clock), clock=clock, rng=random.Random(1), settings=settings)
        partition = Partition(
            PARTITION,
            stage=FakeStage(),
            stage_name="triage",
            consumer=consumer,
            offsets=FakeOffsets(),  # type: ignore[arg-type]
            calls=Calls("triage", tasks, attempts),
            transactions=FakeTransactions,  # type: ignore[arg-type]
            dead_letter=dead_letter,
            on_fenced=lambda: None,
            clock=clock,
            settings=settings,
        )
        partition.start(tasks)
        await settle()
        assert partition.serving
        consumer.assigned = set()
        async with asyncio.timeout(5):
            await consumer.refused.wait()
        await settle()
        assert not partition.serving
        consumer.assigned, consumer.paused = {PARTITION}, True
        await clock.advance(10.0)
        assert partition.serving
        assert not consumer.paused
        await partition.close(1.0)
    assert FakeTransactions.started == 0
