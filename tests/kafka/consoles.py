"""A console on a real broker, with something to show."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from processors.clock import SystemClock
from processors.policy import Policy
from streams.console.serving import serving
from streams.settings import Runtime
from tests.kafka.bus import Bus, Send
from tests.unit.console import build
from topics import catalog


def policy(bus: Bus) -> Policy:
    made = build.policy(kafka={"prefix": bus.prefix})
    stream = made.streams["logs"].model_copy(update={"topics": (bus.prefix + "logs",)})
    return made.model_copy(update={"streams": {"logs": stream}})


@asynccontextmanager
async def console(bus: Bus, *, token: str | None = None, content: bool = False) -> AsyncIterator[str]:
    """Its URL."""
    secret = None if token is None else SecretStr(token)
    runtime = Runtime(console_port=0, console_token=secret, console_content=content)
    async with serving(policy(bus), bus.brokers, runtime, SystemClock(), random.Random(1)) as url:
        yield url


async def write(bus: Bus, topic: catalog.Topic, *values: dict[str, Any]) -> None:
    records = [Send(orjson.dumps(value), key=str(value.get("id")).encode()) for value in values]
    await bus.produce(bus.names.topic(topic), records)


async def story(bus: Bus) -> None:
    """Twenty inputs: one is an outage that goes to the flagship and raises an alert, one is a dead letter."""
    await bus.owned(partitions=2, inputs=[bus.prefix + "logs"])
    await bus.produce(bus.prefix + "logs", [Send(b"line %d of the log" % n, partition=0) for n in range(20)])
    plain = [build.decision(number, decided_by="rule" if number < 5 else "nano") for number in range(18)]
    outage = build.decision(18, label="outage", severity="critical", escalated_to="mini")
    await write(bus, catalog.DECISIONS, *plain, outage)
    await write(bus, catalog.ESCALATIONS_MINI, build.escalation(18, "mini"))
    await write(bus, catalog.ESCALATIONS_FLAGSHIP, build.escalation(18, "flagship"))
    await write(bus, catalog.RESOLUTIONS, build.resolution(18, "flagship"))
    await write(bus, catalog.ALERTS, build.alert(18), build.alert(18, revision=2, reviewed_by="flagship"))
    now_s = SystemClock().time()
    await write(bus, catalog.SPEND, build.spend(now_s, 300, simulated=True), build.spend(now_s, 700, tier="flagship"))
    letter = build.dead_letter()
    sent = Send(letter.value, key=letter.key, headers=tuple(letter.headers))
    await bus.produce(bus.names.topic(catalog.DEAD_LETTERS), [sent])


@asynccontextmanager
async def worker(bus: Bus, done: int) -> AsyncIterator[None]:
    """A member of triage's group that has committed so many records of `logs`."""
    topic = bus.prefix + "logs"
    async with AIOKafkaConsumer(
        topic,
        **bus.brokers.client_options,
        group_id=bus.names.group("triage"),
        client_id="a-worker",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    ) as consumer:
        while len(consumer.assignment()) < 2:
            await consumer.getmany(timeout_ms=100)
        [at] = [partition for partition in consumer.assignment() if partition.partition == 0]
        await consumer.commit({at: done})
        yield


async def abort(bus: Bus, topic: catalog.Topic, value: dict[str, Any]) -> None:
    """Writes it in a transaction that is then aborted."""
    producer = AIOKafkaProducer(**bus.brokers.client_options, transactional_id=bus.prefix + "aborted")
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait(bus.names.topic(topic), orjson.dumps(value))
        await producer.abort_transaction()
