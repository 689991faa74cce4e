"""What was decided, decided again by another policy: every difference is found, and nothing is written."""

import random
from typing import Any

import pytest

from processors.asking import Answer, Ask
from processors.errors import BudgetSpent
from processors.memory import Memory
from processors.policy import Policy
from processors.triage import Triage
from streams import shadow
from tests.kafka.bus import Bus, Send
from tests.unit.gateway.clocks import TickingClock
from topics import codec
from topics.catalog import DECISIONS
from topics.messages import Decision, Source, Tokens

LABELS = {"routine": {"means": "Nobody needs to look"}, "alert": {"means": "Somebody must", "severity": "critical"}}
LINES = ["disk is fine", "disk is full", "disk is full again", "fan turns", "fan stands"]


class NoModel:
    """Rules decide all that this is about; whatever else asks has no money."""

    async def ask(self, _: Ask) -> Answer:
        raise BudgetSpent("spent", retry_after_s=100.0)


def policy(bus: Bus, topic: str, *rules: dict[str, Any]) -> Policy:
    stream = {"kind": "log", "topics": [topic], "labels": LABELS, "rules": rules}
    return Policy.model_validate({"kafka": {"prefix": bus.prefix}, "streams": {"logs": stream}})


def rule(name: str, text: str, label: str) -> dict[str, Any]:
    return {"name": name, "when": {"text": text}, "then": {"label": label}}


def decided(topic: str, offset: int, label: str) -> Send:
    decision = Decision(
        id=f"{topic}/0/{offset}",
        source=Source(topic, 0, offset, None, 0),
        stream="logs",
        tenant="default",
        label=label,
        severity="critical" if label == "alert" else None,
        confidence=0.9,
        priority=10,
        fields={},
        summary=None,
        template=None,
        session=None,
        decided_by="nano",
        model="m",
        policy_version="old",
        escalated_to="mini" if label == "alert" else None,
        batch_size=1,
        tokens=Tokens(),
        cost_usd_micros=50.0,
        latency_ms=1.0,
    )
    return Send(codec.encode(decision))


async def compare(bus: Bus, new: Policy, messages: int = 100) -> shadow.Shadow:
    clock = TickingClock()
    triage = Triage("logs", new.streams["logs"], new, NoModel(), clock=clock, rng=random.Random(1), memory=Memory())
    try:
        (one,) = await shadow.compare(new, {"logs": triage}, bus.brokers, messages)
    finally:
        await triage.close()
    return one


@pytest.fixture
async def topic(bus: Bus) -> str:
    """An input whose every line was decided: `alert` where the disk is full, else `routine`."""
    topic = await bus.topic("in")
    await bus.owned(partitions=2)
    await bus.produce(topic, [line.encode() for line in LINES])
    labels = ["alert" if "full" in line else "routine" for line in LINES]
    made = [decided(topic, offset, label) for offset, label in enumerate(labels)]
    await bus.produce(bus.names.topic(DECISIONS), [*made, b"somebody else's", Send(None, b"key")])
    return topic


async def test_each_difference_is_found_with_its_message(bus: Bus, topic: str) -> None:
    before = await bus.values(bus.names.topic(DECISIONS))
    new = policy(
        bus, topic, rule("stands", "stands", "alert"), rule("full", "is full$", "alert"), rule("r", "", "routine")
    )
    one = await compare(bus, new)
    assert (len(one.pairs), one.gone, one.unpaid) == (5, 0, 0)
    assert {pair.text: pair.differs for pair in one.differing} == {
        "fan stands": ("label", "severity"),
        "disk is full": ("escalated_to",),  # the old one let alerts climb
        "disk is full again": ("label", "severity", "escalated_to"),
    }
    assert one.labels == {("routine", "alert"): 1, ("alert", "routine"): 1}
    assert one.escalations == (2, 0)
    assert one.usd == (0.00025, 0.0)
    assert await bus.values(bus.names.topic(DECISIONS)) == before, "nothing is written"


async def test_only_the_last_ones_are_looked_at(bus: Bus, topic: str) -> None:
    one = await compare(bus, policy(bus, topic, rule("r", "", "routine")), messages=2)
    assert len(one.pairs) == 2


async def test_without_money_the_rest_is_left_out_and_counted(bus: Bus, topic: str) -> None:
    one = await compare(bus, policy(bus, topic, rule("fan", "fan", "routine")))
    assert (len(one.pairs), one.unpaid) == (2, 3)


async def test_what_is_no_longer_there_is_counted(bus: Bus, topic: str) -> None:
    await bus.produce(bus.names.topic(DECISIONS), [decided(topic, 77, "alert"), decided("elsewhere", 0, "alert")])
    one = await compare(bus, policy(bus, topic, rule("r", "", "routine")))
    assert (len(one.pairs), one.gone) == (5, 2)
