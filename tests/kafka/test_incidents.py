"""The incidents worker on a real Kafka: what it tells, what it keeps, what it does not count."""

import asyncio
import contextlib
import itertools
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from processors.policy import Policy
from streams import pipeline, settings, topics_admin
from streams.faust_app import App, Row, RowTable
from streams.incidents import Incidents
from streams.settings import Runtime
from tests.kafka import pipelines
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import SECONDS_MAX, until
from topics import codec, limits
from topics.catalog import ALERTS, INCIDENTS, SIGNALS
from topics.messages import Alert, Signal

BEGAN_MS = round(time.time() * 1000) - 3_600_000  # an hour ago: the worker reads what is late
FINGERPRINT = "00000000000000aa"
_POLICY = """
[kafka]
prefix = "{prefix}"
[streams.logs]
kind = "log"
topics = ["{prefix}logs"]
[streams.logs.labels.outage]
means = "A failure"
severity = "critical"
[streams.logs.labels.routine]
means = "Anything else"
[streams.logs.alerts]
window = "1m"
fire_at = 3
resolve_after = "{resolve_after}"
"""


def policy(bus: Bus, resolve_after: str = "5m") -> Policy:
    return settings.parse(_POLICY.format(prefix=bus.prefix, resolve_after=resolve_after), Path("sluice.toml"))


def signal(number: int, *, fingerprint: str = FINGERPRINT, at_s: float = 0, **said: object) -> Signal:
    """The `number`th message's, `at_s` after the story began."""
    values: dict[str, object] = {
        "fingerprint": fingerprint,
        "says": "decided",
        "count": 1,
        "at_ms": BEGAN_MS + round(at_s * 1000),
        "id": f"logs/0/{number}",
        "labels": {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "default"},
        "summary": "no space left",
    }
    return Signal(**(values | said))  # type: ignore[arg-type]


def sent(*signals: Signal) -> list[Send]:
    return [Send(codec.encode(one), one.fingerprint.encode()) for one in signals]


@contextlib.asynccontextmanager
async def running(bus: Bus, data: Path, *, resolve_after: str = "5m") -> AsyncIterator[Incidents]:
    """A worker that has joined; ended in order. Its data stay in `data`."""
    stop = asyncio.Event()
    worker = Incidents(policy(bus, resolve_after), bus.brokers, data=data, clock=SystemClock())
    task = asyncio.create_task(worker.run(stop))
    try:
        await until(lambda: worker.health().joined or task.done(), "the worker's start")
        yield worker
    finally:
        stop.set()
        began = time.monotonic()
        await asyncio.wait_for(task, SECONDS_MAX)
        assert time.monotonic() - began < 5, "SIGTERM ends it in a few seconds"


async def told(bus: Bus) -> list[Alert]:
    values = await bus.values(bus.names.topic(ALERTS))
    return [codec.decode(Alert, value) for value in values if value is not None]


async def until_told(bus: Bus, count: int) -> list[Alert]:
    """Exactly so many alerts; fails where they do not come."""
    async with asyncio.timeout(SECONDS_MAX):
        while len(alerts := await told(bus)) < count:  # noqa: ASYNC110 a topic sets no event
            await asyncio.sleep(0.1)
    assert len(alerts) == count, alerts
    return alerts


async def test_an_alert_fires_is_revised_by_mini_and_flagship_and_resolves(bus: Bus, tmp_path: Path) -> None:
    await bus.owned()
    signals = bus.names.topic(SIGNALS)
    async with running(bus, tmp_path):
        await bus.produce(signals, sent(*(signal(n, at_s=n) for n in range(4))))
        await until_told(bus, 1)
        for tier in ("mini", "flagship"):
            await bus.produce(
                signals, sent(signal(1, at_s=1, says="reviewed", count=0, tier=tier, label="outage", summary=tier))
            )
        await until_told(bus, 3)
        await bus.produce(signals, sent(signal(9, fingerprint="00000000000000bb", at_s=400)))  # time goes on
        alerts = await until_told(bus, 4)
    assert [(alert.revision, alert.status, alert.reviewed_by) for alert in alerts] == [
        (1, "firing", None),
        (2, "firing", "mini"),
        (3, "firing", "flagship"),
        (4, "resolved", "flagship"),
    ]
    assert {alert.id for alert in alerts} == {f"{FINGERPRINT}-{BEGAN_MS}"}
    assert alerts[-1].count == 4
    records = await bus.read(bus.names.topic(ALERTS))
    assert {record.key for record in records} == {alerts[0].id.encode()}
    ids = [dict(record.headers)["ce_id"].decode() for record in records]
    assert ids == [f"{alerts[0].id}/{revision}#alert" for revision in (1, 2, 3, 4)]


async def test_time_alone_resolves_where_nothing_waits_to_be_heard(bus: Bus, tmp_path: Path) -> None:
    await bus.owned()
    async with running(bus, tmp_path, resolve_after="1s"):
        await bus.produce(bus.names.topic(SIGNALS), sent(*(signal(n) for n in range(3))))
        alerts = await until_told(bus, 2)
    assert [alert.status for alert in alerts] == ["firing", "resolved"]


@pytest.mark.parametrize("lost", [False, True], ids=["data kept", "data lost"])
async def test_a_restart_keeps_what_was_heard(bus: Bus, tmp_path: Path, lost: bool) -> None:
    await bus.owned(partitions=2)
    signals = bus.names.topic(SIGNALS)
    async with running(bus, tmp_path):
        await bus.produce(signals, sent(signal(0), signal(1)))
        await until_committed(bus, 2)
    if lost:
        shutil.rmtree(tmp_path)
    async with running(bus, tmp_path):
        assert await told(bus) == []
        await bus.produce(signals, sent(signal(2)))
        (alert,) = await until_told(bus, 1)
    assert alert.count == 3


@pytest.mark.parametrize("step", [1, 2, 3], ids=["state written", "alert told", "state written without it"])
async def test_a_crash_after_each_step_tells_the_same_alert_and_counts_once(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    await bus.owned()
    write, writes = App.write, itertools.count(1)

    async def crashing(app: App, topic: str, records: Iterable[Row]) -> list[int]:
        offsets = await write(app, topic, records)
        if next(writes) == step:
            raise KafkaError("crash")
        return offsets

    monkeypatch.setattr(limits, "INCIDENT_RESTART_SECONDS", 0.0)
    async with running(bus, tmp_path):
        await bus.produce(bus.names.topic(SIGNALS), sent(signal(0), signal(1)))
        await until_committed(bus, 2)
        monkeypatch.setattr(App, "write", crashing)  # from here on: the steps are of the signal that fires
        await bus.produce(bus.names.topic(SIGNALS), sent(signal(2)))
        await until_committed(bus, 3)
        alerts = await told(bus)
    assert next(writes) > step
    assert {(alert.revision, alert.status, alert.count) for alert in alerts} == {(1, "firing", 3)}
    assert len(set(await bus.values(bus.names.topic(ALERTS)))) == 1, "repeated, it is the same to the byte"
    assert len(alerts) == (2 if step == 2 else 1)


async def test_nothing_is_committed_before_its_state_is_durable(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.owned()
    write, may_write = RowTable.write, asyncio.Event()

    async def held(table: RowTable, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        await may_write.wait()
        await write(table, partition, changes)

    monkeypatch.setattr(RowTable, "write", held)
    monkeypatch.setattr(limits, "INCIDENT_COMMIT_SECONDS", 0.1)
    async with running(bus, tmp_path):
        await bus.produce(bus.names.topic(SIGNALS), sent(signal(0), signal(1)))
        with pytest.raises(TimeoutError):
            await until_committed(bus, 1, seconds_max=1.5)
        may_write.set()
        await until_committed(bus, 2)


async def test_data_of_a_topic_that_was_made_anew_are_dropped(bus: Bus, tmp_path: Path) -> None:
    await bus.owned()
    async with running(bus, tmp_path):
        for number in range(3):
            await bus.produce(bus.names.topic(SIGNALS), sent(signal(number)))
            await until_committed(bus, number + 1)
    other = Bus(bus.brokers, prefix=bus.prefix + "other.")
    await other.owned()
    async with running(other, tmp_path):
        await other.produce(other.names.topic(SIGNALS), sent(signal(2), signal(3), signal(4)))
        (alert,) = await until_told(other, 1)
    assert alert.count == 3


async def test_signals_of_an_aborted_transaction_are_not_counted(bus: Bus, tmp_path: Path) -> None:
    await bus.owned()
    signals = bus.names.topic(SIGNALS)
    async with running(bus, tmp_path):
        async with AIOKafkaProducer(
            bootstrap_servers=bus.bootstrap_servers, transactional_id=bus.prefix + "test"
        ) as producer:
            for number, commits in enumerate((True, False, False, True, False)):
                await producer.begin_transaction()
                for record in sent(signal(number)):
                    await producer.send(signals, record.value, record.key)
                await (producer.commit_transaction() if commits else producer.abort_transaction())
        await until_committed(bus, 1)
        assert await told(bus) == [], "two count, and five were written"
        await bus.produce(signals, sent(signal(5)))
        (alert,) = await until_told(bus, 1)
    assert alert.count == 3


async def test_what_is_no_signal_is_passed_over(bus: Bus, tmp_path: Path) -> None:
    await bus.owned()
    async with running(bus, tmp_path):
        garbage = [Send(b"{}", b"x"), Send(None, b"x"), Send(b"\xff")]
        await bus.produce(bus.names.topic(SIGNALS), [*garbage, *sent(*(signal(n) for n in range(3)))])
        (alert,) = await until_told(bus, 1)
    assert alert.count == 3


async def test_a_stream_that_the_policy_no_longer_has_is_counted_by_the_defaults(bus: Bus, tmp_path: Path) -> None:
    await bus.owned()
    labels = {"alertname": "x", "severity": "info", "stream": "gone", "tenant": "default"}
    async with running(bus, tmp_path):
        await bus.produce(bus.names.topic(SIGNALS), sent(*(signal(n, labels=labels) for n in range(3))))
        (alert,) = await until_told(bus, 1)
    assert alert.labels == labels


async def test_a_process_of_its_own_needs_no_provider_and_tells_how_it_is(bus: Bus, tmp_path: Path) -> None:
    await pipelines.topics(bus)
    async with pipelines.worker(bus, "", tmp_path, stage="incidents", key="") as worker:
        async with asyncio.timeout(SECONDS_MAX):
            while (await worker.probe("ready"))[0] != 200:  # noqa: ASYNC110 another process sets no event
                await asyncio.sleep(0.1)
        status, body = await worker.probe("live")
        assert (status, body["incidents"]["partitions"]) == (200, 1)
        await bus.produce(bus.names.topic(SIGNALS), sent(*(signal(n) for n in range(3))))
        await until_told(bus, 1)
        async with asyncio.timeout(SECONDS_MAX):
            while await worker.metric("sluice_incidents", partition="0") != 1:  # noqa: ASYNC110 as above
                await asyncio.sleep(0.1)
        assert await worker.metric("sluice_records_received_total", stage="incidents") == 3
        assert await worker.metric("sluice_alerts_total", stream="logs", status="firing") == 1
        assert await worker.metric("sluice_consumer_lag_records", stage="incidents") == 0


async def test_unequal_partition_counts_are_refused_at_the_start(bus: Bus, tmp_path: Path) -> None:
    await bus.topic(INCIDENTS.name, partitions=3, config=INCIDENTS.config())
    await bus.topic("logs", partitions=2)
    await bus.owned(partitions=2)
    with pytest.raises(ConfigurationError, match=r"partition counts are unequal .*incidents 3"):
        await pipeline.run(
            policy(bus),
            ["incidents"],
            runtime=Runtime(http_port=0, data_dir=tmp_path),
            env={"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers},
            clock=SystemClock(),
            rng=random.Random(1),
            stop=asyncio.Event(),
        )


async def until_committed(bus: Bus, at_least: int, seconds_max: float = SECONDS_MAX) -> None:
    """Until the group's offsets of all partitions are so many together. Raises TimeoutError."""
    async with asyncio.timeout(seconds_max), topics_admin.connected(bus.brokers) as admin:
        while True:
            found = await admin.list_consumer_group_offsets(bus.names.group("incidents"))
            if sum(offset.offset for at, offset in found.items() if at.topic == bus.names.topic(SIGNALS)) >= at_least:
                return
            await asyncio.sleep(0.1)
