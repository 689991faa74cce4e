"""`sluice demo`: sample streams through the whole pipeline on a local Kafka, with a report at the end."""

import asyncio
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import orjson
from rich.console import Console

from local import pointing, simulated
from local.demo import policy as demo_policy
from local.demo import progress, report
from local.drive import Feed, create_topics, drive, texts_of
from local.kafka import LocalKafka
from local.samples import Sample, generate, jsonl
from local.samples.generate import MESSAGES_MIN
from processors.baseline import one_call_each_usd
from processors.clock import SystemClock
from processors.policy import Policy
from streams import kafka_security, logs
from streams.console.serving import serving
from streams.settings import Runtime
from streams.sources import FileRecord

_FEED_SECONDS = 20.0  # the forty minutes of the samples' story, told quickly enough to watch


@dataclass(frozen=True, slots=True)
class _Outside:
    """What the pipeline talks to: stood in for, or the caller's own."""

    policy: Policy
    provider: str
    env: Mapping[str, str]
    prefix: str = ""  # of the input topics


@click.command()
@click.option(
    "--messages", type=click.IntRange(min=MESSAGES_MIN), default=3_000, show_default=True, help="Sample messages."
)
@click.option("--seed", default=7, show_default=True, help="Of the samples and the simulated answers.")
@click.option(
    "--report",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("demo-report.json"),
    show_default=True,
    help="Where the report is written.",
)
@click.option("--external", is_flag=True, help="Your own KAFKA_* and OPENAI_*: real answers, real money.")
@click.pass_obj
def demo(runtime: Runtime, messages: int, seed: int, path: Path, external: bool) -> None:
    """Run sample messages through the whole pipeline.

    Logs, mail and dialogues. Starts a real Kafka from its jars and a simulated provider, both gone at the end, and
    ignores your KAFKA_* and OPENAI_* variables unless --external says otherwise. Takes 45 seconds to a minute.

    \b
    Example:
      sluice demo
      sluice demo --messages 10000 --seed 1
    """
    console = Console()
    logs.set_up(runtime.log_format, "WARNING")
    result = asyncio.run(_demo(console, runtime, messages, seed, external))
    path.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    console.print()
    console.print(report.table(result))
    console.print(f"\nThe same as JSON: {path}")
    sluice = "sluice" if shutil.which("sluice") else sys.argv[0]
    console.print(
        "\nThree things to try next:\n"
        f"  {sluice} up    (it keeps running; in another terminal:)\n"
        f"  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 {sluice} tail escalations.mini\n"
        f"  {sluice} try README.md --stream logs    (any file, no Kafka)",
        highlight=False,
        soft_wrap=True,
    )
    if result["undecided"] or result["doubled"]:
        raise click.ClickException(
            f"{result['undecided']} inputs have no decision and {result['doubled']} outputs are doubled: this is a bug."
        )


async def _demo(console: Console, runtime: Runtime, messages: int, seed: int, external: bool) -> dict[str, object]:
    samples = list(generate(seed, messages))
    async with contextlib.AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sluice-demo-")))
        database = {"OPS_DB_URL": closing.enter_context(demo_policy.database(folder))}
        if external:
            prefix = f"sluice-demo-{int(time.time())}."  # nobody's topics but the demo's own
            policy = pointing.under(demo_policy.load(), prefix)
            outside = _Outside(policy, "your own (--external)", os.environ | database, prefix)
            console.print(f"topics: {prefix}*, kept for you to look at and delete", highlight=False)
        else:
            outside = await closing.enter_async_context(_stood_in(console, samples, seed, folder, database))
        brokers = kafka_security.brokers(outside.policy.kafka, outside.env)
        inputs = sorted({outside.prefix + sample.topic for sample in samples})
        await create_topics(outside.policy, inputs, brokers)  # before the console, which would warn that it has none
        page = await closing.enter_async_context(
            serving(outside.policy, brokers, runtime, SystemClock(), random.SystemRandom(), or_another_port=True)
        )
        console.print(f"console: [bold]{page}[/], as long as the demo runs", highlight=False)
        feeds = _feeds(samples, time.time(), outside.prefix)
        started = time.monotonic()
        with progress.shown(console) as show:
            seen = await drive(outside.policy, feeds, outside.env, seed=seed, on_progress=show)
        seconds = time.monotonic() - started
        streams = {feed.topic: outside.policy.stream_of(feed.topic) for feed in feeds}
        return report.summarise(
            seen,
            provider=outside.provider,
            streams=streams,
            one_call_each_usd=sum(
                one_call_each_usd(
                    outside.policy, streams[feed.topic], texts_of(outside.policy, streams[feed.topic], feed.written)
                )
                for feed in feeds
            ),
            seconds=seconds,
        )


@contextlib.asynccontextmanager
async def _stood_in(
    console: Console, samples: list[Sample], seed: int, folder: Path, env: Mapping[str, str]
) -> AsyncIterator[_Outside]:
    """A local Kafka and the simulated provider, which knows the samples' gold."""
    gold = jsonl.write(samples, folder / "gold")
    console.print("starting Kafka and the simulated models …", style="dim")
    async with (
        LocalKafka(say=lambda sentence: console.print(sentence, style="dim")) as kafka,
        simulated.provider(list(gold), seed=seed) as provider,
    ):
        console.print(f"Kafka {kafka.bootstrap_servers}; models: [bold yellow]{provider.name}[/]")
        env = dict(env) | dict(provider.env) | {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        yield _Outside(pointing.at_models(demo_policy.load()), provider.name, env)


def _feeds(samples: list[Sample], now_s: float, prefix: str) -> list[Feed]:
    """A feed a topic; the story ends now, and is told in _FEED_SECONDS."""
    first, last = samples[0].time.timestamp(), samples[-1].time.timestamp()
    by_topic: dict[str, list[Sample]] = {}
    for sample in samples:
        by_topic.setdefault(sample.topic, []).append(sample)
    pace = _FEED_SECONDS / max(1.0, last - first)

    async def told(of_topic: list[Sample], began: float) -> AsyncIterator[FileRecord]:
        for sample in of_topic:
            early_s = began + (sample.time.timestamp() - first) * pace - time.monotonic()
            if early_s > 0:
                await asyncio.sleep(early_s)
            yield FileRecord(
                sample.key,
                sample.value,
                sample.timestamp_ms + round((now_s - last) * 1000),
                sample.id,
                sample.headers,
            )

    began = time.monotonic()
    return [Feed(prefix + topic, told(of_topic, began)) for topic, of_topic in by_topic.items()]
