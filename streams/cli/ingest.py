"""`sluice ingest`: files onto an input topic."""

import asyncio
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from processors.errors import ConfigurationError
from streams import kafka_security, settings, sources, topics_admin
from streams.ingest import ingest as write
from streams.ingest import keyed
from streams.settings import Runtime


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--stream", "-s", required=True, help="A stream of the policy; its first topic is written to.")
@click.option("--topic", help="Another of the stream's topics.")
@click.pass_obj
def ingest(runtime: Runtime, files: tuple[Path, ...], stream: str, topic: str | None) -> None:
    """Write files to a stream's input topic.

    .jsonl has one object a line (gold in `label` and `labels` is never sent; `time` becomes the timestamp, the
    conversation the key), .eml is one mail, .mbox many, anything else is a record a line, blank ones left out. .gz is
    unpacked. Lines that are judged by session are keyed by it.

    \b
    Example:
      sluice ingest /var/log/syslog --stream logs
      sluice ingest inbox.mbox more.eml --stream mail
    """
    policy = settings.load(runtime.config)
    if stream not in policy.streams:
        raise ConfigurationError(f"--stream '{stream}': use one of {', '.join(policy.streams)}.")
    topics = policy.streams[stream].topics
    if topic is not None and topic not in topics:
        raise ConfigurationError(f"--topic '{topic}': stream '{stream}' reads {', '.join(topics)}.")
    target = topic or topics[0]
    brokers = kafka_security.brokers(policy.kafka)
    with Progress(
        SpinnerColumn(), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn(), console=Console(stderr=True)
    ) as progress:
        task = progress.add_task("", total=None)

        async def go() -> int:
            await topics_admin.reach(brokers)
            records = keyed(policy.streams[stream], sources.read_all(files))
            return await write(records, target, brokers, on_written=lambda _record, _written: progress.advance(task))

        count = asyncio.run(go())
    click.echo(f"{count:,} records to {target}")
