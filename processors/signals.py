"""What the decisions and reviews of one stream say toward alerts."""

import hashlib
from collections.abc import Mapping

import orjson

from processors.policy import Alerts
from topics.limits import AGENT_TEXT_CHARS_MAX, ALERT_ACTIONS_MAX, ALERT_LABEL_CHARS_MAX, FIELD_CHARS_MAX
from topics.messages import Decision, Escalation, FieldValue, Resolution, Severity, Signal

_DIGEST_CHARS = 16


class Signals:
    """One a stream. A label without a severity says nothing."""

    def __init__(self, stream: str, alerts: Alerts) -> None:
        self._stream = stream
        self._group_by = alerts.group_by

    def decided(self, decision: Decision, now_ms: int) -> Signal | None:
        """What a decision says."""
        if decision.severity is None:
            return None
        labels = self._labels(decision.label, decision.severity, decision.tenant, decision.fields)
        return Signal(
            fingerprint=fingerprint(labels),
            says="decided",
            count=1,
            at_ms=event_ms(decision.source.timestamp_ms, now_ms),
            id=decision.id,
            labels=labels,
            summary=decision.summary or decision.template,
        )

    def reviewed(self, escalation: Escalation, ended: Resolution | Escalation, now_ms: int) -> Signal | None:
        """What an agent made of `escalation`, toward the alert that triage's decision counts for."""
        first = escalation.verdicts[0]
        if first.severity is None:
            return None
        labels = self._labels(first.label, first.severity, escalation.tenant, first.fields)
        verdict = ended if isinstance(ended, Resolution) else ended.verdicts[-1]
        actions = ended.actions if isinstance(ended, Resolution) else ()
        return Signal(
            fingerprint=fingerprint(labels),
            says="reviewed",
            count=0,
            at_ms=event_ms(escalation.source.timestamp_ms, now_ms),
            id=escalation.id,
            labels=labels,
            summary=(verdict.summary or "")[:AGENT_TEXT_CHARS_MAX] or None,
            tier=escalation.to,
            label=verdict.label,
            severity=verdict.severity,
            actions=tuple(action[:FIELD_CHARS_MAX] for action in actions[:ALERT_ACTIONS_MAX]),
        )

    def _labels(self, label: str, severity: Severity, tenant: str, fields: Mapping[str, FieldValue]) -> dict[str, str]:
        own = own_labels(label, severity, self._stream, tenant)
        return own | {name: bounded(_text(fields.get(name))) for name in self._group_by}


def own_labels(alertname: str, severity: Severity, stream: str, tenant: str) -> dict[str, str]:
    """The labels that every alert has (policy.OWN_ALERT_LABELS)."""
    return {"alertname": alertname, "severity": severity, "stream": stream, "tenant": bounded(tenant)}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Names the alert that these labels belong to: 16 hex digits."""
    # As JSON, which keeps ("a", "bc") and ("ab", "c") apart: values come from outside.
    return hashlib.blake2b(orjson.dumps(sorted(labels.items())), digest_size=8).hexdigest()


def bounded(value: str) -> str:
    """A label's value; of a longer one the beginning and a digest, so that values that differ stay apart."""
    if len(value) <= ALERT_LABEL_CHARS_MAX:
        return value
    digest = hashlib.blake2b(value.encode(errors="surrogatepass"), digest_size=_DIGEST_CHARS // 2).hexdigest()
    return f"{value[: ALERT_LABEL_CHARS_MAX - _DIGEST_CHARS - 1]}…{digest}"


def event_ms(timestamp_ms: int, now_ms: int) -> int:
    """When a record happened. A sender whose clock is ahead must not end alerts, nor keep them from ever ending; a
    record may have no time at all (-1)."""
    return timestamp_ms if 0 <= timestamp_ms <= now_ms else now_ms


def _text(value: FieldValue) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
