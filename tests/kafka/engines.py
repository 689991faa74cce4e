"""Engines for tests: a stage whose behaviour a test writes in one line, run until the test has seen enough."""

import asyncio
import contextlib
import functools
import inspect
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import TopicPartition

from processors.clock import SystemClock
from streams import topics_admin
from streams.engine.engine import Engine, EngineSettings
from streams.engine.kafka import KafkaBroker
from streams.engine.stage import Later, Outputs, Stage
from tests.kafka.bus import FETCH_WAIT_MS, Bus
from topics import dead_letters
from topics.catalog import DEAD_LETTERS, PARKED
from topics.records import Out, Record

SECONDS_MAX = 30.0

Work = Callable[[Record], Outputs | Later]


def name(record: Record) -> bytes:
    """`partition/offset`: what the stages of these tests write about a record."""
    return b"%d/%d" % (record.partition, record.offset)


class FakeStage:
    """Writes one output a record to `output`: its `name`, at once, unless `work` says otherwise."""

    def __init__(
        self,
        output: str,
        work: Work | None = None,
        *,
        order: Literal["none", "key"] = "none",
        lookback: int = 0,
    ) -> None:
        self._output = output
        self._work = work or self.ready
        self._order = order
        self._lookback = lookback
        self.taken: Counter[bytes] = Counter()
        self.recalled: list[bytes] = []
        self.forgotten: list[int] = []

    def ready(self, record: Record) -> Outputs:
        return (Out(self._output, record.key, name(record), ()),)

    def order(self, topic: str) -> Literal["none", "key"]:
        return self._order

    def lookback(self, topic: str) -> int:
        return self._lookback

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        self.taken.update(map(name, records))
        return [self._work(record) for record in records]

    def recall(self, records: Sequence[Record]) -> None:
        self.recalled += map(name, records)

    def forget(self, topic: str, partition: int) -> None:
        self.forgotten.append(partition)


class Slow:
    """Work that takes a while: its Laters end after a random time, or when the test says so."""

    def __init__(self, output: str, seconds_max: float = 0.2, *, every: int = 1, seed: int = 1) -> None:
        """Each `every`th record of a partition is slow, the others are ready."""
        self._output = output
        self._seconds_max = seconds_max
        self._every = every
        self._rng = random.Random(seed)
        self.gate = asyncio.Event()  # where `held` says so, a Later waits for it
        self.held: Callable[[Record], bool] = lambda _: False
        self.begun: Counter[bytes] = Counter()
        self.ended: Counter[bytes] = Counter()

    def __call__(self, record: Record) -> Outputs | Later:
        outputs = (Out(self._output, record.key, name(record), ()),)
        if record.offset % self._every:
            return outputs
        return functools.partial(self._later, record, outputs)

    async def _later(self, record: Record, outputs: Outputs) -> Outputs:
        self.begun[name(record)] += 1
        if self.held(record):
            await self.gate.wait()
        else:
            await asyncio.sleep(self._rng.uniform(0, self._seconds_max))
        self.ended[name(record)] += 1
        return outputs


def engine(
    bus: Bus,
    stage: Stage,
    start: Literal["earliest", "latest"] = "earliest",
    *,
    parks: bool = False,
    **settings: Any,
) -> Engine:
    """A triage engine on the bus's topics `in` and `dead-letters`, and on `parked` where the stage `parks`."""
    return Engine(
        stage,
        stage_name="triage",
        topics={bus.prefix + "in": start},
        names=bus.names,
        broker=KafkaBroker(bus.brokers),
        clock=SystemClock(),
        rng=random.Random(1),
        dead_letter=functools.partial(dead_letters.dead_letter, stage="triage", topic=bus.names.topic(DEAD_LETTERS)),
        settings=EngineSettings(**settings),
        parked_topic=bus.names.topic(PARKED) if parks else None,
    )


@contextlib.asynccontextmanager
async def running(an_engine: Engine) -> AsyncIterator[Callable[[], None]]:
    """Runs the engine, and stops it in order at the end. What is given ends it as a crash would, without a commit."""
    stop = asyncio.Event()
    task = asyncio.create_task(an_engine.run(stop))
    try:
        yield task.cancel
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, SECONDS_MAX)


async def until(true: Callable[[], Any], what: str = "what the test waits for") -> None:
    """Waits for something that others bring about; `true` may be a coroutine function."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not (await answer if inspect.isawaitable(answer := true()) else answer):  # noqa: ASYNC110 a broker sets no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {SECONDS_MAX:.0f} s") from None


async def lag(bus: Bus, topic: str) -> int | None:
    """Ends of the partitions less what triage has committed, as a lag scaler computes it; None: not all committed.
    A partition that never had a record needs no commit."""
    async with topics_admin.connected(bus.brokers) as admin:
        try:
            committed = await admin.list_consumer_group_offsets(bus.names.group("triage"))
        except GroupCoordinatorNotAvailableError:  # the broker's first group: its topic is being made
            return None
    ends = {partition: end for partition, end in (await _ends(bus, topic)).items() if end}
    if not ends.keys() <= committed.keys():
        return None
    return sum(end - committed[partition].offset for partition, end in ends.items())


async def drained(bus: Bus, topic: str) -> None:
    """Waits until the group's lag is zero."""

    async def zero() -> bool:
        return await lag(bus, topic) == 0

    await until(zero, f"lag zero on {topic}")


async def count(bus: Bus, topic: str, at_least: int) -> None:
    """Waits until a reader of committed records finds so many."""

    async def enough() -> bool:
        return len(await bus.values(topic)) >= at_least

    await until(enough, f"{at_least} records in {topic}")


async def committed(bus: Bus, topic: str, partition: int = 0) -> tuple[int, str]:
    """The group's offset and metadata; -1 where there is none."""
    at = TopicPartition(topic, partition)
    async with topics_admin.connected(bus.brokers) as admin:
        found = await admin.list_consumer_group_offsets(bus.names.group("triage"), partitions=[at])
    return found[at].offset, found[at].metadata


async def _ends(bus: Bus, topic: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**bus.brokers.client_options, fetch_max_wait_ms=FETCH_WAIT_MS)
    async with consumer:
        await topics_admin.assign(consumer, [topic], from_beginning=False)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        return ends
