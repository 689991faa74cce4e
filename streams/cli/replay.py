"""`sluice replay`: dead letters back to the topics they came from."""

import asyncio
import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import click
import orjson
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from processors.policy import Seconds
from streams import kafka_security, settings, shutdown
from streams.replay import OnProgress, Report
from streams.replay import replay as send_back
from streams.replay_choice import Wanted, Why
from streams.settings import Runtime
from topics import limits
from topics.messages import DeadLetterReason

_TIMES = "write 2026-01-31T12:00:00Z (without a zone it is UTC), or how long ago, as 2h or 7d"
_REASONS: tuple[DeadLetterReason, ...] = get_args(DeadLetterReason)


class Moment(click.ParamType):
    """A time, or how long ago: epoch milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            moment = datetime.fromisoformat(value)
            at_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except ValueError:
            try:
                at_s = SystemClock().time() - TypeAdapter(Seconds).validate_python(value)
            except ValidationError:
                self.fail(f"{value!r} is no time: {_TIMES}", param, ctx)
        return max(0, int(at_s * 1000))


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be sent back.")
@click.option(
    "--reason",
    multiple=True,
    type=click.Choice(_REASONS),
    metavar="REASON",
    help=f"Why it died; repeatable: {', '.join(_REASONS)}.",
)
@click.option("--stream", "-s", multiple=True, help="A stream of the policy; repeatable.")
@click.option("--since", type=Moment(), help="Died since: a time, or how long ago (2h, 7d).")
@click.option("--until", type=Moment(), help="Died before: a time, or how long ago.")
@click.option("--key", help="Records with this key, as text.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("--poison", is_flag=True, help=f"Also what died again after {limits.REPLAYS_MAX} replays.")
@click.option("--json", "as_json", is_flag=True, help="One object for machines.")
@click.pass_obj
def replay(
    runtime: Runtime,
    dry_run: bool,
    reason: tuple[DeadLetterReason, ...],
    stream: tuple[str, ...],
    since: int | None,
    until: int | None,
    key: str | None,
    limit: int | None,
    poison: bool,
    as_json: bool,
) -> None:
    """Send dead letters back to where they came from.

    They are decided anew there. Value, key and headers go back as they were, with two headers more (sluice-replay-of
    and sluice-replays). No dead letter goes back twice, however often this is run, interrupted, or run twice at once.
    What dies again may go back again, three times in all. Stages that run decide at once what arrives, and pay for it:
    try --dry-run first. Exit code 1 where something that is wanted cannot be sent.

    \b
    Example:
      sluice replay --dry-run
      sluice replay --reason attempts_exhausted --since 2h --dry-run
      sluice replay --stream logs --limit 10
    """
    policy = settings.load(runtime.config)
    if unknown := [name for name in stream if name not in policy.streams]:
        raise ConfigurationError(f"--stream '{unknown[0]}': use one of {', '.join(policy.streams)}.")
    wanted = Wanted(
        reasons=reason,
        streams=stream,
        since_ms=since,
        until_ms=until,
        key=key.encode() if key is not None else None,
        limit=limit,
        poison=poison,
    )

    async def go(on_progress: OnProgress) -> Report:
        with shutdown.on_signals() as stop:
            return await send_back(
                kafka_security.brokers(policy.kafka),
                policy.kafka.names,
                {topic: name for name, spec in policy.streams.items() for topic in spec.topics},
                wanted,
                dry_run=dry_run,
                clock=SystemClock(),
                stop=stop,
                on_progress=on_progress,
            )

    with _progress() as on_progress:
        report = asyncio.run(go(on_progress))
    if as_json:
        click.echo(orjson.dumps(_for_machines(report, dry_run), option=orjson.OPT_INDENT_2))
    else:
        _show(report, dry_run)
    if any(stays.why in _CANNOT for stays in report.left):
        sys.exit(1)


@contextlib.contextmanager
def _progress() -> Iterator[OnProgress]:
    columns = TextColumn("dead letters"), BarColumn(), TextColumn("{task.fields[sent]:,} chosen"), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, sent=0)
        yield lambda read, total, sent: progress.update(task, completed=read, total=total, sent=sent)


_CANNOT: frozenset[Why] = frozenset({"topic_missing", "value_gone", "too_large"})

_WHY: dict[Why, str] = {
    "replayed": "sent back before",
    "poison": f"poison: died again after {limits.REPLAYS_MAX} replays; look at them, --poison sends them all the same",
    "unread": "no stream of the policy reads this topic: add it, or use the policy that has it",
    "topic_missing": "the topic is gone, or may not be described: create it or allow Describe, and run this again",
    "value_gone": "without its value, which was too large for a dead letter, and the record is gone as well",
    "too_large": "larger than the topic admits: raise its max.message.bytes, and run this again",
    "foreign": "no dead letter of Sluice: it lacks the headers of one",
}


def _show(report: Report, dry_run: bool) -> None:
    went = "would go back" if dry_run else "went back"
    count = report.sent.total()
    letters = "dead letter" if count == 1 else "dead letters"
    click.echo(f"{count:,} {letters} {went}{'' if report.finished else '; stopped before the end'}")
    for (reason, topic), count in report.sent.most_common():
        click.echo(f"  {count:>9,}  {reason:<18}  {topic}")
    if dry_run and report.examples:
        click.echo("for example")
        for going in report.examples:
            letter = going.letter
            origin = f"{letter.topic}/{letter.partition}/{letter.offset}"
            click.echo(_wrapped(f"{going.id}: {letter.reason}, from {origin}: {letter.error}"))
    if report.left:
        click.echo("left where they are")
        for stays, count in report.left.most_common():
            click.echo(f"  {count:>9,}  {f'{stays.topic}: ' if stays.topic else ''}{_WHY[stays.why]}")


def _wrapped(text: str) -> str:
    """All of it, because an error's remedy comes last. What is one word stays one, so that ids can be copied."""
    return textwrap.fill(
        " ".join(text.split()),
        width=shutil.get_terminal_size().columns,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _for_machines(report: Report, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "finished": report.finished,
        "count": report.sent.total(),
        "sent": [
            {"reason": reason, "topic": topic, "count": count} for (reason, topic), count in report.sent.most_common()
        ],
        "left": [
            {"why": stays.why, "topic": stays.topic, "count": count} for stays, count in report.left.most_common()
        ],
        "examples": [
            {
                "id": going.id,
                "at_ms": going.at_ms,
                "reason": going.letter.reason,
                "error": going.letter.error,
                "of": going.letter.replay_of,
                "replays": going.letter.replays,
            }
            for going in report.examples
        ],
    }
