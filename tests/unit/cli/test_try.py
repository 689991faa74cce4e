"""How much of a file `sluice try` decides, and that it says so where that is not all."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from local import attempt
from local.attempt import Tried
from processors.policy import Policy
from streams.settings import Runtime
from streams.sources import FileRecord
from topics.messages import Rejected


async def decided(policy: Policy, name: str, records: list[FileRecord], external: bool) -> tuple[list[Tried], str]:
    """Each record as one that cannot be read: no model is asked."""
    return [Tried("x", Rejected("undecodable", "x")) for _ in records], "none"


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: int, *words: str) -> Result:
    monkeypatch.setattr(attempt, "_decide", decided)
    monkeypatch.chdir(folder)
    (folder / "app.log").write_text("line\n" * lines)
    return CliRunner().invoke(attempt.attempt, ["app.log", "--json", *words], obj=Runtime())


@pytest.mark.parametrize(
    ("lines", "words", "count"),
    [(1_001, (), 1_000), (3, ("--max", "2"), 2)],
    ids=["by default", "as many as asked for"],
)
def test_what_is_left_of_a_file_is_told_with_the_option_that_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int, words: tuple[str, ...], count: int
) -> None:
    result = run(tmp_path, monkeypatch, lines, *words)
    assert len(result.stdout.splitlines()) == count
    assert result.stderr == f"app.log has more: its first {count:,} records were decided; --max takes 100,000.\n"


@pytest.mark.parametrize(("lines", "words"), [(1_000, ()), (1_500, ("--max", "1500"))])
def test_nothing_is_said_where_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int, words: tuple[str, ...]
) -> None:
    result = run(tmp_path, monkeypatch, lines, *words)
    assert (len(result.stdout.splitlines()), result.stderr) == (lines, "")
