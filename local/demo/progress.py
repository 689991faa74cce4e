"""The live view: what went in, by which means it was decided, what climbed, what it cost so far."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.collect import Collected

_LINE_SECONDS = 2.0  # between lines where there is no terminal to draw on


@contextmanager
def shown(console: Console) -> Iterator[Callable[[Collected], None]]:
    """A function that shows the state: a table that redraws on a terminal, else a line every two seconds."""
    began = time.monotonic()
    if console.is_terminal:
        with Live(console=console, refresh_per_second=8) as live:
            yield lambda seen: live.update(_table(seen, time.monotonic() - began))
        return
    last = 0.0

    def line(seen: Collected) -> None:
        nonlocal last
        now = time.monotonic() - began
        if now - last >= _LINE_SECONDS:
            last = now
            console.print(_line(seen, now), highlight=False, soft_wrap=True)

    yield line


def _resolved(seen: Collected) -> int:
    return sum(len(resolved) for resolved in seen.resolutions.values())


def _usd(seen: Collected) -> float:
    return sum(seen.spent_usd_micros.values()) / 1e6


def _line(seen: Collected, seconds: float) -> str:
    means = ", ".join(f"{name} {count}" for name, count in seen.decided_by.most_common())
    by_means = f" ({means})" if means else ""
    return (
        f"{seconds:5.1f} s  in {len(seen.inputs)}  decided {len(seen.decisions)}{by_means}  "
        f"escalated {len(seen.escalated['mini'])} mini, {len(seen.escalated['flagship'])} flagship  "
        f"resolved {_resolved(seen)}  dead letters {len(seen.dead)}  alerts {len(seen.alerts)}  ${_usd(seen):.4f}"
    )


def _table(seen: Collected, seconds: float) -> Table:
    table = Table.grid(padding=(0, 2))
    total = max(1, len(seen.inputs))
    table.add_row("[bold]inputs[/]", f"{len(seen.inputs):,}", f"{seconds:.0f} s")
    table.add_row("[bold]decisions[/]", f"{len(seen.decisions):,}", _bar(len(seen.decisions) / total))
    for means, count in seen.decided_by.most_common():
        table.add_row(f"  {means}", f"{count:,}", _bar(count / total))
    for tier, colour in (("mini", "cyan"), ("flagship", "magenta")):
        escalated, resolved = len(seen.escalated[tier]), len(seen.resolutions[tier])
        climbed = f", {seen.climbed_on:,} sent on to flagship" if tier == "mini" and seen.climbed_on else ""
        table.add_row(f"[{colour}]{tier}[/]", f"{escalated:,}", f"{resolved:,} resolved{climbed}")
    statuses = ", ".join(f"{count:,} {status}" for status, count in sorted(seen.alerts_by_status.items()))
    table.add_row("[red]alerts[/]", f"{len(seen.alerts):,}", statuses)
    table.add_row("dead letters", f"{len(seen.dead):,}", ", ".join(sorted(set(seen.dead.values()))))
    table.add_row("money", f"${_usd(seen):.4f}", "at list prices; simulated answers cost nothing")
    return table


def _bar(share: float, width: int = 30) -> str:
    return "█" * round(share * width) + "[dim]" + "░" * (width - round(share * width)) + "[/]"
