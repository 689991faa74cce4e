"""What the workers are given: mostly records that are decided at once, some that ask a model, a few that fail."""

import asyncio
import random
from typing import Literal, NamedTuple

from aiokafka import AIOKafkaProducer

from tests.kafka.bus import Bus

KEYS = 200  # a partition
_BATCH_RECORDS = 250


class Job(NamedTuple):
    """What a record asks of a worker. It is the record's value: checks read it there again."""

    kind: Literal["free", "asked", "refused", "rejected"]
    ms: int = 0  # that the model takes
    failures: int = 0  # of the model's first answers

    @property
    def dies(self) -> bool:
        """Whether it has to end as a dead letter; every other one as a decision."""
        return self.kind in ("refused", "rejected")

    def value(self) -> bytes:
        return b"%s %d %d" % (self.kind.encode(), self.ms, self.failures)

    @classmethod
    def of(cls, value: bytes) -> "Job":
        kind, ms, failures = value.split()
        return cls(kind.decode(), int(ms), int(failures))  # type: ignore[arg-type]


def job(rng: random.Random) -> Job:
    """At random: 90 of 100 free, 9 asked, the rest fails once or twice, or for good."""
    ms = rng.randint(5, 300)
    chance = rng.random() * 100
    if chance < 90:
        return Job("free")
    if chance < 99:
        return Job("asked", ms)
    if chance < 99.5:
        return Job("asked", ms, failures=rng.randint(1, 2))
    if chance < 99.75:
        return Job("refused", ms)
    return Job("rejected")


async def feed(bus: Bus, topic: str, count: int, seconds: float, rng: random.Random) -> None:
    """Writes `count` records to the partitions of `topic` in turn, in batches spread over so many seconds.

    A broker that is away for a while is waited for.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with AIOKafkaProducer(bootstrap_servers=bus.bootstrap_servers) as producer:
        partitions = len(await producer.partitions_for(topic))
        for number, first in enumerate(range(0, count, _BATCH_RECORDS)):
            await asyncio.sleep(max(0.0, began + seconds * first / count - loop.time()))
            partition = number % partitions
            batch = producer.create_batch()
            for _ in range(min(_BATCH_RECORDS, count - first)):
                key = b"%d.%d" % (partition, rng.randrange(KEYS))
                assert batch.append(timestamp=None, key=key, value=job(rng).value())
            await (await producer.send_batch(batch, topic, partition=partition))
