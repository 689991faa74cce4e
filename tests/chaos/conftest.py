"""A broker that forgets soon, trials on it, and a table of what they counted at the end of the run."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from local.kafka import LocalKafka
from tests.chaos.checks import Counts, shown
from tests.chaos.trial import Plan, Trial, trial
from tests.kafka.bus import SOON_BACK, Bus

_COUNTS = "chaos"
_COLUMNS = {  # of the table: head, and what of Counts stands below it
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

Begin = Callable[[Plan], contextlib.AbstractAsyncContextManager[Trial]]


class Judge(Protocol):
    def __call__(self, counts: Counts, also: str = "") -> None: ...


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[LocalKafka]:
    """One for all tests of this folder; some restart it."""
    # Half the default, and no less: a broker that is alone, and comes back, has partitions without a leader some 2 s
    # after its start. Kafka 4.3 takes those for deleted: it drops the markers of a transaction that it ends just then,
    # and its data and offsets hang for good ("Couldn't find leader endpoint" in the broker's log).
    soon_aborted = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "5000"}
    with LocalKafka(settings=SOON_BACK | soon_aborted) as broker:
        yield broker


@pytest.fixture
def begin(bus: Bus, tmp_path: Path) -> Begin:
    """A trial of the test's own. The seed is the same every time; what the machine does in between is not."""

    @contextlib.asynccontextmanager
    async def beginning(plan: Plan) -> AsyncIterator[Trial]:
        async with trial(bus, tmp_path, plan, seed=4) as a_trial:
            yield a_trial

    return beginning


@pytest.fixture
def judge(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Judge:
    """Tells the counts in one line, for the table at the end too, and fails where they hold a problem. `also`: what
    else was done to the workers."""
    began = time.monotonic()

    def judging(counts: Counts, also: str = "") -> None:
        done = ", ".join([f"{number} {what}" for what, number in counts.faults.items() if number] + [also] * bool(also))
        numbers = [getattr(counts, name) for name in _COLUMNS.values()]
        record_property(_COUNTS, (numbers, f"{time.monotonic() - began:.0f} s: {done}"))
        print(f"{request.node.name}: {counts}")
        if counts.problems:
            pytest.fail(shown(counts), pytrace=False)

    return judging


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, with a line for each test that came as far as its counts."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    told = [(report.nodeid, value) for report in reports for name, value in report.user_properties if name == _COUNTS]
    if told:
        terminalreporter.section("chaos")
        terminalreporter.write_line("".join(f"{head:>{len(head) + 2}}" for head in _COLUMNS))
        for nodeid, (numbers, done) in told:
            terminalreporter.write_line(f"{_row(numbers)}  {nodeid.rpartition('::')[2]}: {done}")
        columns = zip(*(numbers for _, (numbers, _) in told), strict=True)
        terminalreporter.write_line(f"{_row([sum(column) for column in columns])}  in all")


def _row(numbers: Sequence[int]) -> str:
    return "".join(f"{number:>{len(head) + 2}}" for head, number in zip(_COLUMNS, numbers, strict=True))
