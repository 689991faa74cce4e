"""aiokafka alone, at least once: `send` for each record, as most programs do it, or batches built by hand."""

import asyncio
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

from bench.peers.job import Memory, Task

_COMMIT_SECONDS = 1.0
_BATCH_BYTES = 256 * 1024
_POLL_RECORDS = 2_000


async def main(task: Task) -> None:
    memory = Memory(task.memory)
    consumer = AIOKafkaConsumer(
        task.input,
        bootstrap_servers=task.brokers,
        group_id=task.output,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=task.brokers, acks="all", max_batch_size=_BATCH_BYTES)
    async with consumer, producer:
        write = {"send": _send, "batches": _send_batches}[task.mode]
        sent: list[asyncio.Future[Any]] = []
        loop = asyncio.get_running_loop()
        committed_at = loop.time()
        while True:
            for records in (await consumer.getmany(timeout_ms=200, max_records=_POLL_RECORDS)).values():
                outputs = [
                    (r.key, memory.decide(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)) for r in records
                ]
                sent += await write(producer, task.output, outputs)
            if loop.time() - committed_at >= _COMMIT_SECONDS:
                await asyncio.gather(*sent)
                sent.clear()
                await consumer.commit()
                committed_at = loop.time()


async def _send(
    producer: AIOKafkaProducer, topic: str, outputs: list[tuple[bytes, bytes]]
) -> list[asyncio.Future[Any]]:
    return [await producer.send(topic, value, key) for key, value in outputs]


async def _send_batches(
    producer: AIOKafkaProducer, topic: str, outputs: list[tuple[bytes, bytes]]
) -> list[asyncio.Future[Any]]:
    count = len(await producer.partitions_for(topic))
    batches: dict[int, Any] = {}
    sent = []
    for key, value in outputs:
        partition = _hash(key) % count
        batch = batches.get(partition) or batches.setdefault(partition, producer.create_batch())
        if batch.append(timestamp=None, key=key, value=value) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batches[partition] = batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)
    for partition, batch in batches.items():
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


@lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


if __name__ == "__main__":
    asyncio.run(main(Task.told()))
