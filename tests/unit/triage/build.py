"""Streams, items and a triage to test with."""

import random
from typing import Any

from processors.asking import Model
from processors.clock import Clock
from processors.items import Item
from processors.memory import Memory
from processors.policy import Policy, Stream
from processors.triage import Triage
from topics.messages import Source

LABELS = {
    "routine": {"means": "Normal operation; no one needs to look"},
    "alert": {"means": "A failure that an operator must see now", "severity": "critical", "escalate": "mini"},
    "noise": {"means": "Known and harmless", "escalate": "never"},
}


def stream(**settings: Any) -> Stream:
    """A stream of log lines with three labels, unless told otherwise."""
    return Stream.model_validate(
        {"kind": "log", "topics": ["syslog"], "deadline": "2s", "batch": 4, "labels": LABELS} | settings
    )


def item(text: str, **settings: Any) -> Item:
    """A message of `logs`; its offset follows from the text."""
    offset = settings.pop("offset", sum(text.encode()))
    source = Source("syslog", 0, offset, None, 1_800_000_000_000)
    values: dict[str, Any] = {
        "id": f"syslog/0/{offset}",
        "source": source,
        "stream": "logs",
        "tenant": "acme",
        "kind": "log",
        "text": text,
        "full_text": text,
        "memory_text": text,
        "truncated": False,
        "template": None,
        "session": None,
        "fields": {},
        "asked_tier": None,
        "traceparent": None,
    }
    return Item(**values | settings)


def triage(model: Model, clock: Clock, *, seed: int = 7, memory: Memory | None = None, **settings: Any) -> Triage:
    """Triage of the stream that `settings` describe."""
    logs = stream(**settings)
    policy = Policy(streams={"logs": logs})
    return Triage(
        "logs", logs, policy, model, clock=clock, rng=random.Random(seed), memory=memory if memory else Memory()
    )
