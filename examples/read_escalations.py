"""Prints escalations as they come: `python examples/read_escalations.py [--max N]`, while `sluice up` runs."""

import argparse
import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer


async def main(most: int | None) -> None:
    """Prints id, reason, label and text of each escalation; ends after `most` of them."""
    consumer = AIOKafkaConsumer(
        "sluice.escalations.mini",
        "sluice.escalations.flagship",
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        isolation_level="read_committed",  # what an aborted transaction wrote does not count
        auto_offset_reset="earliest",
    )
    async with consumer:
        seen = 0
        async for record in consumer:
            escalation = json.loads(record.value)
            label = escalation["verdicts"][-1]["label"]
            print(escalation["id"], escalation["to"], escalation["reason"], label, escalation["text"][:200], sep=" | ")
            seen += 1
            if seen == most:
                return


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--max", type=int, help="end after so many")
    asyncio.run(main(arguments.parse_args().max))
