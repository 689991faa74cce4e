"""Reads Sluice's topics into the View, without a consumer group: it commits nothing and disturbs nobody.

Two readers, so that a flood of decisions holds up nothing else. Decisions may be more than a page needs: beyond
CONSOLE_DECISIONS_PER_SECOND_MAX a part is passed over, and counted by its offsets. All else is read whole.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.clock import Clock
from streams import topics_admin
from streams.brokers import Brokers
from streams.console.going import keep_going, let_go
from streams.console.view import View
from topics import limits
from topics.catalog import (
    ALERTS,
    DEAD_LETTERS,
    DECISIONS,
    ESCALATIONS_FLAGSHIP,
    ESCALATIONS_MINI,
    RESOLUTIONS,
    SPEND,
    Names,
    Topic,
)

_REST: Final = (ESCALATIONS_MINI, ESCALATIONS_FLAGSHIP, RESOLUTIONS, ALERTS, SPEND, DEAD_LETTERS)
_LOOKBACK: Final[Mapping[str, int]] = {
    DECISIONS.name: limits.CONSOLE_LOOKBACK_RECORDS,
    ESCALATIONS_MINI.name: limits.CONSOLE_LOOKBACK_RECORDS,
    ESCALATIONS_FLAGSHIP.name: limits.CONSOLE_LOOKBACK_RECORDS,
    RESOLUTIONS.name: limits.CONSOLE_LOOKBACK_RECORDS,
    SPEND.name: limits.CONSOLE_SPEND_LOOKBACK_RECORDS,
    DEAD_LETTERS.name: limits.CONSOLE_LETTERS_LOOKBACK_RECORDS,
}
_POLL_MS, _FETCH_WAIT_MS = 250, 50


async def follow(view: View, brokers: Brokers, names: Names, clock: Clock) -> None:
    """Until cancelled. A broker that is away, or topics that are not there yet, are waited for and told on the page."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_follow(view, brokers, names, clock, (DECISIONS,)))
        tasks.create_task(_follow(view, brokers, names, clock, _REST))


async def _follow(view: View, brokers: Brokers, names: Names, clock: Clock, topics: Sequence[Topic]) -> None:
    """What was read is not read again after a failure: the reader goes on where it was."""
    reader = _Reader(view, names, clock, topics)
    view.troubles[reader.name] = "not connected to Kafka yet"

    async def run() -> None:
        await topics_admin.reach(brokers)
        consumer = AIOKafkaConsumer(
            **brokers.client_options,
            client_id="sluice-console",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # of what expires while it is read
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=limits.CONSOLE_FETCH_BYTES,
            metadata_max_age_ms=int(limits.CONSOLE_METADATA_SECONDS * 1000),
        )
        try:
            await consumer.start()
            await reader.run(consumer)
        finally:
            await let_go(consumer)

    def failed(why: str) -> None:
        view.troubles[reader.name] = why

    await keep_going(run, clock, otherwise="the console reads nothing for now", on_failure=failed)


@dataclass(slots=True)
class _Span:
    """A partition as far as it is read."""

    next: int
    passed_over: bool  # whether earlier records exist that were not read
    first_ms: int | None = None  # of the first record that was read


class _Reader:
    def __init__(self, view: View, names: Names, clock: Clock, topics: Sequence[Topic]) -> None:
        self.name = topics[0].name
        self._view = view
        self._clock = clock
        self._topics = {names.topic(topic): topic for topic in topics}
        self._sampled = DECISIONS in topics
        self._spans: dict[TopicPartition, _Span] = {}

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        looked_s = self._clock.monotonic()
        await self._assign(consumer)
        self._view.troubles.pop(self.name, None)
        while True:
            if self._clock.monotonic() - looked_s > limits.CONSOLE_METADATA_SECONDS:
                looked_s = self._clock.monotonic()
                await self._assign(consumer)
            began_s = self._clock.monotonic()
            polled = await consumer.getmany(timeout_ms=_POLL_MS, max_records=limits.CONSOLE_BATCH_RECORDS)
            for partition, records in polled.items():
                self._take(partition, records)
            self._say_since()
            if self._sampled:
                self._skip(consumer)
                due_s = sum(map(len, polled.values())) / limits.CONSOLE_DECISIONS_PER_SECOND_MAX
                await self._clock.sleep(max(0.0, due_s - (self._clock.monotonic() - began_s)))
            else:
                await asyncio.sleep(0)

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        """All partitions that are there; those that are new to it from where the lookback begins."""
        cluster = await consumer._client.fetch_all_metadata()
        found = [TopicPartition(t, p) for t in self._topics for p in sorted(cluster.partitions_for_topic(t) or ())]
        if missing := [topic for topic in self._topics if not cluster.partitions_for_topic(topic)]:
            raise LookupError(f"topic {', '.join(missing)} is missing: `sluice topics apply` creates it")
        if consumer.assignment() == set(found):
            return
        ends, firsts = await consumer.end_offsets(found), await consumer.beginning_offsets(found)
        today = await self._today(consumer, [at for at in found if self._topics[at.topic] is SPEND])
        parts = Counter(at.topic for at in found)
        consumer.assign(found)
        for at in found:
            span = self._spans.get(at)
            if span is None or span.next > ends[at]:  # new, or made anew
                back = _LOOKBACK.get(self._topics[at.topic].name)  # alerts: all, as an old one may still fire
                near_end = 0 if back is None else ends[at] - back // parts[at.topic]
                start = max(firsts[at], near_end, today.get(at, 0))
                span = self._spans[at] = _Span(start, start > max(firsts[at], today.get(at, 0)))
            consumer.seek(at, span.next)

    async def _today(self, consumer: AIOKafkaConsumer, spend: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the day begins (UTC), or the hour before now where that is earlier: both are shown."""
        if not spend:
            return {}
        now_s = self._clock.time()
        midnight = datetime.fromtimestamp(now_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        since_ms = int(min(midnight, now_s - 3_600) * 1000)
        ends = await consumer.end_offsets(list(spend))
        found = await consumer.offsets_for_times(dict.fromkeys(spend, since_ms))
        return {at: ends[at] if place is None else place.offset for at, place in found.items()}

    def _skip(self, consumer: AIOKafkaConsumer) -> None:
        """Passes over a part where it is too far behind, the same share of every partition."""
        behind = {at: max(0, (consumer.last_stable_offset(at) or 0) - span.next) for at, span in self._spans.items()}
        if (total := sum(behind.values())) <= limits.CONSOLE_DECISIONS_BEHIND_MAX:
            return
        kept = limits.CONSOLE_DECISIONS_PER_SECOND_MAX / total
        for at, records in behind.items():
            if passed := records - int(records * kept):
                self._spans[at].next += passed
                consumer.seek(at, self._spans[at].next)
                self._view.skipped(passed)

    def _say_since(self) -> None:
        """From when on all is counted: the latest beginning of a partition that was not read from its first record."""
        for topic in (DECISIONS, SPEND):
            spans = [span for at, span in self._spans.items() if self._topics[at.topic] is topic]
            begun = [span.first_ms for span in spans if span.first_ms is not None]
            cut = [span.first_ms for span in spans if span.passed_over and span.first_ms is not None]
            since_ms = max(cut) if cut else min(begun, default=0)
            if topic is DECISIONS and spans:
                self._view.decisions_since_ms = since_ms
            elif spans:
                self._view.spend_since_ms = max(cut, default=0)

    def _take(self, at: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        span, topic = self._spans[at], self._topics[at.topic]
        span.next = records[-1].offset + 1
        span.first_ms = records[0].timestamp if span.first_ms is None else span.first_ms
        for record in records:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # whatever somebody wrote there
                self._one(topic, record)

    def _one(self, topic: Topic, record: ConsumerRecord) -> None:
        view, at_ms = self._view, record.timestamp
        if topic is DEAD_LETTERS:
            view.dead_letter(record, at_ms)
        elif topic is ALERTS:
            value = None if record.value is None else orjson.loads(record.value)
            view.alert((record.key or b"").decode(errors="replace"), value, at_ms)
        elif record.value is not None:
            value = orjson.loads(record.value)
            if topic is DECISIONS:
                view.decision(value, at_ms)
            elif topic is RESOLUTIONS:
                view.resolution(value, at_ms)
            elif topic is SPEND:
                view.spend(value)
            else:
                view.escalation(value, at_ms)
