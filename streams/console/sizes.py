"""How long a stream's messages are, as a model would be shown them: a small sample of its inputs, now and then."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from processors.clock import Clock
from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from streams import topics_admin
from streams.brokers import Brokers
from streams.console.going import keep_going, let_go
from topics import limits
from topics.records import Record

_SECONDS_MAX = 3.0  # one sample
_FETCH_WAIT_MS = 50


class Sizes:
    """Means of the last sizes of each stream."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._bytes: dict[str, deque[int]] = {name: deque(maxlen=limits.CONSOLE_SIZES_KEPT) for name in policy.streams}

    def mean_bytes(self, stream: str) -> float | None:
        """Of a message's text in UTF-8; None where none was seen."""
        seen = self._bytes[stream]
        return sum(seen) / len(seen) if seen else None

    def count(self, stream: str) -> int:
        """How many the mean is of."""
        return len(self._bytes[stream])

    def measure(self, stream: str, records: Iterable[Record]) -> None:
        """Those that are judged. A conversation is measured from where the sample begins: rather too short."""
        normaliser = normaliser_for(stream, self._policy.streams[stream])
        for record in records:
            if len(record.value or b"") <= limits.RECENT_VALUE_BYTES_MAX:
                item = normaliser.read(record)
                if isinstance(item, Item):
                    self._bytes[stream].append(len(item.text.encode(errors="replace")))


async def sample(sizes: Sizes, brokers: Brokers, policy: Policy, clock: Clock, rng: random.Random) -> None:
    """Until cancelled. Best effort, as what it is for is an estimate."""

    async def run() -> None:
        consumer = AIOKafkaConsumer(
            **brokers.client_options,
            client_id="sluice-console-sizes",
            isolation_level="read_committed",
            enable_auto_commit=False,
            max_partition_fetch_bytes=limits.CONSOLE_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            while True:
                await _round(sizes, consumer, brokers, policy, rng)
                seen = any(map(sizes.count, policy.streams))
                await clock.sleep(limits.CONSOLE_SIZES_SECONDS if seen else limits.CONSOLE_RETRY_SECONDS)
        finally:
            await let_go(consumer)

    await keep_going(run, clock, otherwise="the size of messages is not sampled for now")


async def _round(
    sizes: Sizes, consumer: AIOKafkaConsumer, brokers: Brokers, policy: Policy, rng: random.Random
) -> None:
    """The last records of some partitions."""
    topics = [topic for stream in policy.streams.values() for topic in stream.topics]
    async with topics_admin.connected(brokers) as admin:
        there = await topics_admin.existing(admin, (), topics)
    partitions = [TopicPartition(name, number) for name, found in there.items() for number in range(found.partitions)]
    chosen = rng.sample(partitions, min(len(partitions), limits.CONSOLE_SIZES_PARTITIONS_MAX))
    if not chosen:
        return
    ends, first = await consumer.end_offsets(chosen), await consumer.beginning_offsets(chosen)
    consumer.assign(chosen)
    left = {at for at in chosen if ends[at] > first[at]}
    for at in chosen:
        consumer.seek(at, max(first[at], ends[at] - limits.CONSOLE_SIZES_RECORDS))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_MAX):
            while left:
                polled = await consumer.getmany(*left, timeout_ms=200, max_records=limits.CONSOLE_BATCH_RECORDS)
                for at, records in polled.items():
                    sizes.measure(policy.stream_of(at.topic), records)
                left -= {at for at in left if at in polled or await consumer.position(at) >= ends[at]}
    consumer.pause(*chosen)  # nothing is fetched until the next round
