"""`sluice tail`: prints a topic as it grows."""

import asyncio
import contextlib
import re
from typing import Any

import click
import orjson
from aiokafka import AIOKafkaConsumer

from processors.policy import Kafka
from streams import kafka_security, settings, shutdown, topics_admin
from streams.brokers import Brokers
from streams.settings import Runtime
from topics import dead_letters
from topics.catalog import OWNED, QUALITY
from topics.dead_letters import NotADeadLetter
from topics.records import Record

_COIN = re.compile(rb'("coin"\s*:\s*")[^"]+')


@click.command()
@click.argument("topic")
@click.option("--from-beginning", is_flag=True, help="What is there already, too.")
@click.option("--max", "most", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("--json", "as_json", is_flag=True, help="Whole values, one a line.")
@click.pass_obj
def tail(runtime: Runtime, topic: str, from_beginning: bool, most: int | None, as_json: bool) -> None:
    """Print what is written to a topic, until Ctrl-C. Sluice's own topics may be named without their prefix.

    Reads committed records only, without a consumer group: it disturbs nobody. The secret on `quality` is hidden. Needs
    a broker (KAFKA_BOOTSTRAP_SERVERS), and a policy only where that sets another broker or prefix.

    \b
    Example:
      sluice tail decisions
      sluice tail escalations.mini --from-beginning --max 5 --json
    """
    policy = settings.given(runtime)
    kafka = policy.kafka if policy else Kafka()
    full = next((kafka.names.topic(owned) for owned in OWNED if owned.name == topic), topic)
    asyncio.run(_tail(full, kafka_security.brokers(kafka), from_beginning, most, as_json))


async def _tail(topic: str, brokers: Brokers, from_beginning: bool, most: int | None, as_json: bool) -> None:
    await topics_admin.reach(brokers)
    consumer = AIOKafkaConsumer(
        **brokers.client_options,
        isolation_level="read_committed",
        enable_auto_commit=False,
        client_id="sluice-tail",
    )
    await consumer.start()
    try:
        await topics_admin.assign(consumer, [topic], from_beginning=from_beginning)
        seen = 0
        with shutdown.on_signals() as stop:
            stopped = asyncio.create_task(stop.wait())
            while most is None or seen < most:
                read = asyncio.create_task(consumer.getone())
                await asyncio.wait({read, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not read.done():
                    read.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await read
                    break
                click.echo(_line(read.result(), as_json))
                seen += 1
            stopped.cancel()
    finally:
        await consumer.stop()


def _line(record: Record, as_json: bool) -> str:
    """One line for a person, or the whole value."""
    value = _value(record, as_json)
    return value if as_json else " ".join((*_died_of(record), value))


def _died_of(record: Record) -> tuple[str, ...]:
    """Why a dead letter is one, which its headers say, and they are cut nowhere: the remedy comes last."""
    try:
        letter = dead_letters.read(record.headers)
    except NotADeadLetter:
        return ()
    return f"reason={letter.reason}", f"error={' '.join(letter.error.split())}"


def _value(record: Record, as_json: bool) -> str:
    if record.value is None:
        return f"{record.topic}/{record.partition}/{record.offset} tombstone {record.key!r}"
    said = record.value
    if record.topic.endswith(QUALITY.name):  # under whatever prefix: terminals are logged, and a log is read by many
        said = _COIN.sub(rb"\1(hidden)", said)
    if as_json:
        return str(said, errors="replace")
    try:
        value = orjson.loads(said)
    except orjson.JSONDecodeError:
        value = None
    plain = f"{record.topic}/{record.partition}/{record.offset} {said[:200].decode(errors='replace')}"
    if not isinstance(value, dict):
        return plain
    for inner in ("labels", "annotations"):  # where alerts, and signals, have what Alertmanager has there
        if isinstance(told := value.get(inner), dict):
            value |= {key: told[key] for key in told if value.get(key) is None}
    shown = (f"{key}={_short(value[key])}" for key in _SHOWN if value.get(key) not in (None, "", [], {}, 0))
    return " ".join(shown) or plain


_SHOWN = (
    *("id", "call_id", "revision", "alertname", "stream", "tenant", "tier", "label", "severity", "confidence"),
    *("priority", "status", "count", "bound"),
    *("reason", "detail", "decided_by", "escalated_to", "model", "usd_micros", "cost_usd_micros", "summary", "text"),
)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"
