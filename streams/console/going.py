"""Keeps a reader of Kafka going: what fails is told once, and tried again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from processors.clock import Clock
from topics import limits

log = logging.getLogger("sluice.console")


async def keep_going(
    run: Callable[[], Awaitable[None]],
    clock: Clock,
    *,
    otherwise: str,
    on_failure: Callable[[str], None] = lambda _: None,
) -> None:
    """Until cancelled. `otherwise`: what is not there while it fails, for the log; `on_failure` gets the reason."""
    told = ""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 a page that shows what it can is better than none
            why = str(error) or repr(error)
            on_failure(why)
            if why != told:
                log.warning(otherwise, extra={"error": why})
            told = why
        await clock.sleep(limits.CONSOLE_RETRY_SECONDS)


async def let_go(consumer: AIOKafkaConsumer) -> None:
    """Stops it, also where the broker is away: aiokafka then lets out that it has cancelled its own fetch."""
    try:
        await consumer.stop()
    except (KafkaError, OSError, asyncio.CancelledError):
        await consumer._client.close()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
