"""`sluice topics`: creates and checks the topics that Sluice owns."""

import asyncio
import sys

import click
import orjson

from streams import settings, topics_admin
from streams.settings import Runtime


@click.group()
def topics() -> None:
    """Create or check the topics that Sluice owns.

    \b
    Example:
      sluice topics apply --inputs
      sluice topics check
    """


@topics.command()
@click.option("--inputs", is_flag=True, help="Create the policy's input topics too, where they are missing.")
@click.option("--json", "as_json", is_flag=True, help="One object: created, configured, unchanged.")
@click.pass_obj
def apply(runtime: Runtime, inputs: bool, as_json: bool) -> None:
    """Create what is missing; nothing is ever removed or shrunk.

    \b
    Example:
      sluice topics apply
    """
    policy = settings.load(runtime.config)
    report = asyncio.run(
        topics_admin.apply(
            settings.bootstrap_servers(policy.kafka),
            policy.kafka.names,
            partitions=policy.kafka.partitions,
            replication_factor=policy.kafka.replication_factor,
            inputs=[topic for stream in policy.streams.values() for topic in stream.topics] if inputs else [],
        )
    )
    if as_json:
        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        return
    for line in report.lines():
        click.echo(line)


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="One object with every problem.")
@click.pass_obj
def check(runtime: Runtime, as_json: bool) -> None:
    """Say what differs from what the stages need; exit code 1 where anything does.

    \b
    Example:
      sluice topics check
    """
    policy = settings.load(runtime.config)
    problems = asyncio.run(
        topics_admin.check(
            settings.bootstrap_servers(policy.kafka),
            policy.kafka.names,
            replication_factor=policy.kafka.replication_factor,
            inputs=[topic for stream in policy.streams.values() for topic in stream.topics],
        )
    )
    if as_json:
        click.echo(orjson.dumps({"problems": problems}, option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n".join(problems) or "all topics are as they should be")
    if problems:
        sys.exit(1)
