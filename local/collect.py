"""Reads what the stages write, as any consumer would, and keeps count: for the demo's report and for `sluice eval`."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from streams import topics_admin
from streams.brokers import Brokers
from topics.catalog import (
    ALERTS,
    DEAD_LETTERS,
    DECISIONS,
    ESCALATIONS_FLAGSHIP,
    ESCALATIONS_MINI,
    RESOLUTIONS,
    SPEND,
    Names,
    Topic,
)

_READ = (DECISIONS, ESCALATIONS_MINI, ESCALATIONS_FLAGSHIP, RESOLUTIONS, ALERTS, SPEND, DEAD_LETTERS)


@dataclass(slots=True)
class Collected:
    """Everything a read_committed consumer saw so far. Ids are message ids."""

    inputs: set[str] = field(default_factory=set)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    dead: dict[str, str] = field(default_factory=dict)  # inputs that became dead letters → reason
    dead_escalations: dict[str, dict[str, str]] = field(default_factory=lambda: {"mini": {}, "flagship": {}})
    decided_by: Counter[str] = field(default_factory=Counter)
    doubled: list[str] = field(default_factory=list)  # ids with a second decision, resolution or dead letter
    escalated: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"mini": {}, "flagship": {}})
    resolutions: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {"mini": {}, "flagship": {}})
    spent_usd_micros: Counter[str] = field(default_factory=Counter)  # by tier
    calls: Counter[str] = field(default_factory=Counter)  # by tier
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by alert id, as told last
    alerts_told: int = 0  # revisions of them all
    last_output_ms: int = 0

    @property
    def undecided(self) -> int:
        """Inputs with neither a decision nor a dead letter."""
        return len(self.inputs - self.decisions.keys() - self.dead.keys())

    @property
    def unresolved(self) -> int:
        """Escalations that no agent has ended yet."""
        return len(self.escalated["mini"].keys() - self._ended("mini")) + len(
            self.escalated["flagship"].keys() - self._ended("flagship")
        )

    def _ended(self, tier: str) -> set[str]:
        ended = self.resolutions[tier].keys() | self.dead_escalations[tier].keys()
        if tier == "mini":
            ended |= self._sent_on
        return ended

    @property
    def climbed_on(self) -> int:
        """Escalations that a mini agent passed to a flagship."""
        return len(self._sent_on)

    @property
    def _sent_on(self) -> set[str]:
        return {id for id, escalation in self.escalated["flagship"].items() if _by_mini(escalation)}

    @property
    def alerts_by_status(self) -> dict[str, int]:
        return dict(Counter(alert["status"] for alert in self.alerts.values()))

    @property
    def done(self) -> bool:
        """All but alerts, of which nobody knows whether another one comes."""
        return self.undecided == 0 and self.unresolved == 0


def _by_mini(escalation: dict[str, Any]) -> bool:
    """Whether a mini agent sent it up, rather than triage."""
    return any(verdict["tier"] == "mini" for verdict in escalation["verdicts"])


class Collector:
    """Reads Sluice's topics from their beginning into a Collected, until cancelled."""

    def __init__(self, brokers: Brokers, names: Names) -> None:
        self.seen = Collected()
        self._brokers = brokers
        self._by_topic: dict[str, Topic] = {names.topic(topic): topic for topic in _READ}
        self._escalation_topics = {names.topic(ESCALATIONS_MINI): "mini", names.topic(ESCALATIONS_FLAGSHIP): "flagship"}

    async def run(self) -> None:
        """Raises what the client raises; leaves what was read in `seen`."""
        consumer = AIOKafkaConsumer(
            **self._brokers.client_options,
            isolation_level="read_committed",
            enable_auto_commit=False,
            client_id="sluice-collect",
        )
        await consumer.start()
        try:
            await topics_admin.assign(consumer, list(self._by_topic), from_beginning=True)
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=200, max_records=20_000)).items():
                    topic = self._by_topic[partition.topic]
                    for number, record in enumerate(records):
                        self._take(topic, record)
                        if number % 2_000 == 1_999:
                            await asyncio.sleep(0)  # the stages may share this event loop
        finally:
            await consumer.stop()

    def _take(self, topic: Topic, record: Any) -> None:
        seen = self.seen
        if topic is DEAD_LETTERS:
            self._dead(dict(record.headers), record.value)
            return
        if record.value is None:
            return  # an alert's tombstone
        value = orjson.loads(record.value)
        if topic is SPEND:
            seen.spent_usd_micros[value["tier"]] += value["usd_micros"]
            seen.calls[value["tier"]] += 1
            return
        if topic is ALERTS:
            seen.alerts[value["id"]] = value
            seen.alerts_told += 1
            return
        seen.last_output_ms = max(seen.last_output_ms, record.timestamp)
        if topic is DECISIONS:
            self._once(seen.decisions, value["id"], value)
            seen.decided_by[value["decided_by"]] += 1
        elif topic is RESOLUTIONS:
            self._once(seen.resolutions[value["tier"]], value["id"], value)
        else:
            self._once(seen.escalated[value["to"]], value["id"], value)

    def _dead(self, headers: dict[str, bytes], value: bytes) -> None:
        topic, partition, offset = (
            headers[f"sluice.origin.{part}"].decode() for part in ("topic", "partition", "offset")
        )
        reason = headers["sluice.reason"].decode()
        if tier := self._escalation_topics.get(topic):
            self._once(self.seen.dead_escalations[tier], orjson.loads(value)["id"], reason)
        else:
            self._once(self.seen.dead, f"{topic}/{partition}/{offset}", reason)

    def _once(self, where: dict[str, Any], id: str, value: Any) -> None:
        if id in where:
            self.seen.doubled.append(id)
        where[id] = value


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank); 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
