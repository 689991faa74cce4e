"""What tests do with a broker: create topics, produce, read everything."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams import topics_admin
from streams.brokers import Brokers
from topics.catalog import Names

READ_SECONDS_MAX = 30.0
FETCH_WAIT_MS = 20  # a consumer's stop waits for its last fetch

# For brokers that a test kills: a new one waits until the session of the old is over, nine seconds by default.
SOON_BACK = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}

Isolation = Literal["read_committed", "read_uncommitted"]


@dataclass(frozen=True, slots=True)
class Send:
    """A record to produce. Without a partition the key decides, as in Java; without both, aiokafka picks."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Bus:
    """A broker, and the prefix that keeps one test's names apart from another's."""

    brokers: Brokers
    prefix: str

    @property
    def bootstrap_servers(self) -> str:
        return self.brokers.bootstrap_servers

    @property
    def names(self) -> Names:
        """For code that takes the names of owned topics, groups and transactional ids."""
        return Names(self.prefix)

    async def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Creates a topic; gives its full name, which can be written to at once."""
        full = self.prefix + name
        admin = AIOKafkaAdminClient(**self.brokers.client_options)
        try:
            await admin.start()
            response = await admin.create_topics([NewTopic(full, partitions, 1, topic_configs=dict(config or {}))])
        finally:
            await admin.close()
        assert response.topic_errors[0][1] == 0, response.topic_errors
        return full

    async def owned(self, partitions: int = 1, inputs: Iterable[str] = ()) -> None:
        """Creates all topics that Sluice owns, and `inputs` (full names)."""
        await topics_admin.apply(
            self.brokers, self.names, partitions=partitions, replication_factor=1, inputs=list(inputs)
        )

    async def produce(self, topic: str, records: Iterable[Send | bytes]) -> None:
        """Writes records in order to a topic (full name); returns when the broker has them."""
        async with AIOKafkaProducer(**self.brokers.client_options, max_request_size=100 << 20) as producer:
            sent = [
                await producer.send(topic, r.value, r.key, partition=r.partition, headers=list(r.headers))
                for r in (record if isinstance(record, Send) else Send(record) for record in records)
            ]
            await asyncio.gather(*sent)

    async def read(self, topic: str, isolation: Isolation = "read_committed") -> list[ConsumerRecord]:
        """All records of a topic (full name) that are there now: by partition, then by offset."""
        consumer = AIOKafkaConsumer(
            **self.brokers.client_options,
            isolation_level=isolation,
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        async with consumer, asyncio.timeout(READ_SECONDS_MAX):
            await topics_admin.assign(consumer, [topic], from_beginning=True)
            ends = await consumer.end_offsets(list(consumer.assignment()))
            found = []
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    batches = await consumer.getmany(timeout_ms=100)
                    found += [record for batch in batches.values() for record in batch]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def values(self, topic: str, isolation: Isolation = "read_committed") -> list[bytes | None]:
        """The values of `read`."""
        return [record.value for record in await self.read(topic, isolation)]
