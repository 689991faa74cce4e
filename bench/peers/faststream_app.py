"""FastStream: one record at a time as it comes by default, whole batches, or many calls at once."""

import asyncio
from collections import defaultdict
from typing import Any

from faststream import AckPolicy, FastStream  # type: ignore[import-not-found]
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage  # type: ignore[import-not-found]

from bench.peers.job import CALL_SECONDS, CONCURRENCY, Memory, Task

_BATCH_RECORDS = 4_000
_BATCH_BYTES = 1 << 20
_PUBLISH_RECORDS = 1_000  # one batch of Kafka, which must not exceed _BATCH_BYTES


def main(task: Task) -> None:
    memory = Memory(task.memory)
    by_hand = {"max_batch_size": _BATCH_BYTES} if task.mode == "batch" else {}
    broker = KafkaBroker(task.brokers, acks="all", apply_types=False, logger=None, **by_hand)
    source: dict[str, Any] = {"group_id": task.output, "auto_offset_reset": "earliest", "decoder": _raw}
    batches = {"batch": True, "ack_policy": AckPolicy.ACK}

    def decided(record: Any) -> bytes:
        return memory.decide(record.topic, record.partition, record.offset, record.timestamp, record.key, record.value)

    async def decide(record: Any) -> None:
        await broker.publish(decided(record), task.output, key=record.key, no_confirm=True)

    async def decide_batch(records: tuple[Any, ...]) -> None:
        """Input and output have as many partitions, and both follow from the key."""
        decisions: dict[int, list[KafkaPublishMessage]] = defaultdict(list)
        for record in records:
            decisions[record.partition].append(KafkaPublishMessage(decided(record), key=record.key))
        await asyncio.gather(
            *(
                broker.publish_batch(
                    *messages[first : first + _PUBLISH_RECORDS], topic=task.output, partition=partition
                )
                for partition, messages in decisions.items()
                for first in range(0, len(messages), _PUBLISH_RECORDS)
            )
        )

    async def call(record: Any) -> None:
        await asyncio.sleep(CALL_SECONDS)
        await decide(record)

    async def call_confirmed(record: Any) -> None:
        await asyncio.sleep(CALL_SECONDS)
        await broker.publish(decided(record), task.output, key=record.key)

    async def call_batch(records: tuple[Any, ...]) -> None:
        await asyncio.gather(*map(call_confirmed, records))

    match task.mode:
        case "one":
            broker.subscriber(task.input, **source)(decide)
        case "batch":
            broker.subscriber(task.input, **source, **batches, max_records=_BATCH_RECORDS)(decide_batch)
        case "calls":
            broker.subscriber(task.input, **source, max_workers=CONCURRENCY)(call)
        case "call_batches":
            broker.subscriber(task.input, **source, **batches, max_records=CONCURRENCY)(call_batch)
    asyncio.run(FastStream(broker, logger=None).run())


async def _raw(message: KafkaMessage) -> Any:
    """The handler gets Kafka's records as they are."""
    return message.raw_message


if __name__ == "__main__":
    main(Task.told())
