"""Suites that watch programs of their own: what they make of the programs' reports."""

import textwrap
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import backlog, large_records, latency, load
from bench.children import Child, ChildFailed
from bench.large_records import Line
from bench.visible import percentile
from bench.worker import json_mail
from topics import limits

# --- programs that report --------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that reports its task, then what it is told, and ends with its standard input."""
    source = """
        import sys, orjson
        from bench.children import report, told
        report({"task": orjson.loads(sys.argv[1])})
        report({"told": told()})
        sys.stdin.read()
        report({"ended": True})
    """
    (tmp_path / "reporting.py").write_text(textwrap.dedent(source))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    return "reporting"


def test_a_program_is_told_and_reports_until_its_end(program: str) -> None:
    with Child(program, {"rate": 5}) as child:
        assert child.wait_for(lambda report: "task" in report, 20)["task"] == {"rate": 5}
        child.tell({"begin_s": 1.5})
        assert child.wait_for(lambda report: "told" in report, 20)["told"] == {"begin_s": 1.5}
    assert child.reports[-1] == {"ended": True}


def test_a_program_ends_when_nobody_is_there_to_tell_it(program: str) -> None:
    with Child(program, {}) as child:
        child.wait_for(lambda report: "task" in report, 20)
    assert "told" not in child.reports[-1]


def test_a_program_that_ends_too_early_has_failed(program: str) -> None:
    with Child(program, {}) as child:
        child._process.kill()
        with pytest.raises(ChildFailed, match="reporting ended; its last report: nothing"):
            child.wait_for(lambda report: "ended" in report, 20)


# --- latency ---------------------------------------------------------------------------------------


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile(range(1, 201), share) for share in (50, 90, 99, 100)] == [100, 180, 198, 200]
    assert percentile([7], 99) == 7
    assert percentile([], 50) is None


@given(st.integers(min_value=1, max_value=100_000), st.integers(min_value=1, max_value=64))
def test_what_is_due_is_shared_out_completely_and_evenly(due: int, partitions: int) -> None:
    counts = load.shares(due, partitions)
    assert sum(counts) == due
    assert len(counts) <= partitions
    assert max(counts) - min(counts) <= 1


def test_nothing_due_is_nothing_sent() -> None:
    assert load.shares(0, 8) == []


SEEN = {"seen": 1_000, "p50_ms": 40, "p90_ms": 60, "p99_ms": 90, "p100_ms": 120}
DURING = [
    {"at_s": 10.0, "cpu_s": 1.0, "transactions": 100},
    {"at_s": 12.0, "cpu_s": 2.0, "transactions": 180},
]


def test_a_line_has_its_rates_and_no_doubt() -> None:
    figures = latency.figures(1_000, {"sent": 1_000, "per_s": 999.0}, SEEN, DURING)
    assert figures["transactions_per_s"] == 40
    assert figures["worker_cpu"] == 0.5
    assert figures["p99_ms"] == 90
    assert figures["max_ms"] == 120
    assert figures["doubt"] == ""


def test_a_producer_below_its_rate_is_told() -> None:
    figures = latency.figures(1_000, {"sent": 1_000, "per_s": 900.0}, SEEN, DURING)
    assert figures["doubt"] == "the producer was too slow"


@pytest.mark.parametrize(("sent", "doubt"), [(1_001, "decisions are missing"), (999, "decisions are doubled")])
def test_decisions_are_counted(sent: int, doubt: str) -> None:
    assert latency.figures(1_000, {"sent": sent, "per_s": 1_000.0}, SEEN, DURING)["doubt"] == doubt


# --- memory ----------------------------------------------------------------------------------------


def test_the_slope_of_a_line_is_found() -> None:
    assert backlog.slope([0, 1, 2, 3], [5, 7, 9, 11]) == 2
    assert backlog.slope([0, 1, 2, 3], [1, -1, -1, 1]) == 0
    assert backlog.slope([2, 2], [1, 5]) is None
    assert backlog.slope([], []) is None


def reports(growth_mb_per_million: float) -> list[dict[str, float]]:
    """A worker that commits 100,000 records a second, after two seconds in which it starts."""
    return [
        {
            "at_s": float(second),
            "committed": (committed := max(0, second - 2) * 100_000),
            "rss_mb": 80 + growth_mb_per_million * committed / 1e6,
            "rss_mb_max": 150.0,
        }
        for second in range(60)
    ]


def test_a_backlog_counts_from_the_first_record_to_the_last() -> None:
    figures = backlog.figures(reports(growth_mb_per_million=1), count=5_000_000)
    assert figures["records_per_s"] == pytest.approx(100_000)
    assert figures["rss_mb_before"] == 80
    assert figures["rss_mb_max"] == 150
    assert figures["growth_mb_per_million"] == pytest.approx(1)
    assert figures["steady"] == "steady"


def test_memory_that_grows_is_told() -> None:
    assert backlog.figures(reports(growth_mb_per_million=20), count=5_000_000)["steady"] == "grows"


def test_a_full_disk_is_refused_before_anything_is_written() -> None:
    with pytest.raises(backlog.NoRoom, match="--seconds"):
        backlog.require_room(1 << 60)


def test_the_largest_mail_is_as_large_as_admitted() -> None:
    mail = json_mail(100_000)
    assert 99_900 < len(mail) <= 100_000
    assert orjson.loads(mail)["subject"] == "An order"


def test_the_bound_has_room_for_the_largest_record_at_every_stage() -> None:
    largest = limits.INPUT_VALUE_BYTES_MAX
    plain = large_records.bound_mb(60, Line("late", largest, 1))
    assert plain > 60 + (limits.HELD_BYTES_MAX + largest) / limits.MIB
    assert large_records.bound_mb(60, Line("mail", largest, 1)) > plain
    assert large_records.bound_mb(60, Line("refused", largest, 1)) > plain
    assert large_records.bound_mb(60, Line("late", limits.MIB, 1)) < plain
