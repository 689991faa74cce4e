"""Every command explains itself, at once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streams.cli.main import cli

SLOW_TO_LOAD = ("agents", "openai", "sklearn", "numpy", "faust", "jgo")
COLUMNS = 80
ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands and those below them, by what is typed."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", found) for below, found in command.commands.items())


ALL = dict(commands())


def help_of(typed: str, command: click.Command) -> str:
    return command.get_help(click.Context(command, info_name=f"sluice {typed}", terminal_width=COLUMNS))


def test_the_commands_are_there() -> None:
    assert ALL.keys() >= {"config check", "config schema", "demo", "eval", "ingest", "run", "schemas", "tail", "test"}
    assert ALL.keys() >= {"topics apply", "topics check", "try", "up"}


@pytest.mark.parametrize("typed", ALL)
def test_help_has_an_example_that_calls_the_command(typed: str) -> None:
    example = help_of(typed, ALL[typed]).partition("Example")[2].partition("Options:")[0]
    assert "sluice" in example
    assert typed in example


def test_the_readme_lists_every_command_and_every_page() -> None:
    listed = README.partition("Every command")[2]
    assert [name for name in cli.list_commands(click.Context(cli)) if f"`{name}" not in listed] == []
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in listed] == []


@pytest.mark.parametrize("typed", ALL)
def test_help_fits_a_terminal(typed: str) -> None:
    assert max(len(line) for line in help_of(typed, ALL[typed]).splitlines()) <= COLUMNS


def test_the_list_of_commands_cuts_no_sentence_off() -> None:
    assert "..." not in help_of("", cli).partition("Commands:")[2]


def test_help_and_the_files_of_all_commands_load_no_slow_library() -> None:
    """A new process, as this one has loaded what other tests need."""
    program = (
        "import sys, click; from streams.cli.main import cli; context = click.Context(cli)\n"
        "for name in cli.list_commands(context): cli.get_command(context, name)\n"
        f"print([name for name in {SLOW_TO_LOAD} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_an_unknown_command_is_refused_with_where_to_look() -> None:
    result = CliRunner().invoke(cli, ["tale"], prog_name="sluice")
    assert result.exit_code == 2
    assert "No such command 'tale'" in result.output
    assert "sluice -h" in result.output


def test_wrong_variables_are_told_with_name_and_value() -> None:
    env = {"SLUICE_HTTP_PORT": "many", "SLUICE_LOG_LEVEL": "loud"}
    result = CliRunner().invoke(cli, ["config", "check"], env=env)
    assert "SLUICE_HTTP_PORT = 'many' does not do" in str(result.exception)
    assert "SLUICE_LOG_LEVEL = 'loud' does not do" in str(result.exception)
