"""A worker's memory with the largest records that the settings admit. Linux only: it is read from /proc."""

from pathlib import Path

import pytest

from bench import large_records
from bench.large_records import Line
from tests.kafka.bus import Bus
from topics.limits import INPUT_VALUE_BYTES_MAX, MIB

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc"),
]


@pytest.mark.parametrize(
    "line",
    [
        Line("late", INPUT_VALUE_BYTES_MAX, 16),
        Line("mail", INPUT_VALUE_BYTES_MAX, 16),
        Line("refused", INPUT_VALUE_BYTES_MAX, 16),
        Line("late", MIB, 400),
    ],
    ids=str,
)
def test_the_stated_bound_holds(bus: Bus, line: Line) -> None:
    """Two records a partition of the largest: as many as are ever fetched while the first ones wait."""
    figures = large_records.measure_on(bus.bootstrap_servers, line, bus.prefix)
    assert figures["rss_mb_max"] <= figures["bound_mb"], figures
