"""The `sluice` command: a group that other packages add commands to by the entry point `sluice.commands`."""

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

import click

from processors.errors import SluiceError
from streams import logs, settings

EXIT_WRONG_USE = 2  # click's own for wrong options, ours for wrong settings


class Commands(click.Group):
    """Loads a command's file only when it is called: `sluice --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(point.name for point in entry_points(group="sluice.commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        for point in entry_points(group="sluice.commands", name=cmd_name):
            command: click.Command = point.load()
            return command
        return None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sluice-streams", prog_name="sluice")
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="The policy file.  [default: $SLUICE_CONFIG, else sluice.toml]",
)
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Streaming triage with language models on Kafka.

    \b
    First steps:
      sluice demo                the whole pipeline on this machine, models simulated
      sluice try mail.txt        decide the lines of a file, without Kafka
      sluice up                  keep a local broker and all stages running
    With your own Kafka and key:
      export KAFKA_BOOTSTRAP_SERVERS=broker:9092 OPENAI_API_KEY=sk-...
      sluice config check && sluice topics apply && sluice run
    """
    runtime = settings.runtime(config)
    logs.set_up(runtime.log_format, runtime.log_level)
    ctx.obj = runtime


def main() -> None:
    """Entry point. Errors of ours are told in their own words, without a traceback."""
    try:
        cli(prog_name="sluice")
    except SluiceError as error:
        _tell([error])
    except ExceptionGroup as group:  # of a task group: told alike where all of it is ours
        ours, others = group.split(SluiceError)
        if ours is None or others is not None:
            raise
        _tell(_leaves(ours))


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    return [leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, ExceptionGroup) else [one])]


def _tell(errors: list[Exception]) -> NoReturn:
    for text in dict.fromkeys(map(str, errors)):
        click.secho(f"error: {text}", fg="red", err=True)
    sys.exit(EXIT_WRONG_USE)
