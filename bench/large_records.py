"""What the largest records that the settings admit cost a worker in memory, beside the bound that is stated for it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from aiokafka import AIOKafkaProducer

from bench import kafka
from bench.backlog import await_committed, require_room
from bench.children import Child
from bench.kafka import Topic
from bench.result import Figure, Result
from bench.worker import json_mail
from local.jars import Say
from local.kafka import LocalKafka
from topics import limits
from topics.catalog import DEAD_LETTERS, DECISIONS, Names
from topics.limits import MIB

_PARTITIONS = 8
_LATE_SECONDS = 3.0  # long enough that as much is fetched as ever will be
_FRAMING_BYTES = 64 * limits.KIB
ABOUT = (
    f"One worker process on one broker, {_PARTITIONS} partitions, exactly once, batches not compressed. Peak: the most "
    "resident memory from the worker's start, the interpreter included. Late: each record waits for a call of "
    f"{_LATE_SECONDS:g} s, as it would for a model. The bound follows from topics/limits.py (bound_mb in "
    "bench/large_records.py) and from the memory before the first record."
)
_COLUMNS = {
    "records": "records",
    "rss_mb_before": "RSS before, MB",
    "rss_mb_max": "peak RSS, MB",
    "bound_mb": "bound, MB",
    "ratio": "of the bound",
}


@dataclass(frozen=True, slots=True)
class Line:
    """Records of one size, and what becomes of them."""

    stage: Literal["ready", "late", "refused", "mail"]
    bytes_each: int
    records: int

    def __str__(self) -> str:
        ends = {"ready": "decided at once", "late": "late", "refused": "dead letters", "mail": "JSON mails, triage"}
        return f"{self.bytes_each // MIB} MiB, {ends[self.stage]}"


LINES = (
    Line("ready", limits.INPUT_VALUE_BYTES_MAX, 24),
    Line("late", limits.INPUT_VALUE_BYTES_MAX, 24),
    Line("mail", limits.INPUT_VALUE_BYTES_MAX, 24),
    Line("refused", limits.INPUT_VALUE_BYTES_MAX, 24),
    Line("ready", MIB, 800),
    Line("late", MIB, 800),
    Line("refused", MIB, 800),
)


def run(seconds: float = 8.0, *, say: Say = lambda _: None) -> Result:
    """About `seconds` for each line, but at least as many records as can be in a worker at once."""
    rows: dict[str, Mapping[str, Figure]] = {}
    for line in LINES:
        count = max(2 * _PARTITIONS, round(line.records * seconds / 8))
        rows[f"{line}"] = row = measure(Line(line.stage, line.bytes_each, count), say)
        say(f"{line}: at most {row['rss_mb_max']:,.0f} MB")
    return Result(suite="large_records", about=ABOUT, columns=_COLUMNS, lines=rows)


def measure(line: Line, say: Say) -> Mapping[str, Figure]:
    """One line's figures, on a broker of its own: its disk is free again afterwards. Raises NoRoom or ChildFailed."""
    require_room(3 * line.records * line.bytes_each)
    with LocalKafka(say=say) as broker:
        return measure_on(broker.bootstrap_servers, line, "bench.")


def measure_on(brokers: str, line: Line, prefix: str) -> Mapping[str, Figure]:
    """The same on a broker that runs already. Raises ChildFailed."""
    names, given = Names(prefix), Topic(f"{prefix}in", _PARTITIONS)
    asyncio.run(_prepare(brokers, names, given, line))
    task = {
        "brokers": brokers,
        "prefix": prefix,
        "input": given.name,
        "stage": line.stage,
        "bytes_each": line.bytes_each,
        "late_s": _LATE_SECONDS,
    }
    with Child("bench.worker", task) as worker:
        await_committed(worker, line.records)
    before_mb = next(each["rss_mb"] for each in worker.reports if each["committed"] == 0)
    peak_mb = worker.reports[-1]["rss_mb_max"]
    bound = bound_mb(before_mb, line)
    return {
        "records": line.records,
        "rss_mb_before": before_mb,
        "rss_mb_max": peak_mb,
        "bound_mb": bound,
        "ratio": peak_mb / bound,
    }


def bound_mb(before_mb: float, line: Line) -> float:
    """What a worker needs at most while it reads from one broker; each further one may add two answers.

    Held: values that wait and outputs, up to HELD_BYTES_MAX, exceeded by what one poll brings, which is all that was
    prefetched: up to PREFETCH_BYTES_MAX, exceeded by one answer. Arriving: one more answer twice, as a frame and as
    what is cut out of it; aiokafka keeps a frame until the next has come. Working: copies of one record at a time. A
    mail in JSON is copied twice while it is read, a dead letter five times on its way into a socket.
    """
    answer = max(limits.FETCH_BYTES_MAX, line.bytes_each)
    held = limits.HELD_BYTES_MAX + limits.PREFETCH_BYTES_MAX + answer
    working = {"ready": 0, "late": 0, "mail": 2, "refused": 5}[line.stage] * line.bytes_each
    return before_mb + (held + 2 * answer + working) / MIB


async def _prepare(brokers: str, names: Names, given: Topic, line: Line) -> None:
    await kafka.create(brokers, given, message_bytes_max=line.bytes_each + _FRAMING_BYTES)
    for owned in (DECISIONS, DEAD_LETTERS):
        topic = Topic(names.topic(owned), _PARTITIONS)
        await kafka.create(brokers, topic, message_bytes_max=owned.max_message_bytes)
    value = json_mail(line.bytes_each) if line.stage == "mail" else bytes(line.bytes_each)
    largest = limits.DEAD_LETTER_VALUE_BYTES_MAX
    async with AIOKafkaProducer(bootstrap_servers=brokers, max_request_size=largest) as producer:
        for number in range(line.records):
            await producer.send_and_wait(given.name, value, partition=number % _PARTITIONS)
