"""Records at a constant rate, as cheaply as aiokafka writes them: `python -m bench.load JSON`, see Task.

A record's timestamp is the moment at which it is handed to the producer. It reports that it is ready, is told when to
begin and end (see Times), and reports what it did.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from bench.children import Report, report, told
from bench.remembered import remembered
from topics.limits import OUTPUT_BATCH_BYTES

_TICK_SECONDS = 0.01
_BATCH_RECORDS_MIN = 25  # fewer partitions are written to in a tick rather than many with a record or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    brokers: str
    topic: str
    partitions: int
    bytes_each: int
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """In epoch seconds."""

    begin_s: float
    count_from_s: float  # what is sent before does not count: everything warms up
    end_s: float


async def generate(task: Task) -> Report:
    """All that was sent, and what of it in the time that counts."""
    records = cycle([(record.key, record.value) for record in remembered(task.bytes_each).records])
    partitions = cycle(range(task.partitions))
    sent = counted = 0
    waiting: list[asyncio.Future[Any]] = []
    async with AIOKafkaProducer(bootstrap_servers=task.brokers, max_batch_size=OUTPUT_BATCH_BYTES) as producer:
        await producer.partitions_for(task.topic)
        report({"ready": True})
        times = Times(**told())
        await asyncio.sleep(max(0.0, times.begin_s - time.time()))
        while (now := time.time()) < times.end_s:
            due = int((now - times.begin_s) * task.per_s) - sent
            for count in shares(due, task.partitions):
                batches = _batches(producer, list(islice(records, count)))
                partition = next(partitions)
                waiting += [await producer.send_batch(batch, task.topic, partition=partition) for batch in batches]
                sent += count
                counted += count if now >= times.count_from_s else 0
            waiting = [future for future in waiting if not future.done() or future.result() is None]
            await asyncio.sleep(max(0.0, _TICK_SECONDS - (time.time() - now)))
        await asyncio.gather(*waiting)
    return {"sent": sent, "per_s": counted / (times.end_s - times.count_from_s)}


def shares(due: int, partitions: int) -> list[int]:
    """How many of the `due` records go to each of the partitions whose turn it is: about as many to each."""
    turns = min(partitions, max(1, due // _BATCH_RECORDS_MIN))
    return [count for turn in range(turns) if (count := due // turns + (turn < due % turns))]


def _batches(producer: AIOKafkaProducer, records: Sequence[tuple[bytes | None, bytes | None]]) -> list[Any]:
    """As few as hold them."""
    now_ms = int(time.time() * 1000)
    batches = [producer.create_batch()]
    for key, value in records:
        if batches[-1].append(timestamp=now_ms, key=key, value=value) is None:
            batches.append(producer.create_batch())
            batches[-1].append(timestamp=now_ms, key=key, value=value)
    return batches


if __name__ == "__main__":
    report(asyncio.run(generate(Task(**orjson.loads(sys.argv[1])))))
