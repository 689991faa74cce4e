"""Signals and rules to test with."""

from typing import Any

from processors.policy import Alerts
from processors.signals import fingerprint
from topics.messages import Signal

BEGIN_MS = 1_800_000_000_000
LABELS = {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "acme", "service": "pay/ments"}
BURST = {"alertname": "burst", "severity": "warning", "stream": "logs", "tenant": "acme", "template": "job <*> done"}


def alerts(**settings: Any) -> Alerts:
    """Three messages within a minute, over after a minute and a half."""
    return Alerts.model_validate(
        {"group_by": ["service"], "window": "60s", "fire_at": 3, "resolve_after": "90s"} | settings
    )


def signal(seconds: float, count: int = 1, **more: Any) -> Signal:
    """Decisions after so many seconds."""
    labels = more.pop("labels", LABELS)
    values: dict[str, Any] = {"says": "decided", "id": f"in/0/{seconds:g}", "summary": None} | more
    return Signal(
        fingerprint=fingerprint(labels), labels=labels, count=count, at_ms=BEGIN_MS + round(seconds * 1000), **values
    )


def review(seconds: float, tier: str, summary: str = "", **more: Any) -> Signal:
    """What an agent made of the message of that second."""
    values = {"label": "outage", "severity": "critical"} | more
    return signal(seconds, 0, says="reviewed", tier=tier, summary=summary or f"{tier} looked", **values)


def ms(seconds: float) -> int:
    return BEGIN_MS + round(seconds * 1000)
