"""What `sluice eval --compare` found, as tables for a person and as Markdown for a page."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from local.eval.compare import Compared, Disagreement, Row
from local.eval.intervals import Interval
from local.eval.variants import LADDER
from topics.messages import Reference

_PER_MESSAGE = {variant.name for variant in LADDER if variant.judges == "messages"}
_COLUMNS = (
    "",
    "$/M",
    "cheaper",
    "× floor",
    "admission $",
    "figure",
    "less baseline, 95%",
    "accuracy",
    "disagrees, 95%",
    "below: share, disagrees",
    "climbs",
    "p50 / p99 ms",
)


def legend(results: Sequence[Compared], epsilons: Sequence[float], confidence: float) -> str:
    """What stands in the tables, and what of it is simulated."""
    return (
        f"Simulated: every model's answer, its tokens and its latency (error profile {results[0].profile}); real: "
        "memory, students, statistics and everything else that is ours.\n"
        f"Messages come {results[0].rate:g} a second, in the source's order, and are scored before anything learns "
        "from them. $/M: USD per million messages with what was certified last, its audits included and trials left "
        "out; cheaper: than one plain nano call for each of these messages; floor: their own tokens and five of "
        "output, once, at the lane's price; admission: what was spent beyond that in all, on trials too; where nothing "
        "was certified, or too late to tell, $/M is of all messages.\n"
        f"Disagrees: with another call to the reference about the same message. To be proven: at most "
        f"{_list(epsilons)}, with {confidence:.0%} confidence. Climbs: to agents, which are not asked here."
    )


def headings(result: Compared, reference: Reference, epsilons: Sequence[float]) -> Iterator[str]:
    """What to know of a source before its table."""
    sampled = "" if result.messages == result.of else f" of {result.of:,}"
    if sampled:
        sampled += ", its first" if result.unit == "message" else ", whole blocks drawn by their names"
    units = f", {result.units:,} {result.unit}s" if result.unit != "message" else ""
    if result.sessions is not None:
        lines = sum(row.variant in _PER_MESSAGE for row in result.rows)
        units += (
            f", judged as {result.sessions:,} sessions but for the first {'row' if lines == 1 else f'{lines} rows'}"
        )
    told = "accuracy" if result.figure == "accuracy" else f"F1 of {result.positive}"
    yield f"{result.source}: {result.messages:,} messages{sampled}{units}; figure: {told}; reference: {reference}"
    own = result.own[reference]
    line = f"{reference} disagrees with itself in {_share(own.share, own.interval)} of the messages."
    least = own.interval.low / 2  # an answer that it gives with probability p is contradicted half as often as 2p(1-p)
    if hopeless := [epsilon for epsilon in epsilons if epsilon < least]:
        line += (
            f" Even the answer that it gives most often would differ from it in {least:.1%} or more: at "
            f"{_list(hopeless)} nothing can stand for it on all messages, only where it errs less."
        )
    if refused := [epsilon for epsilon in epsilons if least <= epsilon < own.interval.low]:
        line += f" {_list(refused)} is less than that: admission refuses such a claim where it is measured."
    yield line


def summary(results: Sequence[Compared], reference: Reference) -> str:
    """All sources in one table, as Markdown: of each way how many times cheaper than one plain nano call a message, how
    many times the floor, and how much of the figure it wins or loses."""
    ways: list[str] = []
    for row in (row for result in results for row in result.rows):
        if row.reference in (None, reference) and (name := _name(row)) not in ways:
            ways.append(name)
    ways = [way for way in ways if way not in _NOT_SUMMED]
    lines = [
        ["source", "messages", "figure", "$/M, nano one a call", *ways],
        ["---", *("---:" for _ in range(3 + len(ways)))],
    ]
    for result in results:
        by_name = {_name(row): row for row in result.rows if row.reference in (None, reference)}
        baseline = by_name["nano, one a call"]
        quality = by_name.get("nano, one a session", baseline)
        cells = [result.source, f"{result.messages:,}", f"{quality.figure:.3f}", _usd(baseline.usd_per_million)]
        for way in ways:
            found = by_name.get(way)
            cells.append("–" if found is None else _short(found, quality.figure))
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


_NOT_SUMMED = ("flagship for all", "mini for all", "nano, one a call", "nano, one a session")


def _short(row: Row, figure: float) -> str:
    told = f"{row.saving:.2g}×" if row.saving < 100 else f"{row.saving:,.0f}×"
    told += f", {row.floors:.2f}, {row.figure - figure:+.3f}"
    return f"{_admission(row)}: {told}" if row.reference is not None and row.admission_usd is None else told


def proofs(result: Compared, reference: Reference) -> Iterator[str]:
    """What became of what was to be proven."""
    for row in result.rows:
        if row.reference == reference:
            yield f"{_name(row)}: {row.proof}"


def table(result: Compared, reference: Reference) -> Table:
    """For a terminal."""
    found = Table(*_COLUMNS[:1], box=None, pad_edge=False)
    for title in _COLUMNS[1:]:
        found.add_column(title, justify="right")
    for cells in _rows(result, reference):
        found.add_row(*cells)
    return found


def markdown(result: Compared, reference: Reference) -> str:
    """For a page."""
    lines = [_COLUMNS, ("---", *("---:" for _ in _COLUMNS[1:])), *_rows(result, reference)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rows(result: Compared, reference: Reference) -> Iterator[tuple[str, ...]]:
    for row in result.rows:
        if row.reference in (None, reference):
            yield _cells(row, row.disagreement[reference])


def _cells(row: Row, disagreement: Disagreement) -> tuple[str, ...]:
    return (
        _name(row),
        _usd(row.usd_per_million),
        f"{row.saving:.2f}×" if row.saving < 100 else f"{row.saving:,.0f}×",
        f"{row.floors:.2f}",
        _admission(row),
        f"{row.figure:.3f}",
        f"{row.difference.low:+.3f} … {row.difference.high:+.3f}",
        f"{row.score.accuracy:.3f}",
        _share(disagreement.share, disagreement.interval),
        _below(row),
        f"{row.climbs:.1%}",
        f"{row.latency_ms_p50:,.0f} / {row.latency_ms_p99:,.0f}",
    )


def _name(row: Row) -> str:
    return row.variant + ("" if row.epsilon is None else f", ε {row.epsilon:.3g}")


def _admission(row: Row) -> str:
    if row.reference is None:
        return "–"
    if row.admission_usd is None:
        return "too late" if row.certified else "not certified"
    return _usd(row.admission_usd)


def _below(row: Row) -> str:
    if row.below is None:
        return "–"
    if not row.below.messages:
        return "0%"
    return f"{row.below_share:.0%}, {_share(row.below.share, row.below.interval)}"


def _share(share: float, interval: Interval) -> str:
    return f"{share:.1%} ({interval.low:.1%} – {interval.high:.1%})"


def _list(epsilons: Sequence[float]) -> str:
    return " and ".join(f"{epsilon:.1%}" for epsilon in epsilons)


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if amount < 1_000 else f"{amount:,.0f}"
