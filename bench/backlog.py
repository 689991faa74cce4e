"""What a worker's memory does while it works off a backlog of small records."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Literal

from bench import kafka
from bench.children import Child, ChildFailed, Report
from bench.kafka import Topic
from bench.remembered import remembered
from bench.result import Figure, Result
from local.jars import Say
from local.kafka import LocalKafka
from processors.errors import SluiceError
from topics.catalog import DEAD_LETTERS, DECISIONS, Names

_BYTES_EACH = 100
_PARTITIONS = 8
_KEYS = [f"key-{number}".encode() for number in range(4_096)]
_RECORDS_PER_SECOND = 100_000  # of the time given
_NAMES: Mapping[Literal["ready", "triage"], str] = {"ready": "ready results", "triage": "triage on memory hits"}
_DISK_BYTES_EACH = 900  # of a record with its decision, and as much again in hand
_WARM_UP = 0.2  # of the records: interpreters, caches and the allocator settle
_STUCK_SECONDS = 30.0  # without another record
_STEADY_MB_PER_MILLION = 5.0
ABOUT = (
    f"Exactly once, one worker process, records of {_BYTES_EACH} bytes in {_PARTITIONS} partitions that are all there "
    "before it starts; decisions of about 400 bytes. Peak: the most resident memory since the worker's start, the "
    f"interpreter included. Growth: slope of a line through its memory, looked at four times a second, after the first "
    f"{_WARM_UP:.0%} of the records; up to {_STEADY_MB_PER_MILLION:g} MB a million is called steady."
)
_COLUMNS = {
    "records": "records",
    "records_per_s": "records/s",
    "rss_mb_before": "RSS before, MB",
    "rss_mb_max": "peak RSS, MB",
    "growth_mb_per_million": "growth, MB a million",
    "steady": "",
}


class NoRoom(SluiceError):
    """The disk is too full for the backlog."""


def run(seconds: float = 50.0, *, say: Say = lambda _: None) -> Result:
    """About `seconds` for each line; at 50 the backlog is of 5 million records."""
    rows: dict[str, Mapping[str, Figure]] = {}
    for stage, name in _NAMES.items():
        rows[name] = row = measure(stage, round(seconds * _RECORDS_PER_SECOND), say)
        say(f"{name}: at most {row['rss_mb_max']:,.0f} MB")
    return Result(suite="backlog", about=ABOUT, columns=_COLUMNS, lines=rows)


def measure(stage: Literal["ready", "triage"], count: int, say: Say) -> Mapping[str, Figure]:
    """One line's figures, on a broker of its own: its disk is free again afterwards. Raises NoRoom or ChildFailed."""
    require_room(count * _DISK_BYTES_EACH)
    with LocalKafka(say=say) as broker:
        names, given = Names("bench."), Topic("in", _PARTITIONS)
        asyncio.run(_prepare(broker.bootstrap_servers, names, given, count))
        task = {
            "brokers": broker.bootstrap_servers,
            "prefix": names.prefix,
            "input": given.name,
            "stage": stage,
            "bytes_each": _BYTES_EACH,
        }
        with Child("bench.worker", task) as worker:
            await_committed(worker, count)
        if worker.reports[-1]["rejected"]:
            raise ChildFailed("some records became dead letters: the figures would not be of what they claim")
        return figures(worker.reports, count)


def require_room(wanted_bytes: int) -> None:
    """Raises NoRoom where the disk under the temporary directory has less."""
    where = tempfile.gettempdir()
    free_bytes = shutil.disk_usage(where).free
    if free_bytes < wanted_bytes:
        raise NoRoom(
            f"{where} has {free_bytes >> 20:,} MB free, and the records and what is written about them need "
            f"{wanted_bytes >> 20:,}: measure fewer (--seconds), or name another directory in TMPDIR"
        )


def await_committed(worker: Child, count: int) -> None:
    """Returns when the worker has committed so many records. Raises ChildFailed where it goes on no more."""
    committed = -1

    def more(report: Report) -> bool:
        return bool(report["committed"] > committed)

    while committed < count:
        committed = worker.wait_for(more, _STUCK_SECONDS)["committed"]


async def _prepare(brokers: str, names: Names, given: Topic, count: int) -> None:
    for topic in (given, *(Topic(names.topic(owned), _PARTITIONS) for owned in (DECISIONS, DEAD_LETTERS))):
        await kafka.create(brokers, topic)
    values = [record.value or b"" for record in remembered(_BYTES_EACH).records]
    await kafka.fill(brokers, given, islice(zip(cycle(_KEYS), cycle(values), strict=False), count))


def figures(reports: Sequence[Report], count: int) -> Mapping[str, Figure]:
    """From what the worker said of itself."""
    working = [each for each in reports if each["committed"] < count]
    began = [each for each in working if each["committed"] == 0][-1]
    warm = [each for each in working if each["committed"] >= count * _WARM_UP]
    growth = slope([each["committed"] / 1e6 for each in warm], [each["rss_mb"] for each in warm])
    ended = next(each for each in reports if each["committed"] >= count)
    return {
        "records": count,
        "records_per_s": count / (ended["at_s"] - began["at_s"]),
        "rss_mb_before": began["rss_mb"],
        "rss_mb_max": ended["rss_mb_max"],
        "growth_mb_per_million": growth,
        "steady": None if growth is None else ("steady" if growth <= _STEADY_MB_PER_MILLION else "grows"),
    }


def slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Of the line that fits the points best, by least squares; None where their x are all the same."""
    if not xs:
        return None
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread if spread else None
