"""Topics of a bench on a local Kafka: made, filled, read back."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.partitioner import murmur2
from aiokafka.structs import TopicPartition

from streams import topics_admin
from streams.brokers import Brokers
from topics.limits import OUTPUT_BATCH_BYTES, TOPIC_CREATION_SECONDS_MAX

_POLL_MS = 1_000
_BATCHES_AT_ONCE = 64
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    partitions: int

    @property
    def all(self) -> list[TopicPartition]:
        return [TopicPartition(self.name, partition) for partition in range(self.partitions)]


async def create(
    brokers: str,
    topic: Topic,
    *,
    timestamps: Literal["LogAppendTime", "CreateTime"] = "LogAppendTime",
    message_bytes_max: int = 1 << 20,
) -> None:
    """A topic whose records bear the time of their arrival at the broker, or the producer's."""
    config = {"message.timestamp.type": timestamps, "max.message.bytes": str(message_bytes_max)}
    async with topics_admin.connected(Brokers(brokers)) as admin:
        await admin.create_topics([NewTopic(topic.name, topic.partitions, 1, topic_configs=config)])
        async with asyncio.timeout(TOPIC_CREATION_SECONDS_MAX):
            while topic.name not in await topics_admin.existing(admin, [topic.name]):  # noqa: ASYNC110 no event tells
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    async with reader(brokers) as consumer:
        await ends(consumer, topic)  # answers when every partition's leader does


async def delete(brokers: str, topic: Topic) -> None:
    async with topics_admin.connected(Brokers(brokers)) as admin:
        await admin.delete_topics([topic.name])


async def fill(brokers: str, topic: Topic, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Writes records (key, value), each to its key's partition."""
    partitions: dict[bytes, int] = {}
    batches: dict[int, Any] = {}
    sent: list[asyncio.Future[Any]] = []
    async with AIOKafkaProducer(bootstrap_servers=brokers, max_batch_size=OUTPUT_BATCH_BYTES) as producer:
        for key, value in records:
            if (partition := partitions.get(key)) is None:
                partition = partitions[key] = (murmur2(key) & 0x7FFFFFFF) % topic.partitions
            if (batch := batches.get(partition)) is None:
                batch = batches[partition] = producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value) is None:
                sent.append(await producer.send_batch(batch, topic.name, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
            if len(sent) == _BATCHES_AT_ONCE:
                await asyncio.gather(*sent)
                sent.clear()
        for partition, batch in batches.items():
            sent.append(await producer.send_batch(batch, topic.name, partition=partition))
        await asyncio.gather(*sent)


def reader(
    brokers: str, isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
) -> AIOKafkaConsumer:
    """A consumer without a group, an async context manager."""
    return AIOKafkaConsumer(
        bootstrap_servers=brokers,
        isolation_level=isolation_level,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 << 20,
    )


async def ends(reader: AIOKafkaConsumer, topic: Topic) -> Mapping[int, int]:
    """By partition, as the reader's isolation has it; the markers of transactions count too."""
    found = await reader.end_offsets(topic.all)
    return {at.partition: end for at, end in found.items()}


async def read(reader: AIOKafkaConsumer, topic: Topic) -> AsyncIterator[Any]:
    """All records of the topic, as of now."""
    last = await reader.end_offsets(topic.all)
    reader.assign(topic.all)
    while any([await reader.position(at) < end for at, end in last.items()]):
        for records in (await reader.getmany(timeout_ms=_POLL_MS)).values():
            for record in records:
                yield record
