"""The store of recent messages, fed from a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from local.kafka import LocalKafka
from processors.agents.recent import Recent
from processors.policy import Policy
from streams import recent
from streams.brokers import Brokers
from tests.conftest import IN_DOCKER
from tests.kafka.bus import SOON_BACK, Bus, Send
from topics import limits
from topics.catalog import DECISIONS

LABELS = {"routine": {"means": "Nobody needs to look"}, "alert": {"means": "An operator must look"}}


def policy(bus: Bus, **topics: str) -> Policy:
    """A stream of log lines for each topic."""
    return Policy.model_validate(
        {
            "kafka": {"prefix": bus.prefix},
            "streams": {name: {"kind": "log", "topics": [topic], "labels": LABELS} for name, topic in topics.items()},
        }
    )


@asynccontextmanager
async def following(bus: Bus, rules: Policy) -> AsyncIterator[Recent]:
    store, stop = Recent(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recent.follow(store, bus.brokers, rules, stop))
        yield store
        stop.set()
    store.close()


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 (the store tells nobody)
            await asyncio.sleep(0.05)


def texts(store: Recent, tenant: str = "default") -> set[str]:
    return {seen.text for seen in store.related(tenant, "disk", 10_000, but="")}


def decision(id_: str, label: str) -> bytes:
    return orjson.dumps({"id": id_, "label": label, "severity": "critical"})


async def test_old_and_new_messages_of_all_streams_and_their_labels_arrive(bus: Bus) -> None:
    await bus.owned()
    logs, kernel = await bus.topic("logs", partitions=3), await bus.topic("kernel")
    decisions = bus.names.topic(DECISIONS)
    tenant = (("tenant", b"umbrella"),)
    await bus.produce(
        logs, [Send(b"disk old", partition=1), Send(None, key=b"gone", partition=2), Send(b"\xff\xfe", partition=0)]
    )
    await bus.produce(decisions, [b"no json", b"[]", b"{}", decision(f"{logs}/1/0", "alert")])
    async with following(bus, policy(bus, logs=logs, kernel=kernel)) as store:
        await until(lambda: texts(store) == {"disk old"})
        await bus.produce(kernel, [b"disk new", Send(b"disk of another", headers=tenant)])
        await bus.produce(decisions, [decision(f"{kernel}/0/0", "routine")])
        await until(lambda: texts(store) == {"disk old", "disk new"} and texts(store, "umbrella") != set())
        await until(lambda: {s.label for s in store.related("default", "disk", 9, but="")} == {"alert", "routine"})
        assert texts(store, "umbrella") == {"disk of another"}
        assert store.complete_since_ms == 0


async def test_what_an_aborted_transaction_wrote_is_not_seen(bus: Bus) -> None:
    await bus.owned()
    logs = await bus.topic("logs")
    async with AIOKafkaProducer(bootstrap_servers=bus.bootstrap_servers, transactional_id=f"{bus.prefix}t") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(logs, b"disk aborted")
        await producer.abort_transaction()
    await bus.produce(logs, [b"disk there"])
    async with following(bus, policy(bus, logs=logs)) as store:
        await until(lambda: bool(texts(store)))
        assert texts(store) == {"disk there"}


async def test_a_new_partition_is_found(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_METADATA_SECONDS", 1)
    await bus.owned()
    logs = await bus.topic("logs")
    await bus.produce(logs, [b"disk before"])
    async with following(bus, policy(bus, logs=logs)) as store:
        await until(lambda: texts(store) == {"disk before"})
        admin = AIOKafkaAdminClient(bootstrap_servers=bus.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({logs: NewPartitions(total_count=2)})
        await admin.close()
        await bus.produce(logs, [Send(b"disk after", partition=1), Send(b"disk still", partition=0)])
        await until(lambda: texts(store) == {"disk before", "disk after", "disk still"})
        assert store.size == 3


async def test_a_backlog_is_begun_near_its_end_and_the_store_says_so(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_LOOKBACK_RECORDS", 40)
    await bus.owned()
    logs = await bus.topic("logs")
    await bus.produce(logs, [b"disk %d" % n for n in range(500)])
    async with following(bus, policy(bus, logs=logs)) as store:
        await until(lambda: "disk 499" in texts(store))
        assert store.size == 20  # two partitions, the decisions' among them, share the way back
        assert store.complete_since_ms > 0


async def test_what_comes_faster_than_it_can_be_read_is_skipped(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_LOOKBACK_RECORDS", 400)
    monkeypatch.setattr(limits, "RECENT_RECORDS_PER_SECOND_MAX", 200)
    await bus.owned()
    logs = await bus.topic("logs")
    async with following(bus, policy(bus, logs=logs)) as store:
        await bus.produce(logs, [b"disk first"])
        await until(lambda: "disk first" in texts(store))
        assert store.complete_since_ms == 0
        await bus.produce(logs, [b"disk %d" % n for n in range(5_000)])
        await until(lambda: "disk 4999" in texts(store))
        assert store.size < 1_000
        assert store.complete_since_ms > 0


@pytest.mark.slow
@pytest.mark.skipif(IN_DOCKER, reason="SLUICE_KAFKA=docker: this test ends a broker of its own")
async def test_a_broker_that_ends_and_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_RETRY_SECONDS", 0.2)
    async with LocalKafka(settings=SOON_BACK) as kafka:
        bus = Bus(kafka.brokers, "t.")
        await bus.owned()
        logs = await bus.topic("logs")
        await bus.produce(logs, [b"disk before"])
        async with following(bus, policy(bus, logs=logs)) as store:
            await until(lambda: texts(store) == {"disk before"})
            await asyncio.to_thread(kafka.kill)
            await asyncio.sleep(0.5)  # so that the follower meets the broker's absence
            await asyncio.to_thread(kafka.start)
            await bus.produce(logs, [b"disk after"])
            await until(lambda: texts(store) == {"disk before", "disk after"}, seconds=60)


async def test_it_waits_for_a_broker_that_is_not_there_yet_and_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_RETRY_SECONDS", 60)
    warned = asyncio.Event()
    monkeypatch.setattr(recent.log, "warning", lambda *_args, **_more: warned.set())
    nobody: Any = Bus(Brokers("127.0.0.1:1"), "t.")
    async with asyncio.timeout(20), following(nobody, policy(nobody, logs="logs")) as store:
        await warned.wait()
        assert store.size == 0
