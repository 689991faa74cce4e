"""Runs `sluice eval --compare`: several sources at a time, their tables as they come, files at the end."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click
import orjson
from rich.console import Console

from local.at_once import processes
from local.eval import compare, front, tables
from local.eval.compare import RECORDS_MAX, Compared, Terms
from local.eval.sources import SourceSpec
from local.standin.error_profile import DEFAULT_PROFILE
from streams import settings
from topics.messages import Reference

_TABLE_CHARS = 190  # a piped table is as wide as it needs


def terms(
    references: tuple[Reference, ...],
    epsilons: tuple[float, ...],
    delta: float,
    seed: int,
    errors: Path | None,
    limit: int | None,
    only: tuple[str, ...] = (),
) -> Terms:
    """As the command line has them; what it does not say is the default."""
    return Terms(
        references=references or ("nano-single",),
        epsilons=epsilons or (0.02,),
        confidence=1 - delta,
        seed=seed,
        errors=errors or DEFAULT_PROFILE,
        limit=limit or RECORDS_MAX,
        only=only,
    )


def run(
    console: Console,
    data: Path,
    policies: Path,
    specs: list[SourceSpec],
    terms: Terms,
    save: Path | None,
    as_json: bool,
) -> None:
    """Prints a source's tables as soon as they are there, and saves everything. Raises what a source raises."""
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
    out = Console() if Console().is_terminal else Console(width=_TABLE_CHARS, highlight=False)
    compared, pages = [], []
    told = f"{len(specs)} sources, {min(len(specs), os.cpu_count() or 1)} at a time"
    with console.status(f"{told} …") as status:
        for result in _compared(data, policies, specs, terms, lambda doing: status.update(f"{told}: {doing}")):
            compared.append(result)
            for reference in terms.references:
                heading = list(tables.headings(result, reference, terms.epsilons))
                pages.append(
                    "\n\n".join(
                        (
                            f"### {heading[0]}",
                            *heading[1:],
                            tables.markdown(result, reference),
                            *tables.proofs(result, reference),
                        )
                    )
                )
                if not as_json:
                    out.print(
                        *heading, tables.table(result, reference), *tables.proofs(result, reference), "", sep="\n"
                    )
    legend = tables.legend(compared, terms.epsilons, terms.confidence)
    report = orjson.dumps(
        {"simulated": True, "seed": terms.seed, "legend": legend, "results": [asdict(result) for result in compared]},
        option=orjson.OPT_INDENT_2,
    )
    if as_json:
        click.echo(report)
    else:
        out.print(legend)
    if save is not None:
        (save / "compare.json").write_bytes(report + b"\n")
        summed = [f"### Reference {name}\n\n{tables.summary(compared, name)}" for name in terms.references]
        (save / "compare.md").write_text("\n\n".join((legend, *summed, *pages)) + "\n", encoding="utf-8")
        front.draw(compared, save / "compare.png")


def _compared(
    data: Path, policies: Path, specs: list[SourceSpec], terms: Terms, say: Callable[[str], None]
) -> Iterator[Compared]:
    """In the order of `specs`; several sources at a time, each on a core of its own."""
    given = [(data / spec.data, spec, settings.load(policies / f"{spec.name}.toml"), terms) for spec in specs]
    if len(specs) == 1:
        yield compare.compare(*given[0], say)
        return
    with processes() as pool:
        under_way = [pool.submit(compare.compare, *each, _silent) for each in given]
        for spec, future in zip(specs, under_way, strict=True):
            say(spec.name)
            yield future.result()


def _silent(_doing: str) -> None:
    """In a process that nobody looks at."""
