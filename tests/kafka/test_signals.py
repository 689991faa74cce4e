"""Signals on a real broker: as many as the decisions that they stand for, whatever is remembered, slow or repeated."""

import asyncio
import functools
import random
from collections import Counter
from typing import Literal

import orjson
import pytest

from processors.clock import SystemClock
from processors.memory import Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.triage import Triage
from streams.stages import TriageStage
from tests.fakes import FakeNano, Reply
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import drained, engine, running, until
from tests.unit.triage.build import LABELS, stream
from topics import codec
from topics.catalog import DECISIONS, SIGNALS
from topics.messages import Signal

PARTITIONS = 2
LINES = [f"disk {word} full" for word in "abcdefgh"] + ["job done", "user in"]
JUDGED: dict[str, Reply] = {
    "disk": {"label": "alert", "fields": {"service": "disks"}},
    "user": {"label": "login", "fields": {"service": "web"}},
    "job ": {"label": "routine"},
}


class Trial:
    """A stage over a stream of logs, two of whose labels count toward alerts and climb nowhere."""

    def __init__(self, bus: Bus, order: Literal["none", "key"]) -> None:
        logs = stream(
            topics=[bus.prefix + "in"],
            order=order,
            labels=LABELS
            | {
                "alert": LABELS["alert"] | {"escalate": "never"},
                "login": {"means": "Somebody signs in", "severity": "info"},
            },
            fields={"service": {}},
            alerts={"group_by": ["service"], "burst_at": 10},
        )
        self.nano = FakeNano(lambda text: JUDGED[text[:4]])
        clock, rng, policy = SystemClock(), random.Random(1), Policy(streams={"logs": logs})
        self.triage = Triage("logs", logs, policy, self.nano, clock=clock, rng=rng, memory=Memory())
        self.stage = TriageStage(
            bus.names, {bus.prefix + "in": (normaliser_for("logs", logs), self.triage, order)}, clock
        )


async def produce(bus: Bus, rng: random.Random, number: int) -> None:
    lines = [(rng.choice(LINES).encode(), b"%d" % rng.randrange(9)) for _ in range(number)]
    await bus.produce(bus.prefix + "in", [Send(line, key, rng.randrange(PARTITIONS)) for line, key in lines])


async def decided(bus: Bus) -> Counter[str]:
    """Decisions that count, by label."""
    values = [orjson.loads(value or b"") for value in await bus.values(bus.names.topic(DECISIONS))]
    return Counter(value["label"] for value in values if value["severity"] is not None)


async def signals(bus: Bus) -> list[Signal]:
    """Those of decisions. Each alert's are in one partition."""
    records = await bus.read(bus.names.topic(SIGNALS))
    told = [codec.decode(Signal, record.value or b"") for record in records]
    assert all(record.key == signal.fingerprint.encode() for record, signal in zip(records, told, strict=True))
    places = {(signal.fingerprint, record.partition) for record, signal in zip(records, told, strict=True)}
    assert len(places) == len({signal.fingerprint for signal in told})
    return [signal for signal in told if signal.says == "decided"]


def counted(told: list[Signal]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for signal in told:
        counts[signal.labels["alertname"]] += signal.count
    return counts


@pytest.mark.parametrize("order", ["none", "key"])
async def test_signals_count_what_was_decided_though_engines_die(bus: Bus, order: Literal["none", "key"]) -> None:
    """Each engine finds what the last one left half done, and remembers nothing."""
    topic, rng = await bus.topic("in", PARTITIONS), random.Random(5)
    await bus.owned(PARTITIONS)
    for _ in range(3):
        trial = Trial(bus, order)
        await produce(bus, rng, 300)
        async with running(engine(bus, trial.stage)) as crash:
            await until(functools.partial(bool, trial.nano.asks), "the first question")
            await produce(bus, rng, 300)
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            crash()
        await trial.triage.close()
    trial = Trial(bus, order)
    async with running(engine(bus, trial.stage)):
        await produce(bus, rng, 100)  # every line, most likely
        await drained(bus, topic)
        before = await signals(bus)
        await produce(bus, rng, 600)  # remembered
        await drained(bus, topic)
    await trial.triage.close()
    told = await signals(bus)
    assert counted(told) == await decided(bus)
    remembered = counted(told) - counted(before)
    assert set(remembered) == {"alert", "login"}
    written = len(told) - len(before)
    assert written < remembered.total() / 4 if order == "none" else written == remembered.total()
