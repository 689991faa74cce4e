"""A broker that forgets soon, trials on it, and what they counted, for the end of the run (tests/chaos/table.py)."""

import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from local.kafka import LocalKafka
from tests.chaos import table
from tests.chaos.checks import Counts, shown
from tests.chaos.trial import Plan, Trial, trial
from tests.kafka.bus import SOON_BACK, Bus

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
        record_property(table.COUNTS, (table.numbers(counts), f"{time.monotonic() - began:.0f} s: {done}"))
        print(f"{request.node.name}: {counts}")
        if counts.problems:
            pytest.fail(shown(counts), pytrace=False)

    return judging


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a sentence for the end of the run."""
    return functools.partial(record_property, table.SENTENCE)
