"""One test's topics, load and workers, and the verdict when all is worked off."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams import topics_admin
from tests.chaos import checks, journal
from tests.chaos.checks import Counts
from tests.chaos.fleet import Fleet
from tests.chaos.load import feed
from tests.kafka.bus import FETCH_WAIT_MS, Bus, Isolation
from tests.kafka.engines import lag
from topics.catalog import DEAD_LETTERS, DECISIONS

SESSION_TIMEOUT_S = 3.0
TRANSACTION_TIMEOUT_S = 5.0
SHORT: dict[str, Any] = {
    "session_timeout_ms": int(SESSION_TIMEOUT_S * 1000),
    "transaction_timeout_ms": int(TRANSACTION_TIMEOUT_S * 1000),
    "attempts_max": 3,
    "shutdown_seconds": 5.0,
}
DRAIN_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a trial is made of."""

    records: int  # a quarter of them is there before the first worker
    seconds: float  # over which the others are produced
    partitions: int = 8
    order: Literal["none", "key"] = "none"
    settings: dict[str, Any] | None = None  # EngineSettings beside those of SHORT
    exactly_once: bool = True


@dataclass(slots=True)
class Trial:
    """`fleet` is there to be broken; `verdict` comes last."""

    plan: Plan
    bus: Bus
    fleet: Fleet
    rng: random.Random
    load: "asyncio.Task[None]"

    async def pause(self, least_s: float, most_s: float) -> None:
        """So long, at random."""
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    async def drained(self) -> None:
        """Waits until all is produced and the group's lag is zero."""
        await self.load
        topic = self.bus.prefix + "in"
        began = time.monotonic()
        while (left := await lag(self.bus, topic)) != 0:
            if time.monotonic() - began > DRAIN_SECONDS_MAX:
                raise AssertionError(f"lag {left} after {DRAIN_SECONDS_MAX:.0f} s; see {self.fleet.folder}")
            await asyncio.sleep(0.2)

    async def verdict(self) -> Counts:
        """Works all off, ends the workers in order, and counts. Lag is zero then, and no transaction is open."""
        await self.drained()
        await self.fleet.end_all()
        bus, plan = self.bus, self.plan
        outputs = [bus.names.topic(DECISIONS), bus.names.topic(DEAD_LETTERS)]
        await _closed(bus, outputs)
        endings = [checks.decision(record) for record in await bus.read(outputs[0])]
        endings += [checks.dead_letter(record) for record in await bus.read(outputs[1])]
        assert await lag(bus, bus.prefix + "in") == 0
        counts = checks.count(
            await bus.read(bus.prefix + "in"),
            endings,
            journal.read(self.fleet.folder),
            self.fleet.faults,
            ordered=plan.order == "key",
            exactly_once=plan.exactly_once,
        )
        if counts.records != plan.records:
            counts.problems.append(f"{plan.records} records were to be produced")
        return counts


@contextlib.asynccontextmanager
async def trial(bus: Bus, folder: Path, plan: Plan, seed: int) -> AsyncIterator[Trial]:
    """Topics and load; no worker yet. `folder`: for journals and logs."""
    rng = random.Random(seed)
    topic = await bus.topic("in", plan.partitions)
    await bus.owned(partitions=4)
    before = plan.records // 4
    await feed(bus, topic, before, 0.0, rng)
    fleet = Fleet(bus, folder, partitions=plan.partitions, order=plan.order, settings=SHORT | dict(plan.settings or {}))
    async with fleet:
        load = asyncio.create_task(feed(bus, topic, plan.records - before, plan.seconds, random.Random(seed + 1)))
        try:
            yield Trial(plan, bus, fleet, rng, load)
        finally:
            load.cancel()
            await asyncio.wait({load})


async def _closed(bus: Bus, topics: list[str]) -> None:
    """Waits until no transaction is open in them: it would hide what follows it."""
    async with asyncio.timeout(3 * TRANSACTION_TIMEOUT_S):
        while await _ends(bus, topics, "read_committed") != await _ends(bus, topics, "read_uncommitted"):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def _ends(bus: Bus, topics: list[str], isolation: Isolation) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bus.bootstrap_servers, isolation_level=isolation, fetch_max_wait_ms=FETCH_WAIT_MS
    )
    async with consumer:
        await topics_admin.assign(consumer, topics, from_beginning=False)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        return ends
