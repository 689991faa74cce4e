"""The incidents worker is killed under load, again and again: every signal counts once, in the alert that it is of.

What should come out follows from what was sent alone: with `fire_at = 1` each run of a fingerprint's signals, with no
pause longer than `resolve_after` in it, is one alert, which starts with its first signal and counts them all.
"""

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from local.guard import Guarded
from local.kafka import HOST, free_port
from tests.kafka.alertmanager import Alertmanager, needed
from tests.kafka.bus import Bus
from tests.kafka.pipelines import SLUICE
from topics import codec
from topics.catalog import ALERTS, DECISIONS, SIGNALS
from topics.messages import Alert, Signal

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]

PARTITIONS = 4
FINGERPRINTS = 40
KILLS = 10
RESOLVE_AFTER_S = 5.0
SLOW_RESOLVE_AFTER_S = 35.0
PAUSE_S = (7.0, 12.0)  # of a fingerprint, now and then: more than RESOLVE_AFTER_S and what a busy machine adds
RUN_SIGNALS = (1, 60)
TRANSACTION_SECONDS = 0.1
ABORTED_SHARE = 0.15
SECONDS_MAX = 60.0  # after the load, until everything has resolved
_POLICY = f"""
[kafka]
prefix = "{{prefix}}"
[streams.logs]
kind = "log"
topics = ["{{prefix}}logs"]
[streams.logs.labels.outage]
means = "A failure"
severity = "critical"
[streams.logs.labels.routine]
means = "Anything else"
[streams.logs.alerts]
window = "1m"
fire_at = 1
resolve_after = "{RESOLVE_AFTER_S:g}s"
"""

_WHOLE_POLICY = (
    """
[kafka]
prefix = "{prefix}"
[defaults]
tenant = {{ header = "tenant" }}
"""
    + "".join(
        f"""
[streams.{name}]
kind = "log"
topics = ["{{prefix}}{name}"]
[streams.{name}.labels.outage]
means = "A failure"
severity = "critical"
[streams.{name}.labels.routine]
means = "Anything else"
[[streams.{name}.rules]]
name = "failed"
when = {{{{ text = "failed" }}}}
then = {{{{ label = "outage" }}}}
[[streams.{name}.rules]]
name = "well"
when = {{{{ text = "well" }}}}
then = {{{{ label = "routine" }}}}
[streams.{name}.alerts]
window = "1m"
fire_at = 1
resolve_after = "{resolve_after}"
"""
        for name, resolve_after in (("quick", f"{RESOLVE_AFTER_S:g}s"), ("slow", f"{SLOW_RESOLVE_AFTER_S:g}s"))
    )
    + """
[[notify]]
kind = "alertmanager"
url = "{alertmanager}"
repeat = "500ms"
"""
)


class Load:
    """Signals as triage writes them, in transactions of which some abort."""

    def __init__(self, bus: Bus, rng: random.Random) -> None:
        self.alerts: Counter[str] = Counter()  # signals that were committed, by the alert that they belong to
        self.aborted = 0
        self._bus = bus
        self._rng = rng
        self._number = 0
        self._starts = {f"{number:016x}": 0 for number in range(FINGERPRINTS)}  # of the run; 0: none was committed yet
        self._left = dict.fromkeys(self._starts, 0)  # of the run
        self._next_s = {name: time.time() + rng.uniform(0, 5) for name in self._starts}

    async def run(self, stop: asyncio.Event) -> None:
        producer = AIOKafkaProducer(
            **self._bus.brokers.client_options, transactional_id=self._bus.prefix + "load", linger_ms=0
        )
        async with producer:
            while not stop.is_set():
                due = [name for name, at_s in self._next_s.items() if at_s <= time.time()]
                commits = self._rng.random() >= ABORTED_SHARE
                await producer.begin_transaction()
                for signal in (self._signal(name) for name in due):
                    await producer.send(
                        self._bus.names.topic(SIGNALS), codec.encode(signal), signal.fingerprint.encode()
                    )
                    if commits:
                        self._count(signal)
                if commits:
                    await producer.commit_transaction()
                else:
                    await producer.abort_transaction()
                    self.aborted += len(due)
                await asyncio.sleep(TRANSACTION_SECONDS)

    def _signal(self, name: str) -> Signal:
        self._number += 1
        now_s = time.time()
        return Signal(
            fingerprint=name,
            says="decided",
            count=1,
            at_ms=round(now_s * 1000),
            id=f"logs/0/{self._number}",
            labels={"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": name},
            summary=None,
        )

    def _count(self, signal: Signal) -> None:
        name = signal.fingerprint
        if not self._starts[name]:
            self._starts[name], self._left[name] = signal.at_ms, self._rng.randint(*RUN_SIGNALS)
        self.alerts[f"{name}-{self._starts[name]}"] += 1
        self._left[name] -= 1
        pause = self._rng.uniform(*PAUSE_S) if not self._left[name] else self._rng.uniform(0.05, 0.4)
        self._next_s[name] = signal.at_ms / 1000 + pause
        if not self._left[name]:
            self._starts[name] = 0


class Workers:
    """`sluice run incidents`, each with a directory of its own that it finds again."""

    def __init__(self, bus: Bus, folder: Path, policy: str = _POLICY) -> None:
        self.lost_data = 0
        self._folder = folder
        self._env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers, "SLUICE_HTTP_PORT": "0"}
        self._env |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://{HOST}:{free_port()}/v1"}  # nobody is asked
        self._processes: dict[str, Guarded] = {}
        (folder / "sluice.toml").write_text(policy.format(prefix=bus.prefix))

    async def start(self, name: str, stage: str = "incidents") -> None:
        command = [str(SLUICE), "--config", str(self._folder / "sluice.toml"), "run", stage]
        env = self._env | {"SLUICE_DATA_DIR": str(self._folder / name)}
        self._processes[name] = await asyncio.to_thread(Guarded, command, log=self._folder / f"{name}.log", env=env)

    async def kill(self, name: str, *, lose_data: bool) -> None:
        """kill -9."""
        assert self._processes[name].running, self.log(name)
        await asyncio.to_thread(self._processes[name].kill)
        if lose_data:
            self.lost_data += 1
            shutil.rmtree(self._folder / name, ignore_errors=True)

    async def end(self) -> None:
        """SIGTERM to all."""
        await asyncio.gather(*(asyncio.to_thread(process.terminate) for process in self._processes.values()))

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()[-4_000:]

    async def close(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(process.close) for process in self._processes.values()))


@contextlib.asynccontextmanager
async def two_workers(bus: Bus, folder: Path, policy: str = _POLICY) -> AsyncIterator[Workers]:
    workers = Workers(bus, folder, policy)
    try:
        for name in ("w1", "w2"):
            await workers.start(name)
        yield workers
    finally:
        await workers.close()


async def test_ten_kills_under_load(bus: Bus, tmp_path: Path, tell: Callable[[str], None]) -> None:
    rng = random.Random(5)
    await bus.owned(partitions=PARTITIONS, inputs=[bus.prefix + "logs"])
    load, stop = Load(bus, rng), asyncio.Event()
    async with two_workers(bus, tmp_path) as workers, asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run(stop))
        await asyncio.sleep(5)
        for number in range(KILLS):
            name = rng.choice(("w1", "w2"))
            await workers.kill(name, lose_data=number % 3 == 2)
            await workers.start(name)
            await asyncio.sleep(rng.uniform(1, 7))
        stop.set()
        last = await until_resolved(bus, set(load.alerts))
        await workers.end()
    records = [codec.decode(Alert, value) for value in await bus.values(bus.names.topic(ALERTS)) if value is not None]
    counts = {id: alert.count for id, alert in last.items()}
    tell(
        f"{KILLS} kills, {workers.lost_data} of them with the data: {sum(load.alerts.values())} signals counted "
        f"{sum(counts.values())}, {load.aborted} aborted; {len(load.alerts)} alerts, "
        f"{len(records)} records of {len({(alert.id, alert.revision) for alert in records})} revisions"
    )
    assert counts == dict(load.alerts)
    assert different(records) == []
    assert reopened(records) == []


@needed
async def test_ten_kills_from_decisions_to_alertmanager(bus: Bus, tmp_path: Path, tell: Callable[[str], None]) -> None:
    """What triage decides, alerts count, and Alertmanager fires, are one and the same after the kills."""
    rng = random.Random(6)
    quick, slow = bus.prefix + "quick", bus.prefix + "slow"
    slow_ones = {f"slow-{number}" for number in range(FINGERPRINTS // 2)}
    await bus.owned(partitions=PARTITIONS, inputs=[quick, slow])
    alertmanager = Alertmanager(f"http://{HOST}:{free_port()}", tmp_path)
    policy = _WHOLE_POLICY.replace("{alertmanager}", alertmanager.url)
    async with alertmanager.running(), two_workers(bus, tmp_path, policy) as workers, asyncio.TaskGroup() as tasks:
        for stage in ("triage", "notify"):
            await workers.start(stage, stage)
        await asyncio.sleep(8)  # the notifier's group begins with what comes
        stop = asyncio.Event()
        tasks.create_task(_lines(bus, rng, quick, slow, stop))
        for number in range(KILLS):
            name = rng.choice(("w1", "w2"))
            await workers.kill(name, lose_data=number % 3 == 2)
            await workers.start(name)
            await asyncio.sleep(rng.uniform(1, 7))
        stop.set()
        seen = await _seen(bus, alertmanager, lambda seen: seen.firing == seen.heard == slow_ones)
        assert seen.firing == seen.heard == slow_ones, "those of the quick stream are over, the others are not"
        seen = await _seen(bus, alertmanager, lambda seen: not seen.firing and not seen.heard)
        await workers.end()
    tell(
        f"{KILLS} kills, {workers.lost_data} of them with the data: {seen.decided.total()} decisions counted "
        f"{seen.counted.total()} in {seen.alerts} alerts; {len(slow_ones)} fired to the last here and there"
    )
    assert seen.firing == seen.heard == set()
    assert seen.decided.total() > 500
    assert seen.counted == seen.decided
    assert different(seen.records) == []
    assert reopened(seen.records) == []


@dataclass(frozen=True, slots=True)
class _Seen:
    """By tenant, of which each has one kind of alert."""

    decided: Counter[str]  # decisions that count toward an alert
    counted: Counter[str]  # by the last word of each alert
    firing: set[str]  # on the topic
    heard: set[str]  # by Alertmanager
    alerts: int
    records: list[Alert]


async def _seen(bus: Bus, alertmanager: Alertmanager, enough: Callable[[_Seen], bool]) -> _Seen:
    """Once it is enough; what there is after SECONDS_MAX."""
    ends_at = time.monotonic() + SECONDS_MAX
    while True:
        decisions = [orjson.loads(value or b"") for value in await bus.values(bus.names.topic(DECISIONS))]
        values = await bus.values(bus.names.topic(ALERTS))
        records = [codec.decode(Alert, value) for value in values if value is not None]
        last = {alert.id: alert for alert in records}.values()
        counted: Counter[str] = Counter()
        for alert in last:
            counted[alert.labels["tenant"]] += alert.count
        seen = _Seen(
            decided=Counter(decision["tenant"] for decision in decisions if decision["severity"] is not None),
            counted=counted,
            firing={alert.labels["tenant"] for alert in last if alert.status == "firing"},
            heard=await alertmanager.firing("tenant"),
            alerts=len(last),
            records=records,
        )
        if enough(seen) or time.monotonic() > ends_at:
            return seen
        await asyncio.sleep(0.5)


async def _lines(bus: Bus, rng: random.Random, quick: str, slow: str, stop: asyncio.Event) -> None:
    """Log lines of many tenants, each of which has an alert of its own; a tenth is routine."""
    async with AIOKafkaProducer(**bus.brokers.client_options) as producer:
        for number in itertools.cycle(range(FINGERPRINTS // 2)):
            for topic, kind in ((quick, "quick"), (slow, "slow")):
                line = b"all is well" if rng.random() < 0.1 else b"the disk has failed"
                await producer.send(topic, line, headers=[("tenant", f"{kind}-{number}".encode())])
            if stop.is_set() and number == 0:
                return
            await asyncio.sleep(0.02)


async def until_resolved(bus: Bus, expected: set[str]) -> dict[str, Alert]:
    """The last of each alert, once all are resolved; what there is after SECONDS_MAX."""
    ends_at = time.monotonic() + SECONDS_MAX
    while True:
        values = await bus.values(bus.names.topic(ALERTS))
        last = {alert.id: alert for alert in (codec.decode(Alert, value) for value in values if value is not None)}
        resolved = {id for id, alert in last.items() if alert.status == "resolved"}
        if expected <= resolved or time.monotonic() > ends_at:
            return last
        await asyncio.sleep(0.5)


def different(records: list[Alert]) -> list[tuple[Alert, Alert]]:
    """Records of one alert and revision that are not the same."""
    first: dict[tuple[str, int], Alert] = {}
    return [(of, alert) for alert in records if (of := first.setdefault((alert.id, alert.revision), alert)) != alert]


def reopened(records: list[Alert]) -> list[Alert]:
    """Alerts that fire after they were resolved."""
    resolved: set[str] = set()
    found = []
    for alert in records:
        if alert.status == "resolved":
            resolved.add(alert.id)
        elif alert.id in resolved:
            found.append(alert)
    return found
