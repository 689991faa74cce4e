"""The engine as a program that reports about itself four times a second: `python -m bench.worker JSON`, see Task.

It ends when its standard input does. Linux only: its memory is in /proc.
"""

import asyncio
import functools
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
from prometheus_client import Counter

from bench import messages
from bench.children import Report, report
from bench.remembered import remember, remembered
from local.drive import Fed
from processors import metrics
from processors.clock import SystemClock
from streams import heap, logs
from streams.brokers import Brokers
from streams.engine.engine import Engine, EngineSettings
from streams.engine.kafka import KafkaBroker
from streams.engine.stage import Later, Outputs, Stage
from topics import dead_letters
from topics.catalog import DEAD_LETTERS, DECISIONS, Names
from topics.messages import Rejected
from topics.records import Out, Record

_REPORT_SECONDS = 0.25
_SUMMARY = "A background task ended as it should; nothing has to be done. " * 4
_DECIDED = orjson.dumps({"label": "routine", "decided_by": "memory", "summary": _SUMMARY})[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the worker reads, and how it decides it."""

    brokers: str
    prefix: str  # of its group and output topics
    input: str
    stage: Literal["ready", "late", "refused", "triage", "mail"]
    bytes_each: int = 200  # of a record, for the stages that have its answer in memory
    late_s: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)  # of the engine, where they are not the default


class Deciding:
    """Decides each record without looking at it: at once, after a while, or not at all."""

    def __init__(self, output: str, how: Literal["ready", "late", "refused"], late_s: float) -> None:
        self._output = output
        self._late_s = late_s
        self._take = {"ready": self._decide, "late": self._later, "refused": self._refuse}[how]

    def order(self, topic: str) -> Literal["none", "key"]:  # noqa: ARG002
        return "none"

    def lookback(self, topic: str) -> int:  # noqa: ARG002
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [self._take(record) for record in records]

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass

    def _decide(self, record: Record) -> Outputs:
        place = (record.topic.encode(), record.partition, record.offset, record.timestamp)
        decision = b'{"id":"%b/%d/%d","source":{"timestamp_ms":%d},%b' % (*place, _DECIDED)
        return (Out(self._output, record.key, decision, ()),)

    def _later(self, record: Record) -> Later:
        return functools.partial(self._wait, record)

    async def _wait(self, record: Record) -> Outputs:
        await asyncio.sleep(self._late_s)
        return self._decide(record)

    def _refuse(self, _: Record) -> Outputs:
        return Rejected("policy", "every record of this bench is refused")


async def work(task: Task) -> None:
    logs.set_up("text", "ERROR")
    names = Names(task.prefix)
    engine = Engine(
        _stage(task, names),
        stage_name="triage",
        topics={task.input: "earliest"},
        names=names,
        broker=KafkaBroker(Brokers(task.brokers)),
        clock=SystemClock(),
        rng=random.Random(messages.SEED),
        dead_letter=functools.partial(dead_letters.dead_letter, stage="triage", topic=names.topic(DEAD_LETTERS)),
        settings=EngineSettings(**task.settings),
    )
    heap.suit_batches()  # as `sluice run` does
    _forget_peak()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)  # nobody writes there: it has ended
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(engine.run(stop))
        while not running.done():
            report(_seen(engine))
            await asyncio.wait({running}, timeout=_REPORT_SECONDS)
    report(_seen(engine))


def _stage(task: Task, names: Names) -> Stage:
    match task.stage:
        case "triage":
            return remembered(task.bytes_each).stage(names, task.input)
        case "mail":
            return remember("emails", [Fed("emails", 0, 0, 0, None, json_mail(task.bytes_each))]).stage(
                names, task.input
            )
        case how:
            return Deciding(names.topic(DECISIONS), how, task.late_s)


def json_mail(bytes_max: int) -> bytes:
    """A mail as one JSON object, the dearest shape to read: its body is copied out of it."""
    line = "Please send another 12 pieces to the same address as the last time.\n"
    mail = {"from": "a@shop.example", "to": "b@shop.example", "subject": "An order", "body": ""}
    lines = (bytes_max - len(orjson.dumps(mail))) // (len(line) + 1)  # a line's end takes two bytes in JSON
    return orjson.dumps({**mail, "body": line * lines})


def _forget_peak() -> None:
    """The peak of memory counts from here: making a stage may have needed more."""
    Path("/proc/self/clear_refs").write_text("5")


def _seen(engine: Engine) -> Report:
    """Counts are since the start; memory is in MB (2^20 bytes)."""
    memory = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "at_s": time.time(),
        "cpu_s": time.process_time(),
        "joined": engine.health().joined,
        "committed": _count(metrics.COMMITTED),
        "rejected": _count(metrics.REJECTED),
        "transactions": _count(metrics.TRANSACTIONS),
        "rss_mb": int(memory["VmRSS"].split()[0]) / 1024,
        "rss_mb_max": int(memory["VmHWM"].split()[0]) / 1024,
    }


def _count(counter: Counter) -> int:
    samples = (sample for metric in counter.collect() for sample in metric.samples)
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))


if __name__ == "__main__":
    asyncio.run(work(Task(**orjson.loads(sys.argv[1]))))
