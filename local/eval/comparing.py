"""Runs `sluice eval --compare`: several sources at a time, their tables as they come, files at the end."""

import os
from collections.abc import Callable, Iterator, Sequence
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
from processors.policy import Policy
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
    given: Sequence[tuple[SourceSpec, Policy]],
    terms: Terms,
    save: Path | None,
    as_json: bool,
) -> None:
    """Prints a source's tables as soon as they are there, and saves everything. Raises what a source raises."""
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
    out = Console() if Console().is_terminal else Console(width=_TABLE_CHARS, highlight=False)
    compared, pages = [], []
    told = f"{len(given)} sources, {min(len(given), os.cpu_count() or 1)} at a time"
    with console.status(f"{told} …") as status:
        for result in _compared(data, given, terms, lambda doing: status.update(f"{told}: {doing}")):
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
    data: Path, given: Sequence[tuple[SourceSpec, Policy]], terms: Terms, say: Callable[[str], None]
) -> Iterator[Compared]:
    """In the order of `given`; several sources at a time, each on a core of its own."""
    tasks = [(data / spec.data, spec, policy, terms) for spec, policy in given]
    if len(tasks) == 1:
        yield compare.compare(*tasks[0], say)
        return
    with processes() as pool:
        under_way = [pool.submit(compare.compare, *each, _silent) for each in tasks]
        for (spec, _), future in zip(given, under_way, strict=True):
            say(spec.name)
            yield future.result()


def _silent(_doing: str) -> None:
    """In a process that nobody looks at."""
