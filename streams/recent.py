"""Feeds the agents' store of recent messages: the policy's inputs, and the labels that triage gave them.

Best effort, outside any group: it commits nothing, begins a bounded way back, and where more comes than a worker can
afford it skips toward the end and tells the store so. A record may be read twice; the store keeps it once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.agents.recent import Recent
from processors.items import Item
from processors.normalise.normaliser import Normaliser, normaliser_for
from processors.policy import Policy
from streams.brokers import Brokers
from streams.framed import Framed
from topics import limits
from topics.catalog import DECISIONS
from topics.messages import Rejected
from topics.records import Record

log = logging.getLogger("sluice.recent")


async def follow(
    store: Recent, brokers: Brokers, policy: Policy, stop: asyncio.Event, framed: Framed | None = None
) -> None:
    """Feeds `store` until `stop` is set.

    Waits for a broker that is away; finds new partitions within RECENT_METADATA_SECONDS. Cancelled, it leaves nothing.
    """
    normalisers = {
        topic: normaliser_for(name, stream) for name, stream in policy.streams.items() for topic in stream.topics
    }
    decisions = policy.kafka.names.topic(DECISIONS)
    while not stop.is_set():
        consumer = AIOKafkaConsumer(
            *normalisers,
            decisions,
            **brokers.client_options,
            client_id="sluice-recent",
            group_id=None,
            isolation_level="read_committed",
            auto_offset_reset="latest",
            metadata_max_age_ms=limits.RECENT_METADATA_SECONDS * 1000,
            max_poll_records=limits.RECENT_BATCH_RECORDS,
        )
        try:
            await consumer.start()
            await _Feed(store, consumer, normalisers, decisions, framed).run(stop)
        except Exception as error:  # noqa: BLE001 the feed is best effort: agents go on without it
            log.warning("recent messages are not followed for now", extra={"error": repr(error)})
            await _pause(stop, limits.RECENT_RETRY_SECONDS)
        finally:
            await consumer.stop()


class _Feed:
    """What one consumer reads, into the store."""

    def __init__(
        self,
        store: Recent,
        consumer: AIOKafkaConsumer,
        normalisers: Mapping[str, Normaliser],
        decisions: str,
        framed: Framed | None,
    ) -> None:
        self._store = store
        self._consumer = consumer
        self._normalisers = normalisers
        self._decisions = decisions
        self._framed = framed
        self._next: dict[TopicPartition, int] = {}  # the offset to be read next
        self._passed_over: set[TopicPartition] = set()  # earlier records exist that were not read

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            assigned = self._consumer.assignment()
            if assigned != self._next.keys():  # at the start and when partitions are added: the positions are lost
                await self._go_back(assigned, limits.RECENT_LOOKBACK_RECORDS)
            polled = await self._consumer.getmany(timeout_ms=500)
            for partition, records in polled.items():
                await self._take(partition, records)
            if self._behind() > limits.RECENT_LOOKBACK_RECORDS:  # new messages tell an agent more than old ones
                await self._go_back(assigned, limits.RECENT_LOOKBACK_RECORDS // 2)
            await _pause(stop, sum(map(len, polled.values())) / limits.RECENT_RECORDS_PER_SECOND_MAX)

    async def _go_back(self, partitions: set[TopicPartition], records: int) -> None:
        """To so many records before the end, of all partitions together."""
        first = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        for partition in partitions:
            start = max(first[partition], end[partition] - records // len(partitions))
            if start > self._next.get(partition, first[partition]):
                self._passed_over.add(partition)
            self._consumer.seek(partition, start)
            self._next[partition] = start

    def _behind(self) -> int:
        """Records that are there and not read."""
        ends = ((self._consumer.highwater(partition), offset) for partition, offset in self._next.items())
        return sum(max(end - offset, 0) for end, offset in ends if end is not None)

    async def _take(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        self._next[partition] = records[-1].offset + 1
        if partition.topic == self._decisions:
            self._store.label(_labels(records))
            return
        if partition in self._passed_over:
            self._passed_over.remove(partition)
            self._store.incomplete_until(records[0].timestamp)
        small: Sequence[Record] = [r for r in records if len(r.value or b"") <= limits.RECENT_VALUE_BYTES_MAX]
        if self._framed is not None:
            plain = [await self._framed.natural(record) for record in small]
            small = [record for record in plain if not isinstance(record, Rejected)]
        read = map(self._normalisers[partition.topic].read, small)
        self._store.add(item for item in read if isinstance(item, Item))


def _labels(records: Sequence[ConsumerRecord]) -> Iterator[tuple[str, str, str | None]]:
    for record in records:
        with contextlib.suppress(ValueError, KeyError, TypeError):  # whatever somebody wrote there, this goes on
            decision = orjson.loads(record.value or b"")
            severity = decision["severity"]
            yield str(decision["id"]), str(decision["label"]), None if severity is None else str(severity)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Waits, though not beyond `stop`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
