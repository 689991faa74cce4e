"""Quix Streams: a StreamingDataFrame that answers from memory, at least once or exactly once, or waits for a call."""

import time
from typing import Any

from quixstreams import Application, message_context  # type: ignore[import-not-found]

from bench.peers.job import CALL_SECONDS, Memory, Task


def main(task: Task) -> None:
    app = Application(
        broker_address=task.brokers,
        consumer_group=task.output,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once" if task.mode == "exactly_once" else "at-least-once",
        auto_create_topics=False,
        state_dir=task.memory.parent / task.output,
        loglevel="WARNING",
    )
    memory = Memory(task.memory)
    source = app.topic(task.input, key_deserializer="bytes", value_deserializer="bytes")
    sink = app.topic(task.output, key_serializer="bytes", value_serializer="bytes")

    def decide(value: bytes, key: bytes, timestamp_ms: int, headers: Any) -> bytes:  # noqa: ARG001
        if task.mode == "calls":
            time.sleep(CALL_SECONDS)
        at = message_context()
        return memory.decide(at.topic, at.partition, at.offset, timestamp_ms, key, value)

    app.dataframe(source).apply(decide, metadata=True).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main(Task.told())
