"""`sluice topics`: creates, checks and describes the topics that Sluice owns."""

import asyncio
import sys

import click
import orjson

from streams import kafka_security, settings, topics_admin
from streams.settings import Runtime
from topics import strimzi


@click.group()
def topics() -> None:
    """Create, check or describe the topics that Sluice owns.

    \b
    Example:
      sluice topics apply --inputs
      sluice topics check
      sluice topics manifest > topics.yaml
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
            kafka_security.brokers(policy.kafka),
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
            kafka_security.brokers(policy.kafka),
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


@topics.command()
@click.option("--cluster", default="kafka", show_default=True, help="The name of Strimzi's Kafka resource.")
@click.pass_obj
def manifest(runtime: Runtime, cluster: str) -> None:
    """Print the topics as Strimzi's KafkaTopics, for a Kafka that an operator runs. Asks no broker.

    \b
    Example:
      sluice topics manifest --cluster kafka > topics.yaml
    """
    kafka = settings.load(runtime.config).kafka
    click.echo(
        strimzi.manifest(kafka.names, cluster=cluster, partitions=kafka.partitions, replicas=kafka.replication_factor),
        nl=False,
    )
