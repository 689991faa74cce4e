"""`python -m bench [NAME…] [--json]`: speed and memory as ratios beside peers, all in one run on one machine."""

import os
import platform
from collections.abc import Callable

import click
import orjson
from rich.console import Console

from bench import engine, memory_hit, model_call, reading, slow_calls
from bench.result import Result
from streams import logs

SUITES: dict[str, Callable[..., Result]] = {
    "model_call": model_call.run,
    "reading": reading.run,
    "memory_hit": memory_hit.run,
    "engine": engine.run,
    "slow_calls": slow_calls.run,
}

_TABLE_CHARS = 120  # a piped table is as wide as the widest suite needs


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SUITES)), metavar="[NAME]...")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="For each line.  [default: the suite's]")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def main(names: tuple[str, ...], seconds: float | None, as_json: bool) -> None:
    """Measure this machine: what Sluice does, beside what others do with the same in the same run.

    \b
    NAME is one or more of
      model_call   a call through the gateway, the bare HTTP client, the openai SDK
      reading      normalising records, by shape
      memory_hit   a message that memory decides
      engine       Kafka to Kafka: exactly once, at least once, read only
      slow_calls   many slow calls at once
    Without a name all run, in about two minutes. Only ratios travel from machine to machine.

    \b
    Example:
      python -m bench
      python -m bench engine --json
    """
    logs.set_up("text", "WARNING")
    console = Console(stderr=True)
    out = Console(width=max(_TABLE_CHARS, Console().width), highlight=False)
    results = []
    for name in names or SUITES:
        with console.status(f"{name} …"):
            result = SUITES[name]() if seconds is None else SUITES[name](seconds)
        results.append(result)
        if not as_json:
            out.print(result.table(), "")
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
        out.print(f"{told} (a load above the number of cores: others were at work)")


if __name__ == "__main__":
    main()
