"""`sluice feedback`: a person's correction of a decision."""

import asyncio
import time

import click

from processors.errors import ConfigurationError
from processors.policy import Stream
from streams import kafka_security, settings, shared
from streams.cli.message_ids import topic_of
from streams.settings import Runtime
from topics import codec, limits
from topics.catalog import FEEDBACK
from topics.headers import EventHeaders
from topics.messages import Feedback


@click.command()
@click.argument("message_id", metavar="ID")
@click.option("--stream", "-s", required=True, help="The message's stream.")
@click.option("--label", "-l", required=True, help="The right label.")
@click.option("--text", help="The message, so that a student can learn from it if it is not at hand any more.")
@click.option("--tenant", default="default", show_default=True, help="The message's tenant.")
@click.option("--by", help="Who says so.")
@click.pass_obj
def feedback(
    runtime: Runtime, message_id: str, stream: str, label: str, text: str | None, tenant: str, by: str | None
) -> None:
    """Say what the label of a message should have been.

    ID is the decision's: topic/partition/offset of the message. Students learn from it; what was decided stays. Needs
    a broker (KAFKA_BOOTSTRAP_SERVERS) and the policy.

    \b
    Example:
      sluice feedback mail/3/1207 --stream mail --label complaint
    """
    policy = settings.load(runtime.config)
    spec = policy.streams.get(stream)
    if spec is None:
        raise ConfigurationError(f"--stream '{stream}': {runtime.config} has {', '.join(policy.streams)}.")
    if label not in spec.labels:
        raise ConfigurationError(f"--label '{label}': stream '{stream}' has {', '.join(spec.labels)}.")
    _check(message_id, stream, spec)
    at_ms = round(time.time() * 1000)
    said = Feedback(
        id=message_id,
        stream=stream,
        label=label,
        tenant=tenant,
        text=None if text is None else text[: limits.LESSON_CHARS_MAX],
        by=by,
        at_ms=at_ms,
    )
    topic, headers = policy.kafka.names.topic(FEEDBACK), EventHeaders("operator", "feedback")(message_id, at_ms)
    brokers = kafka_security.brokers(policy.kafka)
    asyncio.run(shared.write(brokers, topic, message_id.encode(), codec.encode(said), headers))
    click.echo(f"{message_id} of {stream} is '{label}'")


def _check(message_id: str, stream: str, spec: Stream) -> None:
    """Raises ConfigurationError where it is the id of no message of the stream."""
    topic = topic_of(message_id)
    if topic not in spec.topics:
        raise ConfigurationError(f"'{message_id}': stream '{stream}' reads {', '.join(spec.topics)}, not '{topic}'")
