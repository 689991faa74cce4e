"""Which alerts a target hears of, and which of them are silenced."""

from collections.abc import Mapping, Sequence
from typing import get_args

from processors.policy import NotifyWhen, Silence
from topics.messages import Alert, Severity

_WORST_FIRST: tuple[str, ...] = get_args(Severity)


def hears(when: NotifyWhen, alert: Alert) -> bool:
    """Fixed for an alert's life, as its labels are."""
    labels = alert.labels
    severity = labels.get("severity", "")
    severe = severity not in _WORST_FIRST or _at(severity) <= _at(when.severity_at_least)  # what is unknown is told
    return (
        severe
        and (not when.streams or labels.get("stream") in when.streams)
        and (not when.tenants or labels.get("tenant") in when.tenants)
        and _has(labels, when.labels)
    )


def silenced(silences: Sequence[Silence], alert: Alert, at_s: float) -> bool:
    """Whether a silence holds at a time, epoch seconds."""
    return any(at_s < silence.until.timestamp() and _has(alert.labels, silence.labels) for silence in silences)


def _at(severity: str) -> int:
    return _WORST_FIRST.index(severity)


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())
