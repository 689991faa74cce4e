"""`sluice memory`: what workers remember together, and how it is forgotten."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
import orjson
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from processors.policy import Kafka
from processors.remembered import MemoryKind
from streams import kafka_security, settings, shared_memory, topics_admin
from streams.brokers import Brokers
from streams.cli.message_ids import topic_of
from streams.settings import Runtime
from streams.shared_memory import Summary
from topics.catalog import Names

_LABELS_SHOWN = 4


@click.group()
def memory() -> None:
    """Show what workers remember together, or make them forget.

    \b
    Example:
      sluice memory show --stream logs
      sluice memory erase --tenant acme
      sluice memory erase --message mails/0/4711
    """


@memory.command()
@click.option("--stream", "-s", help="One stream only.")
@click.option("--json", "as_json", is_flag=True, help="One object for machines.")
@click.pass_obj
def show(runtime: Runtime, stream: str | None, as_json: bool) -> None:
    """Count the entries that workers share, by stream and kind.

    exact: answers to whole texts. template: log lines that differ in their parameters. near: mails that differ in a few
    words. Texts are not shown; what is there is read whole, which takes seconds.

    \b
    Example:
      sluice memory show --stream logs
    """
    kafka = _kafka(runtime)
    found = asyncio.run(_summaries(kafka_security.brokers(kafka), kafka.names))
    chosen = {place: summary for place, summary in sorted(found.items()) if stream in (None, place[0])}
    if as_json:
        entries = [{"stream": name, "kind": kind, **_plain(summary)} for (name, kind), summary in chosen.items()]
        click.echo(orjson.dumps({"memory": entries}, option=orjson.OPT_INDENT_2))
        return
    if not chosen:
        click.echo("nothing is remembered" + (f" of stream '{stream}'" if stream else ""))
        return
    table = Table(box=None)
    for title in ("stream", "kind", "entries", "tenants", "answers", "contradicted", "newest", "labels"):
        table.add_column(title, justify="left" if title in ("stream", "kind", "newest", "labels") else "right")
    for (name, kind), summary in chosen.items():
        labels = ", ".join(f"{label} {count:,}" for label, count in summary.labels.most_common(_LABELS_SHOWN))
        more = len(summary.labels) - _LABELS_SHOWN
        table.add_row(
            name,
            kind,
            f"{summary.entries:,}",
            f"{len(summary.tenants):,}",
            f"{summary.answers:,.0f}",
            f"{summary.contradicted:,}",
            datetime.fromtimestamp(summary.newest_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
            labels + (f" and {more} more" if more > 0 else ""),
        )
    Console(highlight=False).print(table)


@memory.command()
@click.option("--tenant", help="All of this tenant.")
@click.option("--message", help="All that was learnt from this message: topic/partition/offset.")
@click.option("--json", "as_json", is_flag=True, help="One object for machines.")
@click.pass_obj
def erase(runtime: Runtime, tenant: str | None, message: str | None, as_json: bool) -> None:
    """Make all workers forget a tenant or a message.

    A message is forgotten with all that was learnt from it. Running workers obey within seconds; the topic itself loses
    the bytes when the broker compacts it. Students and the topics of lessons and audits are not touched. A dialogue's
    entry names all turns that were judged together, a log session's its last line, a template's or mail's the first
    message that it was learnt from and the latest 15.

    \b
    Example:
      sluice memory erase --tenant acme
      sluice memory erase --message mails/0/4711
    """
    if (tenant is None) == (message is None):
        raise click.UsageError("say what to forget: --tenant NAME or --message ID, one of the two")
    if message is not None:
        topic_of(message)
    kafka = _kafka(runtime)
    gone = asyncio.run(_erase(kafka_security.brokers(kafka), kafka.names, tenant, message))
    if as_json:
        click.echo(orjson.dumps({"tenant": tenant, "message": message, "erased": gone}))
    else:
        what = f"tenant '{tenant}'" if message is None else f"message {message}"
        click.echo(f"erased {gone:,} entries of {what}; workers were told to forget theirs")


async def _summaries(brokers: Brokers, names: Names) -> Mapping[tuple[str, MemoryKind], Summary]:
    await topics_admin.reach(brokers)
    try:
        return await shared_memory.summaries(brokers, names)
    except (KafkaError, TimeoutError) as error:
        raise ConfigurationError(f"the topic of memory cannot be read: {error!r}") from error


async def _erase(brokers: Brokers, names: Names, tenant: str | None, message: str | None) -> int:
    await topics_admin.reach(brokers)
    try:
        return await shared_memory.erase(brokers, names, SystemClock(), tenant=tenant, id=message)
    except (KafkaError, TimeoutError) as error:
        raise ConfigurationError(f"not all may be erased, run it again: {error!r}") from error


def _plain(summary: Summary) -> dict[str, Any]:
    return {
        "entries": summary.entries,
        "tenants": len(summary.tenants),
        "answers": round(summary.answers, 1),
        "contradicted": summary.contradicted,
        "labels": dict(summary.labels.most_common()),
        "policy_versions": dict(summary.policy_versions.most_common()),
        "newest_ms": summary.newest_ms,
    }


def _kafka(runtime: Runtime) -> Kafka:
    policy = settings.given(runtime)
    return policy.kafka if policy else Kafka()
