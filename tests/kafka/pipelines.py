"""The real pipeline for tests: a small policy, a stand-in provider that does not err, the `sluice` command."""

import asyncio
import contextlib
import functools
import os
import random
import sys
import tempfile
import time
import tomllib
import unittest.mock
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from prometheus_client.parser import text_string_to_metric_families

from local.kafka import HOST, free_port
from local.standin import StandIn, StandInSettings
from local.standin.error_profile import DEFAULT_PROFILE
from processors.policy import Policy
from streams import pipeline, settings
from streams.engine.settings import EngineSettings
from streams.settings import Runtime
from tests.kafka.bus import Bus
from tests.kafka.engines import SECONDS_MAX, until
from topics.catalog import DEAD_LETTERS, DECISIONS, RESOLUTIONS, Stage, Topic
from topics.limits import SESSION_TIMEOUT_MS

KEY = "sk-test"
SLUICE = Path(sys.executable).with_name("sluice")

_POLICY = """
[kafka]
prefix = "{prefix}"

[streams.logs]
kind = "log"
topics = ["{prefix}logs"]
[streams.logs.labels.alert]
means = "A disk failure that an operator must see now"
escalate = "mini"
[streams.logs.labels.access]
means = "Somebody signs in with a password"
[streams.logs.labels.delay]
means = "Slow replication or a long queue"
[streams.logs.labels.routine]
means = "Anything else: normal operation"

[streams.mail]
kind = "email"
topics = ["{prefix}mail"]
[streams.mail.labels.complaint]
means = "An unhappy customer complains"
[streams.mail.labels.other]
means = "Anything else"

[streams.chat]
kind = "dialogue"
topics = ["{prefix}chat"]
[streams.chat.labels.fraud]
means = "Reports a payment that they did not make"
[streams.chat.labels.service]
means = "Anything else: an ordinary request"
"""


def policy_text(bus: Bus) -> str:
    """A policy of three streams, `logs`, `mail` and `chat`, each with one topic of that name on the bus."""
    return _POLICY.format(prefix=bus.prefix)


def policy(bus: Bus) -> Policy:
    return settings.parse(policy_text(bus), Path("sluice.toml"))


async def topics(bus: Bus) -> None:
    """Everything that the policy of `bus` needs."""
    await bus.owned(inputs=[bus.prefix + name for name in ("logs", "mail", "chat")])


class QuickClock:
    """Time that runs sixty times as fast, for what waits for seconds: retries, Retry-After, looks at a closed account.

    For the stand-in as well, so that both sides agree on what a second is.
    """

    SPEED = 60

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * self.SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.SPEED)


@contextlib.contextmanager
def errors(*, obedience: int = 0) -> Iterator[Path]:
    """A profile of the stand-in whose answers never err. `obedience` 1: it obeys every order that it reads."""
    profile = tomllib.loads(DEFAULT_PROFILE.read_text())
    lines = DEFAULT_PROFILE.read_text().splitlines()
    quiet = dict.fromkeys(profile["tiers"], 0) | {"neighbour": 0, "broken_items": 0, "obedience": obedience}
    for number, line in enumerate(lines):
        name = line.partition("=")[0].strip()
        if name in quiet:
            lines[number] = f"{name} = {quiet[name]}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "errors.toml"
        path.write_text("\n".join(lines))
        yield path


@contextlib.asynccontextmanager
async def stand_in(*, obedience: int = 0, port: int = 0) -> AsyncIterator[StandIn]:
    """A provider over HTTP that judges by the words of the labels, never errs, answers at once and wants KEY."""
    with errors(obedience=obedience) as path:
        async with StandIn(StandInSettings(port=port, errors=path, latency_scale=0, key=KEY), QuickClock()) as provider:
            yield provider


@dataclass(frozen=True, slots=True)
class Running:
    """A pipeline that runs in the test's event loop."""

    url: str  # of its probes and metrics

    async def metric(self, name: str, **labels: str) -> float:
        """A sample of `/metrics`; 0 where there is none yet."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            page = await response.text()
        return next(
            (
                sample.value
                for family in text_string_to_metric_families(page)
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            ),
            0.0,
        )

    async def probe(self, name: str) -> tuple[int, Any]:
        """Status and body of `/live` or `/ready`."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/{name}") as response:
            return response.status, await response.json()


@contextlib.asynccontextmanager
async def running(
    bus: Bus,
    base_url: str,
    *stages: Stage,
    key: str = KEY,
    rng: random.Random | None = None,
    env: Mapping[str, str] | None = None,
    rules: Policy | None = None,
) -> AsyncIterator[Running]:
    """The stages (by default triage), joined and reading; stopped in order at the end. `rules`: another policy."""
    runtime = Runtime(http_port=free_port(), shutdown_seconds=600)  # of the quick clock
    stop, ready = asyncio.Event(), asyncio.Event()
    # The engine measures by its clock whether it was held up beyond its session: a poll of 0.2 s is 12 s of this one.
    session = functools.partial(EngineSettings, session_timeout_ms=SESSION_TIMEOUT_MS * QuickClock.SPEED)
    with unittest.mock.patch.object(pipeline, "EngineSettings", session):
        task = asyncio.create_task(
            pipeline.run(
                rules or policy(bus),
                stages or ("triage",),
                runtime=runtime,
                env=outside(bus, base_url, key) | dict(env or {}),
                clock=QuickClock(),
                rng=rng or random.Random(1),
                stop=stop,
                on_ready=ready.set,
            )
        )
        try:
            await until(lambda: ready.is_set() or task.done(), "the pipeline's start")
            yield Running(f"http://{HOST}:{runtime.http_port}")
        finally:
            stop.set()
            await asyncio.wait_for(task, SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Worker(Running):
    """`sluice run` with one stage, as a process of its own."""

    pid: int
    log: Path  # what it writes to standard error


@contextlib.asynccontextmanager
async def worker(
    bus: Bus, base_url: str, folder: Path, *, stage: Stage = "triage", key: str = KEY
) -> AsyncIterator[Worker]:
    """A worker, ended by SIGTERM; fails where it does not end in order. Its files are in `folder`."""
    (folder / "sluice.toml").write_text(policy_text(bus))
    port, log = free_port(), folder / "worker.log"
    env = outside(bus, base_url, key) | {"SLUICE_HTTP_PORT": str(port)}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            SLUICE, "run", stage, cwd=folder, env=os.environ | env, stderr=stderr
        )
        try:
            await until(lambda: b'"running"' in log.read_bytes(), "the worker's start")
            yield Worker(f"http://{HOST}:{port}", process.pid, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            code = await asyncio.wait_for(process.wait(), SECONDS_MAX)
    assert code == 0, log.read_text()


def outside(bus: Bus, base_url: str, key: str = KEY) -> dict[str, str]:
    """The environment variables that say where broker and provider are. (conftest has removed the caller's.)"""
    return {"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": key}


async def read(bus: Bus, topic: Topic) -> list[dict[str, Any]]:
    """The JSON values of a topic of ours."""
    return [orjson.loads(value) for value in await bus.values(bus.names.topic(topic)) if value is not None]


async def decisions(bus: Bus) -> dict[str, dict[str, Any]]:
    """By message id. Fails where a message has two."""
    return _one_each(await read(bus, DECISIONS))


async def resolutions(bus: Bus) -> dict[str, dict[str, Any]]:
    """By message id. Fails where a message has two."""
    return _one_each(await read(bus, RESOLUTIONS))


def _one_each(values: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    by_id = {value["id"]: value for value in values}
    assert len(by_id) == len(values), f"some came twice: {sorted(value['id'] for value in values)}"
    return by_id


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of `dead-letters`."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]

    @property
    def id(self) -> str:
        """Message id of the record that it was."""
        return "/".join(self.told(f"origin.{part}") for part in ("topic", "partition", "offset"))

    def told(self, name: str) -> str:
        """A header of ours: `reason`, `error`, `attempts`, `stage`, `origin.topic`, …"""
        return self.headers[f"sluice.{name}"].decode()


async def dead_letters(bus: Bus) -> dict[str, DeadLetter]:
    """By message id of the origin. Fails where a message has two."""
    letters = [
        DeadLetter(record.key, record.value, dict(record.headers))
        for record in await bus.read(bus.names.topic(DEAD_LETTERS))
    ]
    assert len({letter.id for letter in letters}) == len(letters), "one dead letter a record"
    return {letter.id: letter for letter in letters}


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    def is_refusal(self) -> bool:
        """Whether it ended as it should on what the user can mend: exit code 2, words instead of a traceback."""
        return self.code == 2 and "Traceback" not in self.err and self.error.startswith("error: ")

    @property
    def error(self) -> str:
        """Its last words, without the progress before them."""
        return self.err[max(0, self.err.find("error: ")) :]


async def sluice(*arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Said:
    """Runs the command in `folder` until it ends, with `env` in its environment."""
    process = await asyncio.create_subprocess_exec(
        SLUICE,
        *arguments,
        cwd=folder,
        env=os.environ | dict(env or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())
