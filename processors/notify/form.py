"""The seam to one kind of target: how an alert is put to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from topics.messages import Alert


@dataclass(frozen=True, slots=True)
class Request:
    """A POST to a target."""

    body: bytes
    headers: Mapping[str, str]


class Form(Protocol):
    """Asked anew for every attempt: `now_s` is the time of sending, epoch seconds."""

    def alert(self, alert: Alert, now_s: float) -> Request:
        """One alert as it is now."""
        ...

    def several(self, alerts: Sequence[Alert], now_s: float) -> Request:
        """Alerts that are told together: to Alertmanager what fires, to others what was held back; what fires first."""
        ...


def json(value: object, headers: Mapping[str, str] | None = None) -> Request:
    return Request(orjson.dumps(value), {"content-type": "application/json", **(headers or {})})


def cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def title(alert: Alert) -> str:
    """`Firing: critical outage in logs`"""
    labels = alert.labels
    words = (labels.get("severity", ""), labels.get("alertname", alert.id), "in", labels.get("stream", "?"))
    return f"{alert.status.capitalize()}: {' '.join(filter(None, words))}"


def summary(alert: Alert) -> str:
    return alert.annotations.get("summary", "")
