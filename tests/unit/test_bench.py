"""The bench runs and tells numbers with their ratios. How fast anything is, no test says."""

from pathlib import Path

import orjson
from click.testing import CliRunner

from bench import memory_hit, messages, reading, votes
from bench.__main__ import SUITES, main
from bench.result import Result
from tests.unit.eval.build import source

TINY_SECONDS = 0.001


def test_help_lists_every_suite() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert [name for name in SUITES if f"{name} " not in shown] == []


def test_an_unknown_suite_is_refused_by_name() -> None:
    refused = CliRunner().invoke(main, ["speed"])
    assert refused.exit_code == 2
    assert "'speed'" in refused.output
    assert "memory_hit" in refused.output


def test_samples_of_every_shape_are_read() -> None:
    result = reading.run(TINY_SECONDS)
    assert list(result.lines) == list(messages.by_shape())
    assert_complete(result)


def test_json_has_what_the_table_shows() -> None:
    run = CliRunner().invoke(main, ["memory_hit", "--seconds", str(TINY_SECONDS), "--json"])
    assert run.exit_code == 0, run.output
    report = orjson.loads(run.stdout)
    (suite,) = report["suites"]
    assert suite["suite"] == "memory_hit"
    assert suite["lines"][0]["ratio"] == 1
    assert report["machine"]["cores"] >= 1


def test_every_measured_message_is_decided_by_memory() -> None:
    assert_complete(memory_hit.run(TINY_SECONDS))


def test_second_votes_give_back_what_company_costs_for_a_price(tmp_path: Path) -> None:
    """By how much hangs on the messages; that more is asked, and more paid, does not."""
    source(tmp_path)
    result = votes.run(tmp_path, tmp_path, limit=150)
    (line,) = result.lines.values()
    assert line.keys() == result.columns.keys()
    assert -1 < line["batched"] < 1
    assert line["batched_floors"] < line["voted_floors"]


def assert_complete(result: Result) -> None:
    """Every line has every figure, and all are above zero."""
    for line, figures in result.lines.items():
        assert figures.keys() == result.columns.keys(), line
        assert min(figures.values()) > 0, line
    assert "ratio" in result.columns
    assert result.table().row_count == len(result.lines)
