"""Sends lines to a topic: `journalctl -f | python examples/produce_logs.py logs`."""

import asyncio
import os
import sys

from aiokafka import AIOKafkaProducer


async def main(topic: str) -> None:
    """One record a line of standard input, until it ends."""
    producer = AIOKafkaProducer(bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"))
    async with producer:
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            await producer.send_and_wait(topic, line.rstrip(b"\r\n"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
