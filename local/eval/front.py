"""What ways of deciding cost and how good they are, as a picture: one field a source, PNG."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.eval.compare import Compared, Row

_COLUMNS = 3
_INCHES = 4.2  # of a field's side
_DPI = 110
_COLOURS = 10  # of matplotlib's default cycle; then the next marker
_MARKERS = "os^Dv"


def draw(results: Sequence[Compared], target: Path) -> None:
    """Writes `target`. USD per million messages to the right (logarithmic), F1 or accuracy upwards; the line joins what
    nothing else beats in both. Raises ModuleNotFoundError where matplotlib is not installed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(_COLUMNS, len(results))
    rows = math.ceil(len(results) / columns)
    figure = Figure(figsize=(_INCHES * columns, _INCHES * rows + 0.6), dpi=_DPI, layout="constrained")
    fields = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    names = list(dict.fromkeys(_name(row) for result in results for row in result.rows))
    looks: dict[str, dict[str, Any]] = {
        name: {"color": f"C{number % _COLOURS}", "marker": _MARKERS[number // _COLOURS % len(_MARKERS)]}
        for number, name in enumerate(names)
    }
    for axes, result in zip(fields, results, strict=False):
        floor = min(row.floor_usd_per_million for row in result.rows)
        dearest = max(row.usd_per_million for row in result.rows)
        axes.axvline(floor, color="0.8", linewidth=1)
        for row in result.rows:
            at = max(row.usd_per_million, floor / 100), row.figure
            axes.plot(*at, markersize=5, linestyle="none", **looks[_name(row)])
        best = [(max(row.usd_per_million, floor / 100), row.figure) for row in front(result.rows)]
        axes.plot([x for x, _ in best], [y for _, y in best], color="0.5", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.set_xlim(right=dearest * 2)
        axes.set_title(f"{result.source} ({result.messages:,})", fontsize=10)
        axes.set_ylabel("accuracy" if result.figure == "accuracy" else f"F1 {result.positive}", fontsize=8)
        axes.set_xlabel("USD per million messages", fontsize=8)
        axes.tick_params(labelsize=8)
    for axes in fields[len(results) :]:
        axes.set_visible(False)
    handles = [Line2D([], [], linestyle="none", label=name, **looks[name]) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(
        f"Cost and quality, answers simulated (profile {results[0].profile}); grey line: the floor", fontsize=10
    )
    FigureCanvasAgg(figure).print_png(target)  # type: ignore[no-untyped-call]


def front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other beats in cost and quality both, the cheapest first."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.usd_per_million, -row.figure)):
        if not kept or row.figure > kept[-1].figure:
            kept.append(row)
    return kept


def _name(row: Row) -> str:
    return row.variant + (f" ({row.reference}, ε {row.epsilon:.3g})" if row.reference else "")
