"""Writes a Spend record for every model call, outside any transaction: money spent stays spent."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from topics import codec, limits
from topics.catalog import SPEND, Names
from topics.headers import EventHeaders
from topics.messages import Spend

log = logging.getLogger("sluice.spend")


@asynccontextmanager
async def writer(bootstrap_servers: str, names: Names) -> AsyncIterator[Callable[[Spend], None]]:
    """A function that takes a Spend record without waiting; what is queued is written before the context closes.

    At most SPEND_QUEUE_MAX records wait. Beyond that, while the broker is away, the newest are logged instead.
    """
    topic, headers = names.topic(SPEND), EventHeaders("gateway", "spend")
    queue: asyncio.Queue[Spend | None] = asyncio.Queue(limits.SPEND_QUEUE_MAX)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, enable_idempotence=True, acks="all", linger_ms=20, client_id="sluice-spend"
    )

    def record(spend: Spend) -> None:
        try:
            queue.put_nowait(spend)
        except asyncio.QueueFull:
            log.error("spend record not written: the queue is full", extra={"spend": codec.encode(spend).decode()})

    async def write() -> None:
        while (spend := await queue.get()) is not None:
            try:
                await producer.send(
                    topic,
                    key=spend.call_id.encode(),
                    value=codec.encode(spend),
                    headers=headers(spend.call_id, spend.at_ms),
                )
            except KafkaError as error:
                log.error(
                    "spend record not written",
                    extra={"error": repr(error), "spend": codec.encode(spend).decode()},
                )

    await producer.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            try:
                yield record
            finally:
                await queue.put(None)
        await producer.flush()
    finally:
        await producer.stop()
