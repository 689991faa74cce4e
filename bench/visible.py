"""How long after its record was produced each decision was visible: `python -m bench.visible JSON`, see Task.

It reads what is committed, as any other program would; of each decision it needs `source.timestamp_ms`. It reports that
it is ready, is told the load's Times, and reports what it saw.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from bench.children import Report, report, told
from bench.kafka import Topic, reader
from bench.load import Times

_SAMPLED = 11  # one record in so many is looked into; a prime, so that no rhythm of the batches is met
_POLL_MS = 100
_GRACE_SECONDS = 3.0  # after the last record was produced


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    brokers: str
    topic: str
    partitions: int


async def watch(task: Task) -> Report:
    """How many decisions became visible in all, and the latencies' percentiles in ms."""
    topic = Topic(task.topic, task.partitions)
    seen, latencies_ms = 0, list[int]()
    async with reader(task.brokers) as consumer:
        consumer.assign(topic.all)
        await consumer.seek_to_beginning()
        report({"ready": True})
        times = Times(**told())
        first_ms, last_ms = times.count_from_s * 1000, times.end_s * 1000
        while time.time() < times.end_s + _GRACE_SECONDS:
            polled = await consumer.getmany(timeout_ms=_POLL_MS)
            now_ms = int(time.time() * 1000)
            for records in polled.values():
                seen += len(records)
                for record in records:
                    if record.offset % _SAMPLED == 0:
                        produced_ms = orjson.loads(record.value)["source"]["timestamp_ms"]
                        if first_ms <= produced_ms < last_ms:
                            latencies_ms.append(now_ms - produced_ms)
    latencies_ms.sort()
    return {
        "seen": seen,
        "sampled": len(latencies_ms),
        **{f"p{share}_ms": percentile(latencies_ms, share) for share in (50, 90, 99, 100)},
    }


def percentile(ordered: Sequence[float], share: int) -> float | None:
    """The smallest of the values that at least `share` percent of them do not exceed; None where there are none."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else None


if __name__ == "__main__":
    report(asyncio.run(watch(Task(**orjson.loads(sys.argv[1])))))
