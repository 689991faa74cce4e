"""`sluice eval`: labelled messages through the real pipeline, one source after the other, scored against gold."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from local import pointing, simulated
from local.collect import Collected, quantile
from local.demo import progress
from local.drive import Feed, drive, texts_of
from local.eval.checks import checked
from local.eval.score import Judged, Score, score
from local.eval.sources import SourceSpec, gold_file, labelled, load
from local.kafka import LocalKafka
from processors.baseline import one_call_each_usd
from processors.errors import ConfigurationError
from processors.policy import Policy
from streams import logs, sources
from streams.ingest import keyed
from streams.settings import Runtime
from streams.sources import FileRecord
from topics.messages import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One source's figures. Money is USD per million messages; shares are between 0 and 1."""

    source: str
    messages: int
    positive: str | None
    unit: str
    score: Score
    decided_by: Mapping[str, float]  # share of the messages by means
    escalated: Mapping[str, float]  # share of the messages by tier
    dead_letters: int
    triage_usd_per_million: float
    agents_usd_per_million: float
    one_call_each_usd_per_million: float
    latency_ms_p50: float
    latency_ms_p99: float
    messages_per_s: float
    policy_version: str


@click.command(name="eval")
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--source", "-s", "chosen", multiple=True, help="A source, repeatable.  [default: all in DATA]")
@click.option(
    "--policies",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("bench/policies"),
    show_default=True,
    help="A folder with SOURCE.toml for each source, and sources.toml: how its gold is read.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only so many messages of each source, from its beginning.")
@click.option("--seed", default=7, show_default=True, help="Of the simulated answers.")
@click.option(
    "--errors",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another profile of the simulated models' errors.",
)
@click.option(
    "--external", is_flag=True, help="Your own KAFKA_BOOTSTRAP_SERVERS and OPENAI_*: real answers, real money."
)
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
@click.option("--compare", "compares", is_flag=True, help="Other ways of deciding beside it; without Kafka.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    type=click.Choice(["nano-single", "mini", "flagship"]),
    help="With --compare: what answers are held against; repeatable.  [default: nano-single]",
)
@click.option(
    "--epsilon",
    "epsilons",
    multiple=True,
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="With --compare: how often answers may differ from the reference's; repeatable.  [default: 0.02]",
)
@click.option(
    "--delta",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="With --compare: how often a proof of that may be wrong.",
)
@click.option(
    "--only",
    "only",
    multiple=True,
    metavar="WAY",
    help="With --compare: of the ways of deciding this one, as its table names it, beside the baseline; repeatable.",
)
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --compare: a folder for compare.json, compare.md and compare.png.",
)
@click.pass_obj
def evaluate(
    runtime: Runtime,
    data: Path,
    chosen: tuple[str, ...],
    policies: Path,
    limit: int | None,
    seed: int,
    errors: Path | None,
    external: bool,
    as_json: bool,
    compares: bool,
    references: tuple[Reference, ...],
    epsilons: tuple[float, ...],
    delta: float,
    only: tuple[str, ...],
    save: Path | None,
) -> None:
    """Run labelled files through the whole pipeline and score it.

    DATA is your folder of labelled files, one for each source, as sources.toml names them; the project has none of its
    own. Prints for each source accuracy, F1 of the class that matters, the share decided by each means, what a million
    messages cost beside one plain nano call each, and latency. Answers are simulated unless --external says otherwise.

    With --compare each source goes through one plain call a message to each model, and then through one means of
    Sluice's after the other, without Kafka and always simulated, on a clock of its own; a table a source and reference.

    \b
    A file is .jsonl (also .gz), a JSON object a line:
      {"payload": {"line": "disk full on web-03"}, "label": "alert"}
    Mail: {"payload": {"subject": …, "body": …}, …}, or {"raw": …}
    Dialogues: {"payload": {"conversation_id": …, "speaker": …, "text": …}, …}
    sources.toml names it, and mine.toml beside it is its policy:
      [mine]
      data = "mine.jsonl"
      gold = "label"
    All fields, with an example: docs/cost.md, 'Labelled files of your own'.

    \b
    Example:
      sluice eval labelled --policies policies
      sluice eval labelled --source logs.bgl --source emails.tickets
      sluice eval labelled --limit 500 --json
      sluice eval labelled --compare --reference flagship --save figures
      sluice eval labelled --compare -s logs.bgl --only "+ gate"
    """
    logs.set_up(runtime.log_format, "WARNING")
    known = load(policies)
    for name in chosen:
        if name not in known:
            raise ConfigurationError(f"--source '{name}': use one of {', '.join(known)}.")
    specs = [spec for name, spec in known.items() if (name in chosen if chosen else (data / spec.data).exists())]
    if not specs:
        raise ConfigurationError(f"{data}: none of the files that {policies}/sources.toml names is there.")
    console = Console(stderr=True)
    if compares:
        if external:
            raise ConfigurationError("--compare asks simulated models only: remove --external.")
        from local.eval import comparing  # brings NumPy and the stand-in with it: only where they are used
        from local.eval.variants import LADDER

        ways = [variant.name for variant in LADDER]
        if unknown := [way for way in only if way not in ways]:
            raise ConfigurationError(f"--only '{unknown[0]}': use one of {', '.join(ways)}.")
        comparing.run(
            console,
            data,
            [(spec, checked(data, policies, spec, None)) for spec in specs],
            comparing.terms(references, epsilons, delta, seed, errors, limit, only),
            save,
            as_json,
        )
        return
    if references or epsilons or only or save:
        raise ConfigurationError("--reference, --epsilon, --only and --save go with --compare: add it, or remove them.")
    given = [(spec, checked(data, policies, spec, limit)) for spec in specs]
    provider, results = asyncio.run(_evaluate(console, data, given, limit, seed, errors, external))
    if as_json:
        click.echo(
            orjson.dumps(
                {"provider": provider, "results": [asdict(result) for result in results]}, option=orjson.OPT_INDENT_2
            )
        )
        return
    out = Console()
    for table in (_quality(results), _cost(results)):
        out.print(table, "")
    out.print(f"models: {provider}")


async def _evaluate(
    console: Console,
    data: Path,
    given: Sequence[tuple[SourceSpec, Policy]],
    limit: int | None,
    seed: int,
    errors: Path | None,
    external: bool,
) -> tuple[str, list[Result]]:
    results: list[Result] = []
    name = "your own (--external)"
    async with contextlib.AsyncExitStack() as closing:
        env = dict(os.environ)
        kafka = None if external else await closing.enter_async_context(LocalKafka(say=console.print))
        for spec, own in given:
            file = data / spec.data
            policy = pointing.under(own, f"eval.{int(time.time())}.{spec.name}.")
            if kafka is not None:
                policy = pointing.at_broker(policy, kafka.bootstrap_servers)
            console.print(f"{spec.name}: {file}")
            async with contextlib.AsyncExitStack() as models:
                if not external:
                    folder = models.enter_context(tempfile.TemporaryDirectory(prefix="sluice-eval-"))
                    gold = gold_file(file, spec, limit, Path(folder) / "gold.jsonl")
                    provider = await models.enter_async_context(simulated.provider([gold], seed=seed, errors=errors))
                    name, policy = provider.name, pointing.at_models(policy)
                    env |= provider.env
                results.append(await _one(console, spec, policy, file, limit, env, seed))
    return name, results


async def _one(
    console: Console,
    spec: SourceSpec,
    policy: Policy,
    file: Path,
    limit: int | None,
    env: Mapping[str, str],
    seed: int,
) -> Result:
    """Feeds one source and scores it once everything is decided and every escalation has ended."""
    [(stream, stream_spec)] = policy.streams.items()
    feed = Feed(stream_spec.topics[0], keyed(stream_spec, _limited(file, limit)))
    began = time.monotonic()
    with progress.shown(console) as show:
        seen = await drive(policy, [feed], env, seed=seed, on_progress=show)
    seconds = time.monotonic() - began
    if seen.doubled:
        raise click.ClickException(f"{spec.name}: {len(seen.doubled)} outputs are doubled: this is a bug.")
    count = len(seen.inputs)
    latencies = [decision["latency_ms"] for decision in seen.decisions.values()]
    baseline = one_call_each_usd(policy, stream, texts_of(policy, stream, feed.written))
    triage = seen.spent_usd_micros["nano"] / 1e6
    agents = sum(seen.spent_usd_micros.values()) / 1e6 - triage
    return Result(
        source=spec.name,
        messages=count,
        positive=spec.positive,
        unit=spec.unit,
        score=score(_judged(spec, file, limit, feed, seen), spec.positive),
        decided_by=_shares(seen.decided_by, count),
        escalated=_shares(Counter({tier: len(of_tier) for tier, of_tier in seen.escalated.items()}), count),
        dead_letters=len(seen.dead),
        triage_usd_per_million=round(triage / count * 1e6, 2),
        agents_usd_per_million=round(agents / count * 1e6, 2),
        one_call_each_usd_per_million=round(baseline / count * 1e6, 2),
        latency_ms_p50=round(quantile(latencies, 0.5), 1),
        latency_ms_p99=round(quantile(latencies, 0.99), 1),
        messages_per_s=round(count / seconds, 1),
        policy_version=stream_spec.version,
    )


def _judged(spec: SourceSpec, file: Path, limit: int | None, feed: Feed, seen: Collected) -> list[Judged]:
    """What was decided beside gold. An agent's judgement, where there is one, is the last word."""
    judged = []
    for fed, record in zip(feed.written, labelled(file, limit), strict=True):  # written in the order of the file
        gold = spec.gold_of(record)
        decision = seen.decisions.get(fed.id)
        if gold is None or decision is None:
            continue
        last = seen.resolutions["flagship"].get(fed.id) or seen.resolutions["mini"].get(fed.id) or decision
        judged.append(Judged(gold, last["label"], spec.unit_of(record)))
    return judged


async def _limited(file: Path, limit: int | None) -> AsyncIterator[FileRecord]:
    """As `sluice ingest` sends them: without gold."""
    count = 0
    async for record in sources.read_all([file]):
        if count == limit:
            return
        count += 1
        yield record


def _shares(counts: Counter[str], total: int) -> dict[str, float]:
    return {name: round(count / total, 4) for name, count in counts.most_common()}


def _quality(results: list[Result]) -> Table:
    table = _columns("source", "messages", "accuracy", "F1", "decided by", "climbs")
    for result in results:
        found = result.score
        f1 = "" if found.f1 is None else f"{found.f1:.3f} {result.positive}"
        if result.unit != "message":
            f1 += f" (per {result.unit})"
        table.add_row(
            result.source,
            f"{result.messages:,}",
            f"{found.accuracy:.3f}",
            f1,
            ", ".join(f"{means} {share:.0%}" for means, share in result.decided_by.items()),
            ", ".join(f"{tier} {share:.1%}" for tier, share in result.escalated.items() if share),
        )
    return table


def _cost(results: list[Result]) -> Table:
    table = _columns("source", "$/M triage", "$/M agents", "$/M one call each", "p50 / p99 ms", "msg/s")
    for result in results:
        table.add_row(
            result.source,
            f"{result.triage_usd_per_million:,.2f}",
            f"{result.agents_usd_per_million:,.2f}",
            f"{result.one_call_each_usd_per_million:,.2f}",
            f"{result.latency_ms_p50:,.0f} / {result.latency_ms_p99:,.0f}",
            f"{result.messages_per_s:,.0f}",
        )
    return table


def _columns(*names: str) -> Table:
    return Table(*names, box=None, pad_edge=False)
