"""The notify stage for tests: a policy, targets that are real HTTP servers, alerts on the topic."""

import asyncio
import base64
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from local.kafka import HOST, free_port
from processors.clock import Clock, SystemClock
from streams import pipeline, settings
from streams.settings import Runtime
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import SECONDS_MAX, until
from tests.kafka.pipelines import Running
from topics import codec
from topics.catalog import ALERTS
from topics.messages import Alert

KEY = bytes(range(32))
SECRETS = {
    "SLACK_URL": "",  # its server's
    "ROUTING_KEY": "R0UTING",
    "SIGNING_SECRET": "whsec_" + base64.b64encode(KEY).decode(),
}

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
{notify}
"""


def policy_text(bus: Bus, notify: str) -> str:
    return _POLICY.format(prefix=bus.prefix, notify=notify)


async def topics(bus: Bus, partitions: int = 1) -> None:
    """Everything that the policy of `bus` needs."""
    await bus.owned(partitions=partitions, inputs=[bus.prefix + "logs"])


def webhook(server: "Target", **more: str) -> str:
    """A [[notify]] for a webhook; `more`: keys and their TOML."""
    keys = {"kind": '"webhook"', "url": f'"{server.url}"', "secret_env": '"SIGNING_SECRET"', **more}
    return "[[notify]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


class Target:
    """Whoever is notified: keeps each request, and answers 200 unless `answer` says otherwise."""

    def __init__(self) -> None:
        self.requests: list[tuple[web.Request, bytes]] = []  # those that it has taken
        self.tried = 0
        self.answer: Callable[[], web.Response] = web.Response
        app = web.Application()
        app.router.add_post("/{path:.*}", self._handle)
        self._server = TestServer(app, host=HOST)

    async def _handle(self, request: web.Request) -> web.Response:
        self.tried += 1
        answer = self.answer()
        if answer.status == 200:
            self.requests.append((request, await request.read()))
        return answer

    async def __aenter__(self) -> "Target":
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.port}"

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(body) for _, body in self.requests]

    @property
    def ids(self) -> list[str]:
        """Of the alerts that came, as a webhook gets them."""
        return [body["id"] for body in self.bodies]

    async def got(self, count: int) -> None:
        await until(lambda: len(self.requests) >= count, f"{count} requests")


def alert(number: int = 1, revision: int = 1, status: str = "firing", **said: object) -> Alert:
    """The `number`th alert, with labels of its own; began a minute ago."""
    starts_ms = round(time.time() * 1000) - 60_000
    values: dict[str, object] = {
        "id": f"{number:016x}-1800000000000",
        "status": status,
        "revision": revision,
        "fingerprint": f"{number:016x}",
        "labels": {
            "alertname": "outage",
            "severity": "critical",
            "stream": "logs",
            "tenant": "acme",
            "number": str(number),
        },
        "annotations": {"summary": "no space left", "description": "3 messages"},
        "startsAt": rfc3339(starts_ms),
        "endsAt": None if status == "firing" else rfc3339(starts_ms + 50_000),
        "generatorURL": None,
        "count": 3,
        "evidence": ("logs/0/1",),
    }
    return Alert(**(values | said))  # type: ignore[arg-type]


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def tell(bus: Bus, *alerts: Alert) -> None:
    """Writes them to the topic."""
    await bus.produce(bus.names.topic(ALERTS), [Send(codec.encode(one), one.id.encode()) for one in alerts])


@contextlib.asynccontextmanager
async def running(
    bus: Bus, notify: str, *, env: dict[str, str] | None = None, clock: Clock | None = None
) -> AsyncIterator[Running]:
    """`sluice run notify` in the test's event loop, joined; ended in order."""
    runtime = Runtime(http_port=free_port(), shutdown_seconds=2)  # a drain waits for alerts that are held
    stop = asyncio.Event()
    task = asyncio.create_task(
        pipeline.run(
            settings.parse(policy_text(bus, notify), Path("sluice.toml")),
            ["notify"],
            runtime=runtime,
            env={"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers, **SECRETS, **(env or {})},
            clock=clock or SystemClock(),
            rng=random.Random(1),
            stop=stop,
        )
    )
    worker = Running(f"http://{HOST}:{runtime.http_port}")
    try:
        await until(lambda: _ready(worker, task), "the worker's start")
        yield worker
    finally:
        stop.set()
        await asyncio.wait_for(task, SECONDS_MAX)


async def _ready(worker: Running, task: "asyncio.Task[None]") -> bool:
    if task.done():
        task.result()
    with contextlib.suppress(OSError):
        return (await worker.probe("ready"))[0] == 200
    return False


def ids(alerts: Sequence[Alert]) -> set[str]:
    return {one.id for one in alerts}
