"""Kafka to Kafka in one process: exactly once, beside what aiokafka does alone."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.cost import Cost, Stopwatch
from bench.kafka import create, fill, work_off
from bench.process import measure
from bench.remembered import remembered
from bench.result import Result
from local.kafka import LocalKafka
from streams.engine.stage import Later, Outputs
from topics.catalog import DECISIONS, Names
from topics.limits import OUTPUT_BATCH_BYTES, POLL_RECORDS_MAX
from topics.records import Out, Record

ABOUT = (
    "A real Kafka on the same machine; 200-byte records in 4 partitions; one worker process a line, its CPU and memory "
    "alone. The engine copies and `send` each do as little as possible: 400 bytes out for each record in. acks=all; "
    "`send` each commits offsets every second. Triage: the demo's policy, every answer put in memory beforehand."
)
_COLUMNS = {
    "messages_per_s": "messages/s",
    "cpu_s_per_million": "CPU-s a million",
    "rss_mb_max": "peak RSS MB",
    "cpu_ratio": "CPU × `send` each",
    "ratio": "speed × `send` each",
}
_PARTITIONS = 4
_BYTES_EACH = 200
_COPIED, _TRIAGED = "copied", "triaged"  # the input topics; every line works one off to its end
_RECORDS_PER_SECOND = {_COPIED: 60_000, _TRIAGED: 15_000}  # of the time given
_SECONDS_MAX = 30.0  # of one line, however slow the machine
_COMMIT_SECONDS = 1.0
_POLL_MS = 200
_FIRST_POLL_MS = 10_000  # joining the group is in it
_ENGINE, _SEND, _READ, _TRIAGE = (Names(f"bench.{line}.") for line in ("engine", "send", "read", "triage"))


def run(seconds: float = 8.0) -> Result:
    """About `seconds` for each line."""
    counts = {topic: round(seconds * rate) for topic, rate in _RECORDS_PER_SECOND.items()}
    with LocalKafka(say=lambda _: None) as kafka:
        brokers = kafka.bootstrap_servers
        asyncio.run(_prepare(brokers, counts))
        measured = {
            "aiokafka, `send` each, at least once": measure(read_and_send, brokers, counts[_COPIED]),
            "engine, ready results, exactly once": measure(copy, brokers, counts[_COPIED]),
            "aiokafka, read only": measure(read, brokers, counts[_COPIED]),
            "engine, triage on memory hits, exactly once": measure(triage, brokers, counts[_TRIAGED]),
        }
    yardstick = next(iter(measured.values())).cost
    lines = {
        name: {
            "messages_per_s": each.cost.per_s,
            "cpu_s_per_million": each.cost.cpu_us_each,
            "rss_mb_max": each.rss_mb_max,
            "cpu_ratio": each.cost.cpu_us_each / yardstick.cpu_us_each,
            "ratio": each.cost.per_s / yardstick.per_s,
        }
        for name, each in measured.items()
    }
    return Result(suite="engine", about=ABOUT, columns=_COLUMNS, lines=lines)


async def _prepare(brokers: str, counts: Mapping[str, int]) -> None:
    records = [(record.key or b"", record.value or b"") for record in remembered(_BYTES_EACH).records]
    for names in (_ENGINE, _SEND, _TRIAGE):
        await create(brokers, _PARTITIONS, list(counts), names)
    for topic, count in counts.items():
        await fill(brokers, topic, _PARTITIONS, records, count)


class Copying:
    """Writes each record's value twice, at once: the least that a stage can do."""

    def __init__(self, output: str) -> None:
        self._output = output

    def order(self, topic: str) -> Literal["none", "key"]:  # noqa: ARG002
        return "none"

    def lookback(self, topic: str) -> int:  # noqa: ARG002
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [(Out(self._output, record.key, _doubled(record), ()),) for record in records]

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass


async def copy(brokers: str, count: int) -> Cost:
    """The engine with results that are ready at once."""
    return await work_off(Copying(_ENGINE.topic(DECISIONS)), brokers, _ENGINE, _COPIED, count, _SECONDS_MAX)


async def triage(brokers: str, count: int) -> Cost:
    """The engine with the whole triage stage, every message a memory hit."""
    stage = remembered(_BYTES_EACH).stage(_TRIAGE, _TRIAGED)
    return await work_off(stage, brokers, _TRIAGE, _TRIAGED, count, _SECONDS_MAX)


async def read_and_send(brokers: str, count: int) -> Cost:
    """As most programs do it: `send` for each record; flush and commit now and then."""
    output = _SEND.topic(DECISIONS)
    async with (
        _consumer(brokers, _SEND) as consumer,
        AIOKafkaProducer(bootstrap_servers=brokers, acks="all", max_batch_size=OUTPUT_BATCH_BYTES) as producer,
    ):
        polled = await consumer.getmany(timeout_ms=_FIRST_POLL_MS, max_records=POLL_RECORDS_MAX)
        watch, done, committed, committed_at_s = Stopwatch(), 0, 0, 0.0
        while committed < count and watch.wall_s < _SECONDS_MAX:
            for records in polled.values():
                for record in records:
                    await producer.send(output, _doubled(record), record.key)
                done += len(records)
            if watch.wall_s - committed_at_s >= _COMMIT_SECONDS or done >= count:
                await producer.flush()
                await consumer.commit()
                committed, committed_at_s = done, watch.wall_s
            polled = await consumer.getmany(timeout_ms=_POLL_MS, max_records=POLL_RECORDS_MAX)
        return watch.cost(committed)


async def read(brokers: str, count: int) -> Cost:
    """What reading alone costs: the records come as bytes, nothing is done with them."""
    async with _consumer(brokers, _READ) as consumer:
        polled = await consumer.getmany(timeout_ms=_FIRST_POLL_MS, max_records=POLL_RECORDS_MAX)
        watch, done = Stopwatch(), 0
        while True:
            done += sum(map(len, polled.values()))
            if done >= count or watch.wall_s >= _SECONDS_MAX:
                return watch.cost(done)
            polled = await consumer.getmany(timeout_ms=_POLL_MS, max_records=POLL_RECORDS_MAX)


def _consumer(brokers: str, names: Names) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        _COPIED,
        group_id=names.group("triage"),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        bootstrap_servers=brokers,
    )


def _doubled(record: Record) -> bytes:
    assert record.value is not None
    return record.value + record.value
