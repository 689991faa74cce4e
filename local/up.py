"""`sluice up`: a broker, the simulated provider and all stages, until Ctrl-C, to play with."""

import asyncio
import functools
import os
import random
import shlex
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import click
from rich.console import Console

from local import pointing, simulated
from local.demo import policy as demo_policy
from local.kafka import LocalKafka
from local.samples import generate, jsonl
from processors.clock import SystemClock
from processors.policy import Policy
from streams import pipeline, settings, shutdown, topics_admin
from streams.console.serving import serving
from streams.ingest import ingest
from streams.settings import Runtime
from streams.sources import FileRecord
from topics.catalog import ALERTS, DECISIONS, ESCALATIONS_FLAGSHIP, ESCALATIONS_MINI, RESOLUTIONS, STAGES

_PARTITIONS = 4
_SAMPLES_A_ROUND = 3_000


@click.command()
@click.option("--port", type=click.IntRange(1024, 65535), default=9092, show_default=True, help="Kafka's port.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sluice/kafka"),
    show_default=True,
    help="Kafka's data; kept from one time to the next.",
)
@click.option("--rate", type=click.FloatRange(min=0), default=5.0, show_default=True, help="Samples a second; 0: none.")
@click.option("--external-models", is_flag=True, help="Ask your own provider (OPENAI_*): real answers, real money.")
@click.pass_obj
def up(runtime: Runtime, port: int, data: Path, rate: float, external_models: bool) -> None:
    """Keep a local Kafka, simulated models and all stages running.

    Uses sluice.toml where there is one, wherever it points, and takes its changes over as `sluice run` does; else the
    demo's policy with sample messages trickling in. Any Kafka client can connect.

    \b
    Example:
      sluice up
      export KAFKA_BOOTSTRAP_SERVERS=localhost:9092    # in another terminal
      sluice tail escalations.mini
      python examples/read_escalations.py
    """
    console = Console()
    asyncio.run(_up(console, runtime, settings.given(runtime), port, data, rate, external_models))


async def _up(
    console: Console, runtime: Runtime, own: Policy | None, port: int, data: Path, rate: float, external_models: bool
) -> None:
    clock, rng = SystemClock(), random.SystemRandom()
    async with AsyncExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sluice-up-")))
        env, policy = dict(os.environ), own
        if policy is None:
            policy = demo_policy.load()
            env["OPS_DB_URL"] = closing.enter_context(demo_policy.database(folder))
        console.print("starting Kafka …", style="dim")
        kafka = await closing.enter_async_context(
            LocalKafka(data, port, say=lambda sentence: console.print(sentence, style="dim"))
        )
        models = "your own (--external-models)"
        if not external_models:
            console.print("starting the simulated models …", style="dim")
            gold = jsonl.write(generate(rng.randrange(1_000_000), _SAMPLES_A_ROUND), folder / "gold")
            provider = await closing.enter_async_context(simulated.provider(list(gold)))
            models = provider.name
            env |= provider.env
        pointed = functools.partial(_pointed, brokers=kafka.bootstrap_servers, simulated_models=not external_models)
        policy = pointed(policy)
        inputs = [topic for spec in policy.streams.values() for topic in spec.topics]
        await topics_admin.apply(
            kafka.brokers, policy.kafka.names, partitions=_PARTITIONS, replication_factor=1, inputs=inputs
        )
        page = await closing.enter_async_context(
            serving(policy, kafka.brokers, runtime, clock, rng, or_another_port=True)
        )
        with shutdown.on_signals() as stop:
            async with asyncio.TaskGroup() as tasks:
                feeding = [
                    tasks.create_task(ingest(_trickle(topic, rate, rng), topic, kafka.brokers))
                    for topic in (inputs if rate and own is None else [])
                ]
                await pipeline.run(
                    policy,
                    STAGES,
                    runtime=runtime,
                    env=env,
                    clock=clock,
                    rng=rng,
                    stop=stop,
                    on_ready=lambda: _say_ready(
                        console, policy, kafka.bootstrap_servers, models, page, None if own is None else runtime.config
                    ),
                    policy_file=None if own is None else runtime.config,
                    pointed=pointed,
                )
                for task in feeding:
                    task.cancel()
        console.print(f"stopped; what Kafka holds is kept in {data}", style="dim", highlight=False)


def _pointed(policy: Policy, *, brokers: str, simulated_models: bool) -> Policy:
    """The policy as it runs here: at the local broker, and at the simulated models unless one's own are asked."""
    policy = pointing.at_broker(policy, brokers)
    return pointing.at_models(policy) if simulated_models else policy


def _say_ready(console: Console, policy: Policy, brokers: str, models: str, page: str, own: Path | None) -> None:
    """`own`: the user's policy file; of the demo's, or of one by another name, the other commands have to be told."""
    names = policy.kafka.names
    console.print(f"[bold green]up[/]  Kafka {brokers}; models: [yellow]{models}[/]", highlight=False, soft_wrap=True)
    said = "the demo's, as there is no sluice.toml here" if own is None else f"{own}, whose changes are taken over"
    file = own or demo_policy.FILE
    sluice = "sluice" if file == Path("sluice.toml") else f"sluice -c {shlex.quote(str(file))}"
    console.print(f"    policy: {said}", highlight=False, markup=False, soft_wrap=True)
    for name, spec in policy.streams.items():
        console.print(f"    {name}: write to {', '.join(spec.topics)}", highlight=False)
    outputs = (DECISIONS, ESCALATIONS_MINI, ESCALATIONS_FLAGSHIP, RESOLUTIONS, ALERTS)
    console.print(f"    console: [bold]{page}[/]", highlight=False)
    console.print("    read from " + "\n              ".join(map(names.topic, outputs)), highlight=False)
    console.print(
        f"In another terminal:\n    export KAFKA_BOOTSTRAP_SERVERS={brokers}\n    {sluice} tail decisions\n"
        f"    {sluice} ingest FILE --stream {next(iter(policy.streams))}\n"
        "Ctrl-C here ends everything.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


async def _trickle(topic: str, rate: float, rng: random.Random) -> AsyncIterator[FileRecord]:
    """Samples of one topic for ever, as many a second as its share of `rate`, stamped with the present."""
    while True:
        samples = list(generate(rng.randrange(1_000_000), _SAMPLES_A_ROUND))
        mine = [sample for sample in samples if sample.topic == topic]
        for sample in mine:
            await asyncio.sleep(len(samples) / len(mine) / rate)
            yield FileRecord(sample.key, sample.value, None, sample.id, sample.headers)
