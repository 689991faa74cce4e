"""The console's wiring: followers that fill a View, and the server that shows it."""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from processors.clock import Clock
from processors.policy import Policy
from streams.brokers import Brokers
from streams.console import server, sizes, watch
from streams.console.access import Access, is_loopback
from streams.console.follow import follow
from streams.console.view import View
from streams.settings import Runtime

log = logging.getLogger("sluice.console")


@asynccontextmanager
async def serving(
    policy: Policy,
    brokers: Brokers,
    runtime: Runtime,
    clock: Clock,
    rng: random.Random,
    *,
    or_another_port: bool = False,
) -> AsyncIterator[str]:
    """Serves the console while the context is open; gives its URL.

    It waits for brokers and topics that are not there yet. Raises ConfigurationError where it may not or cannot
    listen; with `or_another_port` it takes a free one where its own is taken.
    """
    token = runtime.console_token.get_secret_value() if runtime.console_token is not None else None
    access = Access(runtime.console_host, token, clock, lambda: secrets.token_urlsafe(32))
    view = View(policy, clock, content=runtime.console_content)
    names = policy.kafka.names
    host, port = runtime.console_host, runtime.console_port
    async with server.serve(view, access, host, port, clock, or_another=or_another_port) as bound:
        url = f"http://{_shown(host)}:{bound}"
        log.info("console", extra={"url": url})
        async with asyncio.TaskGroup() as tasks:
            following = [
                tasks.create_task(follow(view, brokers, names, clock)),
                tasks.create_task(watch.watch(view.groups, brokers, names, clock)),
                tasks.create_task(sizes.sample(view.sizes, brokers, policy, clock, rng)),
            ]
            try:
                yield url
            finally:
                for task in following:
                    task.cancel()


def _shown(host: str) -> str:
    """As a browser takes it."""
    if is_loopback(host):
        return "localhost"
    return f"[{host}]" if ":" in host else host
