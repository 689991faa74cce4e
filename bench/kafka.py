"""A topic filled on a local Kafka, and an engine that works it off while it is measured."""

import asyncio
import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter

from bench import messages
from bench.cost import Cost, Stopwatch
from processors import metrics
from processors.clock import SystemClock
from streams import topics_admin
from streams.engine.engine import Engine, EngineSettings
from streams.engine.stage import Later, Outputs, Stage
from topics import dead_letters
from topics.catalog import DEAD_LETTERS, Names
from topics.limits import OUTPUT_BATCH_BYTES
from topics.records import Record

_LOOK_SECONDS = 0.005


async def create(brokers: str, partitions: int, inputs: Sequence[str], names: Names) -> None:
    """The input topics where they are missing, and all owned topics under the prefix."""
    await topics_admin.apply(brokers, names, partitions=partitions, replication_factor=1, inputs=inputs)


async def fill(brokers: str, topic: str, partitions: int, records: Sequence[tuple[bytes, bytes]], count: int) -> None:
    """Writes `count` records, `records` (key, value) over and over, to the partitions in turn."""
    async with AIOKafkaProducer(bootstrap_servers=brokers, max_batch_size=OUTPUT_BATCH_BYTES) as producer:
        for first in range(0, count, len(records)):
            partition = first // len(records) % partitions
            sent = []
            batch = producer.create_batch()
            for key, value in records[: count - first]:
                if batch.append(timestamp=None, key=key, value=value) is None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, key=key, value=value)
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            await asyncio.gather(*sent)


async def work_off(
    stage: Stage, brokers: str, names: Names, topic: str, count: int, seconds_max: float, **settings: Any
) -> Cost:
    """From the first record taken until the last of `count` is committed, at most `seconds_max`. Counts the committed.

    One a process: it reads the engine's own metrics.
    """
    timed = _Timed(stage)
    engine = Engine(
        timed,
        stage_name="triage",
        topics={topic: "earliest"},
        names=names,
        bootstrap_servers=brokers,
        clock=SystemClock(),
        rng=random.Random(messages.SEED),
        dead_letter=functools.partial(dead_letters.dead_letter, stage="triage", topic=names.topic(DEAD_LETTERS)),
        settings=EngineSettings(**settings),
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(engine.run(stop))
        await _until(lambda: _count(metrics.COMMITTED) >= count or timed.watch.wall_s >= seconds_max, running)
        cost = timed.watch.cost(_count(metrics.COMMITTED))
        if _count(metrics.REJECTED):
            raise ValueError("some records became dead letters: the figures would not be of what they claim")
        stop.set()
    return cost


class _Timed:
    """A stage with a watch that runs from the first record it takes: from outside that moment cannot be seen."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._taken = False
        self.watch = Stopwatch()
        self.order = stage.order
        self.lookback = stage.lookback
        self.recall = stage.recall
        self.forget = stage.forget

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        if not self._taken:
            self._taken = True
            self.watch = Stopwatch()
        return self._stage.take(records)


async def _until(true: Callable[[], bool], running: "asyncio.Task[None]") -> None:
    """Returns early where the engine ended: its task group raises what it ended with."""
    while not true() and not running.done():  # noqa: ASYNC110 a metric sets no event
        await asyncio.sleep(_LOOK_SECONDS)


def _count(counter: Counter) -> int:
    samples = (sample for metric in counter.collect() for sample in metric.samples)
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))
