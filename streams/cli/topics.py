"""`sluice topics`: creates and checks the topics that Sluice owns."""

import asyncio
import sys

import click

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
@click.pass_obj
def apply(runtime: Runtime, inputs: bool) -> None:
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
    for line in report.lines():
        click.echo(line)


@topics.command()
@click.pass_obj
def check(runtime: Runtime) -> None:
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
            inputs=[topic for stream in policy.streams.values() for topic in stream.topics],
        )
    )
    for problem in problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    click.echo("all topics are as they should be")
