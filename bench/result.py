"""The figures of one suite, as a table for a person and as JSON for a machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One suite's lines, each with the same figures. Figures of different runs are not to be compared, ratios are."""

    suite: str
    about: str  # what was measured, and what of it was simulated
    columns: Mapping[str, str]  # each figure's name, unit last, and its title
    lines: Mapping[str, Mapping[str, float]]  # by what was measured: figures by name

    def table(self) -> Table:
        """As a person reads it."""
        table = Table("", title=self.suite, caption=self.about, title_justify="left", caption_justify="left", box=None)
        for title in self.columns.values():
            table.add_column(title, justify="right")
        for line, figures in self.lines.items():
            table.add_row(line, *(_shown(figures[name]) for name in self.columns))
        return table

    def json(self) -> dict[str, Any]:
        """As a machine reads it."""
        lines = [
            {"line": line} | {name: _rounded(n) for name, n in figures.items()} for line, figures in self.lines.items()
        ]
        return {"suite": self.suite, "about": self.about, "columns": dict(self.columns), "lines": lines}


def _rounded(number: float) -> float:
    """To the four digits that a measurement on a shared machine has at most."""
    return float(f"{number:.4g}")


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
