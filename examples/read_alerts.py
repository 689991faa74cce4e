"""Prints alerts as they change: `python examples/read_alerts.py [--max N]`.

Each record is the whole alert as it is now. The newest revision holds; a tombstone says that it may be forgotten. From
the topic's beginning, so that what has been firing for long is known as well.
"""

import argparse
import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer


async def main(most: int | None) -> None:
    """Prints status, severity, name, revision, count and summary of each change; ends after `most` of them."""
    consumer = AIOKafkaConsumer(
        "sluice.alerts",
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    firing: dict[str, dict[str, object]] = {}  # by alert id
    revisions: dict[str, int] = {}  # by alert id: what was seen last
    async with consumer:
        seen = 0
        async for record in consumer:
            alert_id = record.key.decode()
            if record.value is None:
                firing.pop(alert_id, None)
                revisions.pop(alert_id, None)
                continue
            alert = json.loads(record.value)
            if alert["revision"] <= revisions.get(alert_id, 0):
                continue  # told again after a crash
            revisions[alert_id] = alert["revision"]
            if alert["status"] == "firing":
                firing[alert_id] = alert
            else:
                firing.pop(alert_id, None)
            labels, told = alert["labels"], alert["annotations"].get("summary", "")
            name = f"{labels['severity']} {labels['alertname']} in {labels['stream']}"
            change = f"revision {alert['revision']}, {alert['count']} messages"
            print(alert["status"], name, change, f"{len(firing)} firing", told, sep=" | ", flush=True)
            seen += 1
            if seen == most:
                return


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--max", type=int, help="end after so many")
    asyncio.run(main(arguments.parse_args().max))
