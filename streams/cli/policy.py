"""`sluice policy`: a new policy beside the one that runs; and orders.py."""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from processors.gateway.gateway import Gateway
from processors.memory import Memory
from processors.policy import Budgets, DailyBudget, Policy
from processors.triage import Triage
from streams import framed as framed_values
from streams import kafka_security, settings, shadow, topics_admin
from streams.cli import orders
from streams.shadow import Pair, Shadow
from topics import codec, limits
from topics.messages import Decision

_TEXT_CHARS = 160


@click.group()
def policy() -> None:
    """Try a new policy; choose which version answers.

    \b
    Example:
      sluice policy shadow new.toml --stream logs
      sluice policy list
    """


for _command in orders.COMMANDS:
    policy.add_command(_command)


@policy.command(name="shadow")
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--stream", "-s", "streams", multiple=True, help="A stream of the policy; may be repeated.  [default: all]"
)
@click.option(
    "--messages", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Recent ones of each stream."
)
@click.option("--usd", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="At most.")
@click.option("--examples", type=click.IntRange(0, 1_000), default=10, show_default=True, help="Differences to show.")
@click.option("--json", "as_json", is_flag=True, help="The whole comparison, every difference in it.")
def shadow_(new: Path, streams: tuple[str, ...], messages: int, usd: float, examples: int, as_json: bool) -> None:
    """Decide recent messages by the policy NEW, and show where it differs from what was decided.

    Reads `decisions` and the inputs without a consumer group, asks the models of NEW, and writes nothing to Kafka: the
    running policy goes on undisturbed. Needs a broker and a provider, and costs money.

    \b
    Example:
      sluice policy shadow new.toml
      sluice policy shadow new.toml -s logs --messages 1000 --usd 0.20 --json
    """
    candidate = settings.load(new)
    if unknown := [name for name in streams if name not in candidate.streams]:
        raise ConfigurationError(f"--stream '{unknown[0]}': {new} has {', '.join(candidate.streams)}.")
    chosen = streams or tuple(candidate.streams)
    with Console(stderr=True).status(f"deciding up to {messages * len(chosen):,} messages by {new} …"):
        shadows = asyncio.run(_compare(candidate, chosen, messages, usd))
    if as_json:
        click.echo(orjson.dumps([_plain(one) for one in shadows], option=orjson.OPT_INDENT_2))
        return
    console = Console()
    for one in shadows:
        _show(console, one, examples)


async def _compare(candidate: Policy, streams: Sequence[str], messages: int, usd: float) -> list[Shadow]:
    clock, rng = SystemClock(), random.SystemRandom()
    bounded = candidate.model_copy(update={"budgets": Budgets(total=DailyBudget(usd_per_day=usd))})
    brokers = kafka_security.brokers(candidate.kafka)
    await topics_admin.reach(brokers)
    async with AsyncExitStack() as open_:
        gateway = await open_.enter_async_context(
            Gateway(bounded, env=os.environ, clock=clock, rng=rng, on_spend=lambda _spend: None)
        )
        triages = {}
        for name in streams:
            memory = Memory(limits.MEMORY_ENTRIES_MAX)
            spec = bounded.streams[name]
            triages[name] = Triage(name, spec, bounded, gateway, clock=clock, rng=rng, memory=memory)
            open_.push_async_callback(triages[name].close)
        framed = await open_.enter_async_context(framed_values.of(bounded, os.environ, clock))
        return await shadow.compare(bounded, triages, brokers, messages, framed)


def _show(console: Console, one: Shadow, examples: int) -> None:
    compared, differing = len(one.pairs), one.differing
    told = f"[bold]{one.stream}[/]: {compared:,} messages compared, {len(differing):,} differ"
    console.print(told + (f" ({len(differing) / compared:.1%})" if compared else ""))
    if one.gone:
        console.print(f"  {one.gone:,} are no longer in their topics, or their topic is not the stream's any more")
    if one.unpaid:
        console.print(f"  {one.unpaid:,} left out: --usd was spent", style="yellow")
    if not compared:
        return
    climbed, climbs = one.escalations
    console.print(f"  escalations: {climbed:,} → {climbs:,}")
    before, after = one.usd
    console.print(f"  triage: ${before:.4f} → ${after:.4f} (the new policy began without memory)")
    for (label, other), count in one.labels.items():
        console.print(f"  {label} → {other}: {count:,}", highlight=False)
    if differing and examples:
        table = Table("message", "what", "before", "after", "text", box=None, pad_edge=False)
        for pair in differing[:examples]:
            before_said, after_said = _said(pair)
            text = Text(" ".join(pair.text.split())[:_TEXT_CHARS], no_wrap=True, overflow="ellipsis")
            table.add_row(pair.before.id, ", ".join(pair.differs), before_said, after_said, text)
        console.print(table)


def _said(pair: Pair) -> tuple[str, str]:
    """What each policy says where they differ, in a few words."""
    if not isinstance(pair.after, Decision):
        return pair.before.label, pair.after.reason
    sides = (pair.before, pair.after)
    before, after = (
        ", ".join(
            ", ".join(f"{key}={value}" for key, value in side.fields.items())
            if name == "fields"
            else str(getattr(side, name))
            for name in pair.differs
        )
        for side in sides
    )
    return before, after


def _plain(one: Shadow) -> Mapping[str, Any]:
    before, after = one.usd
    climbed, climbs = one.escalations
    return {
        "stream": one.stream,
        "compared": len(one.pairs),
        "differ": len(one.differing),
        "gone": one.gone,
        "unpaid": one.unpaid,
        "escalations": {"before": climbed, "after": climbs},
        "usd": {"before": before, "after": after},
        "labels": [{"before": old, "after": new, "count": count} for (old, new), count in one.labels.items()],
        "differences": [
            {
                "id": pair.before.id,
                "differs": pair.differs,
                "text": pair.text,
                "before": orjson.loads(codec.encode(pair.before)),
                "after": orjson.loads(codec.encode(pair.after)),
            }
            for pair in one.differing
        ],
    }
