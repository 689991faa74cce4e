"""Faust (faust-streaming): an agent that answers from memory, or one of many that each wait for a call."""

import asyncio

import faust

from bench.peers.job import CALL_SECONDS, CONCURRENCY, Memory, Task


def main(task: Task) -> None:
    app = faust.App(
        task.output,
        broker=f"kafka://{task.brokers}",
        processing_guarantee="exactly_once" if task.mode == "exactly_once" else "at_least_once",
        value_serializer="raw",
        key_serializer="raw",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=task.memory.parent / task.output,
    )
    memory = Memory(task.memory)
    source = app.topic(task.input, key_type=bytes, value_type=bytes)
    sink = app.topic(task.output, key_type=bytes, value_type=bytes)

    async def decide(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            if task.mode == "calls":
                await asyncio.sleep(CALL_SECONDS)
            m = event.message
            offset = m.offset
            decision = memory.decide(m.topic, m.partition, offset, int(m.timestamp * 1000), event.key, event.value)
            await sink.send(key=event.key, value=decision)

    app.agent(source, concurrency=CONCURRENCY if task.mode == "calls" else 1)(decide)
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(Task.told())
