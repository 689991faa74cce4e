"""`sluice connect-demo`: a file and an outbox in, tables out, and nothing lost or doubled when processes are killed.

file ──▶ Connect ──▶ logs ──┐                        ┌─▶ decisions ──▶ Connect ──▶ table decisions
outbox ▶ Connect ──▶ emails ┴─▶ two triage workers ──┴─▶ alerts ─────▶ Connect ──▶ table alerts
"""

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from local import simulated
from local.collect import Collected, Collector
from local.connect import configurations, counts
from local.connect.counts import Counts
from local.connect.senders import Senders
from local.connect.worker import LocalConnect
from local.demo import policy as demo_policy
from local.guard import Guarded
from local.kafka import LocalKafka
from local.postgres import LocalPostgres
from local.samples import generate, jsonl
from local.samples.generate import MESSAGES_MIN
from processors.errors import SluiceError
from processors.policy import Policy
from streams import logs, topics_admin
from streams.settings import Runtime

CONNECTORS = ("logs-file", "emails-outbox", "decisions-jdbc", "alerts-jdbc")
_PARTITIONS = 4
_STALLED_SECONDS_MAX = 90.0  # a killed worker's partitions and transactions are free again after a third of it
_LOOK_AGAIN_SECONDS = 0.5
_LOG_TAIL_CHARS = 2_000


@click.command(name="connect-demo")
@click.option(
    "--messages", type=click.IntRange(min=MESSAGES_MIN), default=3_000, show_default=True, help="Sample messages."
)
@click.option("--seed", default=7, show_default=True, help="Of the samples and the simulated answers.")
@click.pass_obj
def connect_demo(runtime: Runtime, messages: int, seed: int) -> None:
    """Run a real Kafka Connect around the pipeline, and kill it.

    A file of log lines and a PostgreSQL outbox of mail go in, tables in PostgreSQL come out. On the way the Connect
    worker and a triage worker are killed (kill -9); then inputs, decisions and rows are compared by message id. Needs
    the package postgresql (its service need not run). Takes about a minute and a half; models are simulated.

    \b
    Example:
      sluice connect-demo
    """
    console = Console()
    logs.set_up(runtime.log_format, "WARNING")
    result = asyncio.run(_demo(console, messages, seed))
    console.print()
    console.print(counts.table(result))
    if not result.equal:
        raise click.ClickException("the counts differ: this is a bug.")
    console.print("\nEvery message that went in is decided once, and every decision is one row.", style="bold green")


@dataclass(slots=True)
class _Workers:
    """`sluice run` as processes of their own: one with all stages, one more for triage."""

    env: Mapping[str, str]
    folder: Path
    running: list[Guarded] = field(default_factory=list)

    def start(self, stage: str) -> None:
        command = [str(Path(sys.executable).with_name("sluice")), "--config", str(demo_policy.FILE), "run", stage]
        self.running.append(Guarded(command, log=self._log, env=self.env))

    def kill(self, worker: Guarded) -> None:
        worker.kill()
        self.running.remove(worker)

    def require(self) -> None:
        """Raises where one has ended by itself."""
        if not all(worker.running for worker in self.running):
            raise SluiceError(f"a worker ended. Its log ends:\n{self._log.read_text()[-_LOG_TAIL_CHARS:]}")

    def stop(self) -> None:
        """Ends all at the same time: each finishes what it has in hand first."""
        with ThreadPoolExecutor(max(1, len(self.running))) as pool:
            list(pool.map(Guarded.close, self.running))

    @property
    def _log(self) -> Path:
        return self.folder / "workers.log"


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything that runs, and what it has written so far."""

    console: Console
    policy: Policy
    kafka: LocalKafka
    connect: LocalConnect
    postgres: LocalPostgres
    workers: _Workers
    senders: Senders
    seen: Collected
    collecting: "asyncio.Task[None]"

    async def decided(self, share: float) -> None:
        """Returns when at least so many of the messages handed over are decided."""
        wanted = share * sum(self.senders.given.values())
        await self._until(lambda: len(self.seen.decisions) + len(self.seen.dead) >= wanted)

    async def settled(self) -> Counts:
        """The counts, as soon as they are equal, or when nothing has changed for long."""
        last: Counts | None = None
        since = time.monotonic()
        while True:
            now = await counts.take(
                self.kafka.brokers, self.policy.kafka.names, self.senders.given, self.seen, self.postgres
            )
            if now != last:
                last, since = now, time.monotonic()
            if now.equal or time.monotonic() - since > _STALLED_SECONDS_MAX:
                return now
            self._require()
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _STALLED_SECONDS_MAX
        while not holds():
            self._require()
            if time.monotonic() > deadline:
                raise SluiceError(f"nothing was decided for {_STALLED_SECONDS_MAX:g} s")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _require(self) -> None:
        """Raises what has gone wrong in the background."""
        if self.collecting.done():
            self.collecting.result()
        self.workers.require()
        for name, trace in self.connect.failures().items():
            raise SluiceError(f"connector '{name}' failed: {trace}")


async def _demo(console: Console, messages: int, seed: int) -> Counts:
    async with _scene(console, messages, seed) as scene:
        console.print("a first part of the messages …", style="dim")
        scene.senders.feed(0.4)
        await scene.decided(0.2)

        scene.senders.feed(0.6)
        await asyncio.to_thread(scene.connect.kill)
        console.print("[bold red]kill -9[/] the Connect worker, while sources read and sinks write; starting another …")
        await asyncio.to_thread(scene.connect.start)
        for name in CONNECTORS:
            await asyncio.to_thread(scene.connect.await_running, name)

        scene.senders.feed(1.0)
        await scene.decided(0.7)
        scene.workers.kill(scene.workers.running[-1])
        console.print("[bold red]kill -9[/] a triage worker, while it decides; starting another …")
        scene.workers.start("triage")

        console.print("waiting until all is decided and in the tables …", style="dim")
        return await scene.settled()


@contextlib.asynccontextmanager
async def _scene(console: Console, messages: int, seed: int) -> AsyncIterator[_Scene]:
    """Everything started, and ended in order."""
    samples = list(generate(seed, messages))
    policy = demo_policy.load()

    def say(sentence: str) -> None:
        console.print(sentence, style="dim")

    async with contextlib.AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sluice-connect-demo-")))
        say("starting PostgreSQL, Kafka, the simulated models, the stages and Kafka Connect …")
        postgres = closing.enter_context(LocalPostgres())
        postgres.query(configurations.OUTBOX)
        kafka = await closing.enter_async_context(LocalKafka(say=say))
        gold = jsonl.write(samples, folder / "gold")
        provider = await closing.enter_async_context(simulated.provider(list(gold), seed=seed))
        names = policy.kafka.names
        inputs = [topic for stream in policy.streams.values() for topic in stream.topics]
        await topics_admin.apply(kafka.brokers, names, partitions=_PARTITIONS, replication_factor=1, inputs=inputs)

        collector = Collector(kafka.brokers, names)
        collecting = asyncio.create_task(collector.run())
        closing.push_async_callback(_end, collecting)

        own = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "OPENAI_"))}
        database = {"OPS_DB_URL": closing.enter_context(demo_policy.database(folder))}
        outside = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, **provider.env}
        here = {"SLUICE_HTTP_PORT": "0", "SLUICE_DATA_DIR": str(folder / "data")}
        workers = _Workers(own | database | outside | here, folder)
        closing.push_async_callback(asyncio.to_thread, workers.stop)
        for stage in ("all", "triage"):
            workers.start(stage)

        senders = Senders(folder / "app.log", postgres, samples)
        env = configurations.environment(policy, senders.file, postgres)
        connect = await closing.enter_async_context(LocalConnect(kafka.bootstrap_servers, env=env, say=say))
        for name in CONNECTORS:
            await asyncio.to_thread(connect.create, configurations.file(name))
        console.print(
            f"Kafka {kafka.bootstrap_servers}; Connect {connect.url}; {postgres.jdbc_url};"
            f" models: [bold yellow]{provider.name}[/]",
            highlight=False,
        )
        yield _Scene(console, policy, kafka, connect, postgres, workers, senders, collector.seen, collecting)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})
