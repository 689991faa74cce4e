"""Writes a Spend record for every model call, outside any transaction: money spent stays spent."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.brokers import Brokers
from topics import codec, limits
from topics.catalog import SPEND, Names
from topics.headers import EventHeaders
from topics.messages import Spend

log = logging.getLogger("sluice.spend")

_FLUSH_SECONDS_MAX = 3.0  # part of a shutdown; a producer whose broker is away would flush for ever
_STOP_SECONDS_MAX = 1.0


@asynccontextmanager
async def writer(brokers: Brokers, names: Names) -> AsyncIterator[Callable[[Spend], None]]:
    """A function that takes a Spend record without waiting; what it took is written before the context closes.

    At most SPEND_QUEUE_MAX records wait. What the broker does not take, because it is away for longer than that or
    until the end, is logged instead.
    """
    topic, headers = names.topic(SPEND), EventHeaders("gateway", "spend")
    waiting: dict[str, Spend] = {}  # by call id, until the broker has them
    queue: asyncio.Queue[Spend] = asyncio.Queue()  # no longer than `waiting`
    producer = AIOKafkaProducer(
        **brokers.client_options, enable_idempotence=True, acks="all", linger_ms=20, client_id="sluice-spend"
    )

    def record(spend: Spend) -> None:
        if len(waiting) >= limits.SPEND_QUEUE_MAX:
            _log(spend, "the queue is full")
        else:
            waiting[spend.call_id] = spend
            queue.put_nowait(spend)

    def done(spend: Spend, error: BaseException | None) -> None:
        del waiting[spend.call_id]
        if error is not None:
            _log(spend, repr(error))

    def answered(spend: Spend, answer: asyncio.Future[Any]) -> None:
        done(spend, answer.exception())

    async def write() -> None:
        while True:
            spend = await queue.get()
            try:
                answer = await producer.send(
                    topic,
                    key=spend.call_id.encode(),
                    value=codec.encode(spend),
                    headers=headers(spend.call_id, spend.at_ms),
                )
                answer.add_done_callback(functools.partial(answered, spend))
            except KafkaError as error:
                done(spend, error)
            queue.task_done()

    try:
        await producer.start()
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write())
            try:
                yield record
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_SECONDS_MAX):
                        await queue.join()
                        await producer.flush()
                writing.cancel()
    finally:
        await _stop(producer)
        for spend in waiting.values():
            _log(spend, "the broker did not take it before the end")


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS_MAX):
            await producer.stop()
    except TimeoutError:
        await producer.client.close()
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()  # it would go on sending for ever


def _log(spend: Spend, why: str) -> None:
    log.error("spend record not written: %s", why, extra={"spend": codec.encode(spend).decode()})
