"""`sluice policy list|pin|release|rollback|try|off|on`: which version of a stream's cheap answers holds, by an
operator's order. An order is one record of `quality`, which trainer and workers follow."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from processors.candidates import canary_until_ms, with_model
from processors.errors import ConfigurationError
from processors.policy import Policy
from processors.quality.report import Report, VersionReport
from processors.rule_versions import batch_version
from streams import kafka_security, settings, shared
from streams.brokers import Brokers
from streams.quality_records import Certificate, Newest, Order, order_record, report_of
from streams.settings import Runtime
from streams.student_records import Kept, Listing, Listings, student_of
from topics.catalog import QUALITY, STUDENTS

_STREAM = click.argument("stream")


@dataclass(frozen=True, slots=True)
class Known:
    """What is on Kafka about one stream."""

    stream: str
    certificate: Certificate | None  # None: no trainer has said anything yet
    order: Order
    students: tuple[Kept, ...]
    models: Mapping[str, str]  # of nano's batches, by version: the one that is tried first, the policy's last

    @property
    def own_model(self) -> str:
        """Nano's, as the policy has it."""
        return list(self.models.values())[-1]

    def answering(self, report: Report) -> str | None:
        """The version of nano's batches that answers."""
        return next((version for version in self.models if version in report.standing.certified_batches), None)

    def canary_until_ms(self, report: Report) -> int | None:
        """Until then the version that answers does so for a tenth of the messages. None: for all, or none answers."""
        version = self.answering(report)
        if version is None or self.models[version] == self.own_model:
            return None
        until_ms = canary_until_ms(report.standing, version)
        return until_ms if until_ms > time.time() * 1000 else None

    @property
    def answering_model(self) -> str | None:
        """Whose batches answer."""
        return None if (report := self.report) is None else self.models.get(self.answering(report) or "")

    @property
    def report(self) -> Report | None:
        return None if self.certificate is None else report_of(self.certificate)


@click.command(name="list")
@click.option("--stream", "-s", help="This one alone.  [default: all that have `quality`]")
@click.option("--json", "as_json", is_flag=True, help="One object a stream.")
@click.pass_obj
def list_(runtime: Runtime, stream: str | None, as_json: bool) -> None:
    """Show each stream's versions, and how they stand.

    A version of its cheap answers is named by the models that are compared and, behind a dot, the student, where there
    is one. Needs a broker (KAFKA_BOOTSTRAP_SERVERS) and the policy.

    \b
    Example:
      sluice policy list
      sluice policy list --stream logs --json
    """
    found = known(runtime, stream)
    if as_json:
        click.echo(orjson.dumps([_plain(each) for each in found], option=orjson.OPT_INDENT_2))
        return
    console = Console()
    for each in found:
        _show(console, each)


@click.command()
@_STREAM
@click.argument("version")
@click.pass_obj
def pin(runtime: Runtime, stream: str, version: str) -> None:
    """Let one version alone answer, while certified.

    Of memory and student; `sluice policy list` shows the versions. Where a pinned one loses its certificate, no other
    answers in its place.

    \b
    Example:
      sluice policy pin logs 41c2d0a9be77.9f0e1d2c3b4a
    """
    (each,) = known(runtime, stream)
    versions = _free(each)
    if version not in {one.version for one in versions}:
        told = ", ".join(one.version for one in versions) or "none yet"
        raise ConfigurationError(f"'{version}' is no version of stream '{stream}' that is known: it has {told}.")
    _give(runtime, replace(each.order, pin=version))
    click.echo(f"{stream}: {version} answers while it is certified")


@click.command()
@_STREAM
@click.pass_obj
def release(runtime: Runtime, stream: str) -> None:
    """Let the best certified version answer again.

    Ends what `pin` or `rollback` ordered.

    \b
    Example:
      sluice policy release logs
    """
    (each,) = known(runtime, stream)
    _give(runtime, replace(each.order, pin=None))
    click.echo(f"{stream}: the best certified version answers")


@click.command(name="try")
@click.argument("model", required=False)
@click.option("--stream", "-s", required=True, help="It promises a `quality`; its reference is mini or flagship.")
@click.option("--stop", is_flag=True, help="Ends the trial: the policy's model answers.")
@click.pass_obj
def try_(runtime: Runtime, model: str | None, stream: str, stop: bool) -> None:
    """Put another model in nano's place, once it has proven itself.

    Workers ask MODEL in shadow about what the reference judges. Once it is certified, it answers a tenth of nano's
    messages for a day, and then all; until then, and if it is given up, nano answers as before. Once it answers in
    every stream, name it in tiers.nano.model: its certificates hold on. docs/quality.md tells the steps.

    \b
    Example:
      sluice policy try gpt-6-luna --stream logs
      sluice policy try --stop --stream logs
    """
    if (model is None) != stop:
        raise click.UsageError("name the MODEL to try, or --stop to end a trial: one of the two")
    policy = settings.load(runtime.config)
    if model is not None:
        _triable(policy, stream, model)
    (each,) = known(runtime, stream)
    own, tried = each.own_model, each.order.candidate_model
    if model not in (None, tried) and tried not in (None, own) and each.answering_model == tried:
        raise ConfigurationError(
            f"stream '{stream}': {tried} answers in place of {own}, and would no more while '{model}' is tried: write "
            f'tiers.nano.model = "{tried}" first, or go back with --stop.'
        )
    _give(runtime, replace(each.order, candidate_model=model))
    click.echo(
        f"{stream}: {own} answers, once it is certified; no other model is tried"
        if model is None
        else f"{stream}: {model} is asked beside {own}, and answers in its place once it is certified, at first for "
        f"a tenth of the messages; `sluice policy list -s {stream}` shows how it stands"
    )


@click.command()
@_STREAM
@click.pass_obj
def rollback(runtime: Runtime, stream: str) -> None:
    """Pin the certified version before this one.

    Where a model that was tried answers in nano's place, nano answers again instead.

    \b
    Example:
      sluice policy rollback logs
    """
    (each,) = known(runtime, stream)
    report = each.report
    if each.answering_model not in (None, each.own_model):
        _give(runtime, replace(each.order, candidate_model=None))
        gone = each.order.candidate_model
        click.echo(f"{stream}: {each.own_model} answers again, while it is certified, in place of {gone}")
        return
    answers = None if report is None else report.standing.free_version
    if answers is None:
        raise ConfigurationError(f"stream '{stream}': no version answers below the reference, so there is no way back.")
    there = {student.version for student in each.students}
    newest_first = [one.version for one in _free(each) if one.certified or one.version == answers]
    before = newest_first[newest_first.index(answers) + 1 :]
    back = next((version for version in before if _is_there(version, there)), None)
    if back is None:
        raise ConfigurationError(
            f"stream '{stream}': no version before {answers} is certified: `sluice policy off {stream}` lets the "
            "reference alone answer."
        )
    _give(runtime, replace(each.order, pin=back))
    click.echo(f"{stream}: {back} answers in place of {answers}; `sluice policy release {stream}` ends that")


@click.command()
@_STREAM
@click.pass_obj
def off(runtime: Runtime, stream: str) -> None:
    """Let the reference alone answer: the kill switch.

    Whatever is certified. Workers follow within seconds, with or without a trainer. Audits go on.

    \b
    Example:
      sluice policy off logs
    """
    (each,) = known(runtime, stream)
    _give(runtime, replace(each.order, off=True))
    click.echo(f"{stream}: off, the reference alone answers; `sluice policy on {stream}` ends that")


@click.command()
@_STREAM
@click.pass_obj
def on(runtime: Runtime, stream: str) -> None:
    """Let what is certified answer again, after `off`.

    \b
    Example:
      sluice policy on logs
    """
    (each,) = known(runtime, stream)
    _give(runtime, replace(each.order, off=False))
    click.echo(f"{stream}: on, what is certified answers")


def known(runtime: Runtime, stream: str | None) -> list[Known]:
    """What is on Kafka of one stream, or of all that have `quality`. Raises ConfigurationError where there is none."""
    policy = settings.load(runtime.config)
    wanted = [name for name, spec in policy.streams.items() if spec.quality is not None]
    if stream is not None and stream not in policy.streams:
        raise ConfigurationError(f"stream '{stream}': {runtime.config} has {', '.join(policy.streams)}.")
    if not wanted or (stream is not None and stream not in wanted):
        name = stream or "NAME"
        raise ConfigurationError(
            f"{runtime.config}: {'no stream' if stream is None else f'stream {stream!r}'} promises a quality: add "
            f"[streams.{name}.quality], see docs/quality.md."
        )
    newest, listings = asyncio.run(_read(policy, kafka_security.brokers(policy.kafka)))
    return [
        Known(
            name,
            newest.certificates.get(name),
            order := newest.orders.get(name, Order(stream=name)),
            listings[name].students if name in listings else (),
            _models(policy, name, order.candidate_model),
        )
        for name in ([stream] if stream is not None else wanted)
    ]


def _models(policy: Policy, name: str, candidate: str | None) -> Mapping[str, str]:
    """As `Known.models`. A model without a price is asked by nobody."""
    stream = policy.streams[name]
    assert stream.quality is not None, "it is asked for"
    found: dict[str, str] = {}
    if candidate is not None and stream.quality.reference in ("mini", "flagship"):
        with contextlib.suppress(ConfigurationError):
            found[batch_version(with_model(policy, candidate), name, stream, stream.quality)] = candidate
    own = batch_version(policy, name, stream, stream.quality)
    found.pop(own, None)  # it is named by now
    return found | {own: policy.tiers.nano.model}


def _triable(policy: Policy, name: str, model: str) -> None:
    """Raises ConfigurationError where it makes no sense to try that model."""
    stream = policy.streams.get(name)
    if stream is None:
        raise ConfigurationError(f"--stream '{name}': there are {', '.join(policy.streams)}.")
    change = (
        f"compare the two with `sluice policy shadow NEW.toml -s {name}`, where NEW.toml is the policy with "
        f'tiers.nano.model = "{model}", then change the policy'
    )
    if stream.quality is None:
        raise ConfigurationError(
            f"stream '{name}' promises no quality, so nothing is audited that could certify '{model}': {change}; or "
            f'add [streams.{name}.quality] with reference = "mini" or "flagship", see docs/quality.md.'
        )
    reference = stream.quality.reference
    if reference not in ("mini", "flagship"):
        raise ConfigurationError(
            f"stream '{name}' has reference = \"{reference}\": nano is its measure, and with another model the measure "
            f"is another, which no audit can certify: {change}. Its claim begins anew."
        )
    if model == policy.tiers.nano.model:
        raise ConfigurationError(f"'{model}' is tiers.nano.model already: name another, or end a trial with --stop.")
    with_model(policy, model)


async def _read(policy: Policy, brokers: Brokers) -> tuple[Newest, Mapping[str, Listing]]:
    newest, listings = Newest(), Listings()
    names = policy.kafka.names
    await shared.read_now(brokers, {names.topic(QUALITY): newest.take, names.topic(STUDENTS): listings.take})
    return newest, listings.by_stream


def _give(runtime: Runtime, order: Order) -> None:
    kafka = settings.load(runtime.config).kafka
    key, value = order_record(replace(order, at_ms=round(time.time() * 1000)))
    asyncio.run(shared.write(kafka_security.brokers(kafka), kafka.names.topic(QUALITY), key, value))


def _free(each: Known) -> list[VersionReport]:
    """Of memory and student, the newest first."""
    report = each.report
    return [] if report is None else [one for one in report.versions if one.rule == "free"]


def _is_there(version: str, students: set[str]) -> bool:
    """A version of memory alone needs no student."""
    return "." not in version or student_of(version) in students


def _show(console: Console, each: Known) -> None:
    report = each.report
    console.print(f"[bold]{each.stream}[/]{_ordered(each.order)}")
    if report is None:
        console.print("  no trainer has said anything yet: `sluice run trainer` (`sluice run` has it too)")
        return
    table = Table("  rule", "version", "by", "stands", "since", "why", box=None, pad_edge=False)
    for row in _rows(each, report):
        table.add_row(*row)
    console.print(table)


def _rows(each: Known, report: Report) -> Iterator[tuple[str, ...]]:
    taught = {student.version: student for student in each.students}
    for one in report.versions:
        student = taught.pop(student_of(one.version), None) if one.rule == "free" else None
        by = each.models.get(one.version, "") if student is None else f"{student.labels:,} labels"
        yield f"  {one.rule}", one.version, by, stands(each, report, one), day(one.since_ms), one.why
    for version, model in each.models.items():
        if model != each.own_model and version not in {one.version for one in report.versions}:
            yield "  batch", version, model, "new", day(each.order.at_ms), "no audit has its answer yet"
    for student in reversed(taught.values()):
        why = "no audit has its answer yet" if student.policy_version == report.policy_version else "of another policy"
        yield "  free", f"….{student.version}", f"{student.labels:,} labels", "new", day(student.at_ms), why


def stands(each: Known, report: Report, one: VersionReport) -> str:
    """In a word or two."""
    if one.certified:
        if one.rule == "batch" and (until_ms := each.canary_until_ms(report)) is not None:
            if one.version == each.answering(report):
                return f"answers a tenth until {day(until_ms)}"
            if each.models.get(one.version) == each.own_model:
                return "answers the rest"
        answers = one.version == (report.standing.free_version if one.rule == "free" else each.answering(report))
        return ("answers" if answers else "certified") + f" at {one.coverage:.0%}"
    return "tried" if one.audits_needed is not None else "not certified"


def day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _ordered(order: Order) -> str:
    pinned = "" if order.pin is None else f", pinned to {order.pin}"
    tried = "" if order.candidate_model is None else f", {order.candidate_model} in nano's place once certified"
    return (", switched off" if order.off else "") + pinned + tried


def _plain(each: Known) -> Mapping[str, Any]:
    return {
        "stream": each.stream,
        "order": each.order,
        "versions": [] if each.certificate is None else each.certificate.report["versions"],
        "students": each.students,
    }


COMMANDS = (list_, pin, release, rollback, try_, off, on)
