"""Many slow calls at once: how much of what the waiting allows the engine gets done."""

import asyncio
import functools
from collections.abc import Sequence
from typing import Literal

from bench import messages
from bench.cost import Cost, Stopwatch
from bench.kafka import create, fill, work_off
from bench.process import Measured, measure
from bench.result import Result
from local.kafka import LocalKafka
from streams.engine.stage import Later, Outputs
from topics.catalog import DECISIONS, Names
from topics.records import Out, Record

CALL_SECONDS = 0.2
CONCURRENCY = 500
_IDEAL_PER_S = CONCURRENCY / CALL_SECONDS
ABOUT = (
    f"Calls are simulated: each sleeps {CALL_SECONDS * 1000:.0f} ms. {CONCURRENCY} at once on one partition of a real "
    f"Kafka on the same machine, exactly once; the ideal is {_IDEAL_PER_S:,.0f} messages/s. Start and end of the run "
    "are included. asyncio alone: as many tasks that only sleep."
)
_COLUMNS = {
    "messages_per_s": "messages/s",
    "cpu_s_per_million": "CPU-s a million",
    "rss_mb_max": "peak RSS MB",
    "ratio": "share of the ideal",
}
_TOPIC = "in"
_BYTES_EACH = 200
_NAMES = Names("bench.slow.")


def run(seconds: float = 8.0) -> Result:
    """About `seconds` for each line."""
    rounds = max(1, round(seconds / CALL_SECONDS))
    with LocalKafka(say=lambda _: None) as kafka:
        asyncio.run(_prepare(kafka.bootstrap_servers, rounds * CONCURRENCY))
        measured = {
            "asyncio alone": measure(sleep_only, rounds),
            "Sluice's engine": measure(work_slowly, kafka.bootstrap_servers, rounds * CONCURRENCY, seconds * 3),
        }
    return Result(
        suite="slow_calls", about=ABOUT, columns=_COLUMNS, lines={n: _figures(m) for n, m in measured.items()}
    )


def _figures(measured: Measured) -> dict[str, float]:
    return {
        "messages_per_s": measured.cost.per_s,
        "cpu_s_per_million": measured.cost.cpu_us_each,
        "rss_mb_max": measured.rss_mb_max,
        "ratio": measured.cost.per_s / _IDEAL_PER_S,
    }


async def _prepare(brokers: str, count: int) -> None:
    await create(brokers, 1, [_TOPIC], _NAMES)
    await fill(brokers, _TOPIC, 1, messages.lines(_BYTES_EACH), count)


class Slow:
    """Every record waits for a call."""

    def __init__(self, output: str) -> None:
        self._output = output

    def order(self, topic: str) -> Literal["none", "key"]:  # noqa: ARG002
        return "none"

    def lookback(self, topic: str) -> int:  # noqa: ARG002
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [functools.partial(self._call, record) for record in records]

    async def _call(self, record: Record) -> Outputs:
        await asyncio.sleep(CALL_SECONDS)
        return (Out(self._output, record.key, record.value, ()),)

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass


async def work_slowly(brokers: str, count: int, seconds: float) -> Cost:
    """The engine, from Kafka to Kafka."""
    stage = Slow(_NAMES.topic(DECISIONS))
    return await work_off(stage, brokers, _NAMES, _TOPIC, count, seconds, in_flight_records_max=CONCURRENCY)


async def sleep_only(rounds: int) -> Cost:
    """What the event loop itself makes of it."""

    async def calls() -> None:
        for _ in range(rounds):
            await asyncio.sleep(CALL_SECONDS)

    watch = Stopwatch()
    await asyncio.gather(*(calls() for _ in range(CONCURRENCY)))
    return watch.cost(rounds * CONCURRENCY)
