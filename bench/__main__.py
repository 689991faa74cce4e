"""`python -m bench [NAME…]`: speed and memory as ratios beside peers, all in one run on one machine."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from bench import (
    backlog,
    engine,
    guarantee,
    large_records,
    latency,
    memory_hit,
    model_call,
    reading,
    signatures,
    slow_calls,
    student,
    votes,
)
from bench.result import Result
from streams import logs

SUITES: dict[str, Callable[..., Result]] = {
    "model_call": model_call.run,
    "reading": reading.run,
    "memory_hit": memory_hit.run,
    "engine": engine.run,
    "slow_calls": slow_calls.run,
    "latency": latency.run,
    "backlog": backlog.run,
    "large_records": large_records.run,
    "guarantee": guarantee.run,
    "student": student.run,
    "signatures": signatures.run,
    "votes": votes.run,
}
WITH_PEERS = ("engine", "slow_calls")
LONG = ("latency", "backlog", "large_records")  # minutes each: only by name
ON_DATA = ("student", "signatures", "votes")  # needs --data: only by name
UNTIMED = ("votes",)  # there is no speed in it
PROVING = ("guarantee",)  # figures of a proof, which no machine changes: by name too
OBSERVING = (*WITH_PEERS, *LONG)  # programs of their own, through Linux's /proc

_TABLE_CHARS = 150  # a piped table is as wide as the widest suite needs


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SUITES)), metavar="[NAME]...")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="For each line.  [default: the suite's]")
@click.option("--peers", is_flag=True, help="Other frameworks beside us in engine and slow_calls; installs them once.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For student, signatures and votes: a folder with the files of bench/policies/sources.toml.",
)
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
@click.option("--markdown", is_flag=True, help="The tables as Markdown.")
def main(
    names: tuple[str, ...], seconds: float | None, peers: bool, data: Path | None, as_json: bool, markdown: bool
) -> None:
    """Measure this machine: what Sluice does, beside what others do with the same in the same run.

    \b
    NAME is one or more of
      model_call   a call through the gateway, the bare HTTP client, the openai SDK
      reading      normalising records, by shape
      memory_hit   a message that memory decides
      engine       Kafka to Kafka, decided from memory
      slow_calls   many slow calls at once
    and of these, which take minutes each and run by name only:
      latency        from a message's producer to a reader of committed decisions
      backlog        memory while millions of small records are worked off
      large_records  memory with the largest records, beside its bound
      guarantee      how often a claim about quality is false, on simulated audits
    and by name, with --data:
      student        what a student learns of labelled sources, and how fast it judges
      signatures     log lines by signature beside Drain3, and what template memory answers
      votes          what company costs answers, and what second votes give back, over six seeds
    Without a name the first five run, in about three minutes. Only ratios travel from machine to machine.

    \b
    Example:
      python -m bench
      python -m bench engine --peers
      python -m bench student --data labelled
    """
    names = names or tuple(name for name in SUITES if name not in (*LONG, *ON_DATA, *PROVING))
    observing = [name for name in names if name in OBSERVING]
    if observing and platform.system() != "Linux":
        raise click.UsageError(f"{' and '.join(observing)} observe programs through /proc: run them on Linux")
    if data is None and (lacking := [name for name in names if name in ON_DATA]):
        raise click.UsageError(f"{' and '.join(lacking)} measures on labelled files: name their folder with --data")
    logs.set_up("text", "WARNING")
    console = Console(stderr=True)
    out = Console(width=max(_TABLE_CHARS, Console().width), highlight=False)
    results = []
    for name in names:
        options: dict[str, Any] = {} if seconds is None or name in UNTIMED else {"seconds": seconds}
        if name in WITH_PEERS:
            options["peers"] = peers
        if name in ON_DATA:
            options["data"] = data
        if name in OBSERVING:
            options["say"] = console.print
        with console.status(f"{name} …"):
            results.append(SUITES[name](**options))
        if markdown:
            click.echo(results[-1].markdown() + "\n")
        elif not as_json:
            out.print(results[-1].table(), "")
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 2),
    }
    if as_json:
        report = {"machine": machine, "suites": [result.json() for result in results]}
        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
        click.echo(f"{told} (a load above the number of cores: others were at work)")


if __name__ == "__main__":
    main()
