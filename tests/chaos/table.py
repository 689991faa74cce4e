"""What the chaos tests counted, as a table at the end of the run. Tests may run in other processes than the one that
writes it: numbers travel as properties of their reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every run imports this file, and few of them the workers
    from tests.chaos.checks import Counts

COUNTS, SENTENCE = "chaos", "chaos sentence"  # names of properties
_COLUMNS = {  # head, and what of Counts stands below it
    "records": "records",
    "decided": "decisions",
    "dead": "dead_letters",
    "lost": "lost",
    "doubled": "duplicated",
    "disordered": "disordered",
    "calls": "calls",
    "in flight": "in_flight",
    "repeated": "repeated",
    "zombie": "zombie",
}


def numbers(counts: "Counts") -> list[int]:
    """A line of the table."""
    return [getattr(counts, name) for name in _COLUMNS.values()]


def write(reporter: pytest.TerminalReporter) -> None:
    """A line for each test that came as far as its counts; then the sentences of the others."""
    reports = [report for kind in ("passed", "failed") for report in reporter.getreports(kind)]
    properties = [(report.nodeid, *named) for report in reports for named in report.user_properties]
    told = [(nodeid, value) for nodeid, name, value in properties if name == COUNTS]
    sentences = [value for _, name, value in properties if name == SENTENCE]
    if told or sentences:
        reporter.section("chaos")
    if told:
        reporter.write_line("".join(f"{head:>{len(head) + 2}}" for head in _COLUMNS))
        for nodeid, (line, done) in told:
            reporter.write_line(f"{_row(line)}  {nodeid.rpartition('::')[2]}: {done}")
        columns = zip(*(line for _, (line, _) in told), strict=True)
        reporter.write_line(f"{_row([sum(column) for column in columns])}  in all")
    for sentence in sentences:
        reporter.write_line(sentence)


def _row(line: Sequence[int]) -> str:
    return "".join(f"{number:>{len(head) + 2}}" for head, number in zip(_COLUMNS, line, strict=True))
