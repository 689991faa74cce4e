"""What the engine adds to a message's way: from its producer to a reader of committed decisions, at a constant rate.

Four processes on one machine: the broker, the producer, one worker, the reader.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench import kafka
from bench.children import Child, Report
from bench.kafka import Topic
from bench.result import Figure, Result
from local.jars import Say
from local.kafka import LocalKafka
from topics.catalog import DECISIONS, Names
from topics.limits import PRODUCERS_MAX, TRANSACTION_INTERVAL_SECONDS

_BYTES_EACH = 200
_CADENCES_S = (0.02, 0.05, 0.1)
_LEAD_SECONDS = 0.2  # until everyone knows when to begin
_WARM_UP_SECONDS = 4.0
_WARM_UP_SECONDS_FIRST = 15.0  # the broker's JVM compiles
_READY_SECONDS_MAX = 60.0  # interpreters start
_SILENT_SECONDS_MAX = 15.0  # after the end
_SHORT = 0.98  # of the rate asked for, or of the records sent: below it the figures are not of what they claim
ABOUT = (
    "Exactly once, one worker process; latency is from the moment a record is handed to its producer to the moment a "
    "read_committed consumer in another process has its decision, one record in 11 looked at. Records of "
    f"{_BYTES_EACH} bytes, decisions of about 400. `8 + 8`: partitions in and out. `every`: results are gathered so "
    f"long for a transaction; the default is {TRANSACTION_INTERVAL_SECONDS * 1000:.0f} ms, and {PRODUCERS_MAX} "
    "producers (SLUICE_PRODUCERS). The first seconds of each line are left out. Broker, producer, worker and "
    "reader share the machine's cores."
)
_COLUMNS = {
    "sent_per_s": "sent/s",
    "p50_ms": "p50 ms",
    "p90_ms": "p90 ms",
    "p99_ms": "p99 ms",
    "max_ms": "max ms",
    "transactions_per_s": "transactions/s",
    "worker_cpu": "worker's cores",
    "doubt": "",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A constant rate through one worker."""

    partitions: int  # of the input, and of the output
    per_s: int
    interval_s: float
    stage: Literal["ready", "triage"] = "ready"
    producers_max: int = PRODUCERS_MAX  # one a partition; with more partitions they share so many

    def __str__(self) -> str:
        what = "" if self.stage == "ready" else ", whole triage"
        how = f"every {self.interval_s * 1000:.0f} ms, {_counted(self.producers, 'producer')}"
        return f"{self.partitions} + {self.partitions}{what}, {self.per_s:,}/s, {how}"

    @property
    def producers(self) -> int:
        return min(self.partitions, self.producers_max)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s'[: number > 1]}"


LINES: Sequence[Line] = (
    *(Line(8, 50_000, interval_s, producers_max=count) for count in (8, 2, 1) for interval_s in _CADENCES_S),
    Line(8, 20_000, TRANSACTION_INTERVAL_SECONDS, "triage"),
    *(Line(32, per_s, interval_s, producers_max=1) for per_s in (5_000, 20_000, 50_000) for interval_s in _CADENCES_S),
)


def run(seconds: float = 10.0, *, say: Say = lambda _: None) -> Result:
    """About `seconds` for each line, beside its start."""
    rows: dict[str, Mapping[str, Figure]] = {}
    with LocalKafka(say=say) as broker:
        for number, line in enumerate(LINES):
            warm_up_s = _WARM_UP_SECONDS if number else _WARM_UP_SECONDS_FIRST
            rows[f"{line}"] = row = measure(broker.bootstrap_servers, line, f"bench.{number}.", seconds, warm_up_s)
            say(f"{line}: p99 {row['p99_ms']} ms")
    return Result(suite="latency", about=ABOUT, columns=_COLUMNS, lines=rows)


def measure(brokers: str, line: Line, prefix: str, seconds: float, warm_up_s: float) -> Mapping[str, Figure]:
    """One line's figures. Raises ChildFailed."""
    given = Topic(f"{prefix}in", line.partitions)
    decided = Topic(Names(prefix).topic(DECISIONS), line.partitions)
    for topic in (given, decided):
        asyncio.run(kafka.create(brokers, topic, timestamps="CreateTime"))
    task = {
        "brokers": brokers,
        "prefix": prefix,
        "input": given.name,
        "stage": line.stage,
        "bytes_each": _BYTES_EACH,
        "settings": {"transaction_interval_s": line.interval_s, "producers_max": line.producers_max},
    }
    where = {"brokers": brokers, "partitions": line.partitions}
    made = {"bytes_each": _BYTES_EACH, "per_s": line.per_s}
    with (
        Child("bench.worker", task) as worker,
        Child("bench.visible", {**where, "topic": decided.name}) as reader,
        Child("bench.load", {**where, "topic": given.name, **made}) as producer,
    ):
        worker.wait_for(lambda report: bool(report["joined"]), _READY_SECONDS_MAX)
        for each in (reader, producer):
            each.wait_for(lambda report: "ready" in report, _READY_SECONDS_MAX)
        begin_s = time.time() + _LEAD_SECONDS
        count_from_s = begin_s + warm_up_s
        end_s = count_from_s + seconds
        for each in (reader, producer):
            each.tell({"begin_s": begin_s, "count_from_s": count_from_s, "end_s": end_s})
        seconds_max = end_s - time.time() + _SILENT_SECONDS_MAX
        sent = producer.wait_for(lambda report: "sent" in report, seconds_max)
        seen = reader.wait_for(lambda report: "seen" in report, seconds_max)
    for topic in (given, decided):
        asyncio.run(kafka.delete(brokers, topic))
    during = [each for each in worker.reports if count_from_s <= each["at_s"] <= end_s]
    return figures(line.per_s, sent, seen, during)


def figures(wanted_per_s: float, sent: Report, seen: Report, during: Sequence[Report]) -> Mapping[str, Figure]:
    """From the last words of producer and reader, and from what the worker said in the time that counts."""
    first, last = during[0], during[-1]
    elapsed_s = last["at_s"] - first["at_s"]
    doubts = {
        "the producer was too slow": sent["per_s"] < wanted_per_s * _SHORT,
        "decisions are missing": seen["seen"] < sent["sent"],
        "decisions are doubled": seen["seen"] > sent["sent"],
    }
    return {
        "sent_per_s": sent["per_s"],
        **{f"p{share}_ms": seen[f"p{share}_ms"] for share in (50, 90, 99)},
        "max_ms": seen["p100_ms"],
        "transactions_per_s": (last["transactions"] - first["transactions"]) / elapsed_s,
        "worker_cpu": (last["cpu_s"] - first["cpu_s"]) / elapsed_s,
        "doubt": "; ".join(doubt for doubt, is_so in doubts.items() if is_so),
    }
