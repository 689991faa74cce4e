"""`sluice try`: decides the lines of a file, without Kafka."""

import asyncio
import itertools
import os
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local import pointing, simulated
from local.demo import policy as demo_policy
from local.drive import Fed
from local.samples import generate, jsonl
from processors.clock import SystemClock
from processors.errors import AnswerError, ConfigurationError
from processors.gateway.gateway import Gateway
from processors.items import Ignored, Item
from processors.memory import Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.triage import Triage, Triaged
from streams import settings, sources
from streams.settings import Runtime
from streams.sources import FileRecord
from topics import codec, limits
from topics.messages import Rejected

_RECORDS = 1_000  # of a try, unless more are asked for: they may cost money
_RECORDS_MAX = 100_000  # all are in memory at once: more belongs on Kafka
_TEXT_CHARS = 200  # of a record in the table; a terminal shows what fits
_SEED = 7

Outcome = Triaged | Rejected


@dataclass(frozen=True, slots=True)
class Tried:
    """A record's text, as models see it where it could be read, and what became of it."""

    text: str
    outcome: Outcome


@click.command(name="try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--stream", "-s", help="A stream of the policy.  [default: its first]")
@click.option("--external", is_flag=True, help="Ask your own provider (OPENAI_*): real answers, real money.")
@click.option(
    "--max",
    "most",
    type=click.IntRange(min=1, max=_RECORDS_MAX),
    default=_RECORDS,
    show_default=True,
    help="Decide so many records at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Whole Decisions, one a line.")
@click.pass_obj
def attempt(runtime: Runtime, file: Path, stream: str | None, external: bool, most: int, as_json: bool) -> None:
    """Decide the lines of a file as triage would, without Kafka.

    An .eml is one mail, an .mbox many, a .jsonl one object a line; of anything else each line is a record. Uses
    sluice.toml where there is one, else the demo's policy (logs, emails, dialogues). Answers are simulated unless
    --external says otherwise.

    \b
    Example:
      sluice try /var/log/syslog --stream logs
      OPENAI_API_KEY=sk-... sluice --config team.toml try inbox.mbox --external
    """
    policy = settings.given(runtime) or demo_policy.load()
    name = stream or next(iter(policy.streams))
    if name not in policy.streams:
        raise ConfigurationError(f"--stream '{name}': use one of {', '.join(policy.streams)}.")
    reading = sources.read(file)
    records = list(itertools.islice(reading, most))
    left = next(reading, None) is not None
    with Console(stderr=True).status(f"deciding {len(records):,} records …"):
        tried, provider = asyncio.run(_decide(policy, name, records, external))
    if as_json:
        for one in tried:
            click.echo(codec.encode(one.outcome.decision if isinstance(one.outcome, Triaged) else one.outcome))
    else:
        console = Console()
        console.print(_table(tried))
        console.print(f"models: {provider}", style="yellow" if not external else "")
    if left:
        click.echo(f"{file} has more: its first {most:,} records were decided; --max takes {_RECORDS_MAX:,}.", err=True)


async def _decide(policy: Policy, name: str, records: list[FileRecord], external: bool) -> tuple[list[Tried], str]:
    """What became of each record, in order, and the provider's name."""
    clock, rng = SystemClock(), random.SystemRandom()
    async with AsyncExitStack() as closing:
        provider, env = "your own (--external)", dict(os.environ)
        if not external:
            policy = pointing.at_models(policy)
            provider, env = await closing.enter_async_context(_simulated())
        gateway = await closing.enter_async_context(
            Gateway(policy, env=env, clock=clock, rng=rng, on_spend=lambda _spend: None)
        )
        spec = policy.streams[name]
        triage = Triage(name, spec, policy, gateway, clock=clock, rng=rng, memory=Memory(limits.MEMORY_ENTRIES_MAX))
        closing.push_async_callback(triage.close)
        normaliser = normaliser_for(name, spec)
        now_ms = int(clock.time() * 1000)

        async def outcome(read: Item | Ignored | Rejected) -> Outcome:
            if isinstance(read, Rejected):
                return read
            if (free := triage.free(read)) is not None:
                return free
            assert isinstance(read, Item), "what is ignored is free"
            try:
                return await triage.ask(read)
            except AnswerError as error:
                return Rejected("model_invalid", str(error))

        async def tried(offset: int, record: FileRecord) -> Tried:
            fed = Fed(
                spec.topics[0], 0, offset, record.timestamp_ms or now_ms, record.key, record.value, record.headers
            )
            read = normaliser.read(fed)
            text = read.text if isinstance(read, Item) else (record.value or b"").decode(errors="replace")
            return Tried(text, await outcome(read))

        return list(await asyncio.gather(*(tried(*numbered) for numbered in enumerate(records)))), provider


@asynccontextmanager
async def _simulated() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The stand-in, taught by the samples: for other texts it has a small linear model."""
    with tempfile.TemporaryDirectory(prefix="sluice-try-") as folder:
        gold = jsonl.write(generate(_SEED), Path(folder))
        async with simulated.provider(list(gold), latency_scale=0.2) as provider:
            yield provider.name, dict(provider.env)


def _table(tried: list[Tried]) -> Table:
    table = Table("text", "label", "sure", "priority", "by", "climbs to", box=None, pad_edge=False)
    for one in tried:
        # Texts are other people's: no markup, and one line of whatever fits.
        text = Text(" ".join(one.text.split())[:_TEXT_CHARS], no_wrap=True, overflow="ellipsis")
        if isinstance(one.outcome, Rejected):
            table.add_row(text, f"[red]{one.outcome.reason}[/]")
            continue
        decision, escalation = one.outcome.decision, one.outcome.escalation
        table.add_row(
            text,
            decision.label,
            "" if decision.confidence is None else f"{decision.confidence:.2f}",
            str(decision.priority),
            decision.decided_by,
            f"{escalation.to}: {escalation.reason}" if escalation else "",
        )
    return table
