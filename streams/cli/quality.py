"""`sluice quality`: what the audits prove, stream by stream."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from processors.errors import ConfigurationError
from processors.quality.report import Report, Share, VersionReport
from processors.worth import calibrated
from streams.cli.orders import Known, day, known, stands
from streams.settings import Runtime

_STATED = 0.95  # for an example
_EVENTS = 3  # the latest
_DAYS = 7


@click.command()
@click.option("--stream", "-s", help="This one alone.  [default: all that have `quality`]")
@click.option("--json", "as_json", is_flag=True, help="All that is known, every day and version in it.")
@click.pass_obj
def quality(runtime: Runtime, stream: str | None, as_json: bool) -> None:
    """Show what audits say of cheaper answers.

    How often the reference disagreed with them, by stream and means, with intervals; what is certified, since when and
    why; what the audits cost.

    Reads the state that the trainer publishes; asks no model. Needs a broker (KAFKA_BOOTSTRAP_SERVERS) and the policy.
    docs/quality.md says what is promised, and what to do about what is shown.

    \b
    Example:
      sluice quality
      sluice quality --stream logs --json
    """
    found = known(runtime, stream)
    if not any(_audited(each) for each in found):
        names = ", ".join(each.stream for each in found)
        said = any(each.certificate is not None for each in found)
        raise ConfigurationError(
            f"nothing was audited yet in {names}: "
            + (
                "audits come with messages that rules do not decide, once `sluice run triage` has some"
                if said
                else "no trainer has said anything: start it with `sluice run trainer` (`sluice run` has it too)"
            )
        )
    if as_json:
        click.echo(orjson.dumps([_plain(each) for each in found], option=orjson.OPT_INDENT_2))
        return
    console = Console(highlight=False)
    for number, each in enumerate(found):
        if number:
            console.print()
        _show(console, each)


def _show(console: Console, each: Known) -> None:
    report = each.report
    if each.certificate is None or report is None:
        console.print(f"[bold]{each.stream}[/]: no trainer has said anything yet")
        return
    console.print(
        f"[bold]{each.stream}[/]: less than {report.max_disagreement:.2%} other than {report.reference} would say, at "
        f"{report.confidence:.0%} confidence. As of {day(each.certificate.at_ms)} UTC"
    )
    if report.off or each.order.off:
        console.print("  switched off: the reference alone answers (`sluice policy on`)", style="yellow")
    if each.order.pin is not None:
        console.print(f"  pinned to {each.order.pin} (`sluice policy release`)", style="yellow")
    if (told := _tried(each)) is not None:
        console.print(f"  {told}", style="yellow")
    if report.refused is not None:
        console.print(f"  {report.refused}", style="red")
    if report.began_anew_ms is not None:
        began = day(report.began_anew_ms)
        console.print(f"  began anew on {began} UTC, state lost: the claim before is void", style="yellow")
    for line in _lines(report, each.certificate.cost_usd_micros):
        console.print(f"  {line}")
    table = Table("  published below", "audits", "disagreed", "interval", "stands", box=None, pad_edge=False)
    for row in _rows(report):
        table.add_row(*row)
    console.print(table)
    versions = Table("  rule", "version", "stands", "since", "why", box=None, pad_edge=False)
    for one in _telling(each, report):
        version = " ".join((one.version, *([each.models[one.version]] if one.version in each.models else [])))
        versions.add_row(f"  {one.rule}", version, stands(each, report, one), day(one.since_ms), one.why)
    if versions.row_count:
        console.print(versions)
    for event in report.events[:_EVENTS]:
        console.print(f"  {day(event.at_ms)} {event.what}")


def _lines(report: Report, cost_usd_micros: float) -> Iterator[str]:
    standing = report.standing
    if standing.expires_at_ms is not None:
        until = day(standing.expires_at_ms)
        yield f"certified until {until} UTC unless audits go on; {standing.audit_probability:.2%} are audited"
    else:
        yield "not certified: every message is audited"
    yield f"audits cost ${cost_usd_micros / 1e6:,.4f} so far"
    own = report.self_disagreement
    if own.audits:
        yield f"the reference disagreed with itself in {_share(own)} of {own.audits:,} cases"
    if (temperature := report.standing.temperature) != 1:
        right = calibrated(_STATED, temperature)
        yield f"where nano says {_STATED:.0%} it is right in {right:.0%}, which `value` reckons with"
    yield from _by_size(report)


def _by_size(report: Report) -> Iterator[str]:
    """What company costs nano's batches, those that answer or else the newest."""
    batches = [one for one in report.versions if one.rule == "batch"]
    answering = [one for one in batches if one.version == report.standing.batch_version]
    for one in (answering or batches)[:1]:
        if len(one.sizes) > 1:
            told = ", ".join(
                f"{size.share.disagreement or 0:.2%} of {size.share.audits:,} among up to {size.messages}"
                for size in one.sizes
            )
            yield f"batches disagreed, by how many messages were in a call: {told}"


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    if report.start is None:
        yield "  nothing yet", "0", "", "", ""
        return
    for means in report.means:
        yield f"  by {means.means}", *_shown(means.share), ""
    for claim in (*report.days[:_DAYS], report.start):
        period = f"since {day(claim.first_ms)}" if claim.period == "start" else f"on {claim.period}"
        yield f"  {period}", *_shown(claim.share), claim.why


def _shown(share: Share) -> tuple[str, str, str]:
    disagreed = "" if share.disagreement is None else f"{share.disagreement:.2%}"
    return f"{share.audits:,}", disagreed, f"{share.low:.2%} to {share.high:.2%}"


def _share(share: Share) -> str:
    return f"{share.disagreement or 0:.2%} ({share.low:.2%} to {share.high:.2%})"


def _tried(each: Known) -> str | None:
    """How it stands with a model in nano's place, in words."""
    model, own = each.order.candidate_model, each.own_model
    if model is None:
        return None
    if model not in each.models.values():
        return f"{model} was to be tried in nano's place, and has no price or no use here (`sluice policy try --stop`)"
    if model == own:
        return f"{model} was tried, and the policy names it by now (`sluice policy try --stop`)"
    report = each.report
    if report is not None and (until_ms := each.canary_until_ms(report)) is not None:
        return f"{model} answers a tenth in place of {own} until {day(until_ms)} UTC, then all"
    if each.answering_model == model:
        return f'{model} answers in place of {own}: write tiers.nano.model = "{model}" once it does in every stream'
    return f"{model} is tried in place of {own} (`sluice policy try --stop`)"


def _telling(each: Known, report: Report) -> Iterator[VersionReport]:
    """Of each rule what answers, the newest, and nano's batches by the models that are asked."""
    rules: set[str] = set()
    for one in report.versions:
        answers = one.certified and one.version == report.standing.free_version
        if answers or one.version in each.models or one.rule not in rules:
            yield one
        rules.add(one.rule)


def _audited(each: Known) -> bool:
    report = each.report
    return report is not None and (report.start is not None or bool(report.versions))


def _plain(each: Known) -> Mapping[str, Any]:
    certificate = each.certificate
    if certificate is None:
        return {"stream": each.stream, "order": each.order, "report": None}
    return {
        "stream": each.stream,
        "order": each.order,
        "at_ms": certificate.at_ms,
        "audits_until_offset": certificate.offset,
        "audits_cost_usd_micros": certificate.cost_usd_micros,
        "report": certificate.report,
    }
