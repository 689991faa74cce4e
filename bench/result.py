"""The figures of one suite, as a table for a person and as JSON for a machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

Figure = float | str | None
"""A number, a word, or nothing where there was nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One suite's lines, each with the same figures. Figures of different runs are not to be compared, ratios are."""

    suite: str
    about: str  # what was measured, and what of it was simulated
    columns: Mapping[str, str]  # each figure's name, unit last, and its title
    lines: Mapping[str, Mapping[str, Figure]]  # by what was measured: figures by name; one may be missing

    def table(self) -> Table:
        """As a person reads it."""
        table = Table("", title=self.suite, caption=self.about, title_justify="left", caption_justify="left", box=None)
        for title in self.columns.values():
            table.add_column(title, justify="right")
        for line, figures in self.lines.items():
            table.add_row(line, *(_shown(figures.get(name)) for name in self.columns))
        return table

    def markdown(self) -> str:
        """As a README shows it."""
        rows = [["", *self.columns.values()], ["---", *("---:" for _ in self.columns)]]
        rows += [[line, *(_shown(figures.get(name)) for name in self.columns)] for line, figures in self.lines.items()]
        return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", self.about])

    def json(self) -> dict[str, Any]:
        """As a machine reads it."""
        lines = [
            {"line": line, **{name: _rounded(figure) for name, figure in figures.items()}}
            for line, figures in self.lines.items()
        ]
        return {"suite": self.suite, "about": self.about, "columns": dict(self.columns), "lines": lines}


def _rounded(figure: Figure) -> Figure:
    """To the four digits that a measurement on a shared machine has at most."""
    return float(f"{figure:.4g}") if isinstance(figure, float) else figure


def _shown(figure: Figure) -> str:
    match figure:
        case None:
            return "–"
        case str():
            return figure
        case _:
            return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
