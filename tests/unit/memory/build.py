"""Items and answers to learn from."""

from dataclasses import replace
from typing import Any

from processors.items import Item
from processors.normalise.texts import memory_text
from processors.policy import Stream
from tests.unit.triage import build
from topics.messages import Verdict

DAY_MS = 86_400_000


def line(text: str, at_ms: int = 0, **settings: Any) -> Item:
    """A log line; its time is so much after the stream's beginning."""
    item = build.item(text, memory_text=memory_text(text), **settings)
    return replace(item, source=replace(item.source, timestamp_ms=item.source.timestamp_ms + at_ms))


def verdict(label: str, **settings: Any) -> Verdict:
    """A model's answer."""
    values: dict[str, Any] = {
        "tier": "nano",
        "label": label,
        "severity": "critical" if label == "alert" else None,
        "confidence": 0.9,
        "priority": 40,
        "fields": {},
        "summary": None,
        "model": "nano-fake",
    }
    return Verdict(**values | settings)


def stream(**settings: Any) -> Stream:
    return build.stream(**settings)
