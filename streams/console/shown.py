"""What may be seen of each message: a list of what is allowed, so that a field added later is not shown by itself.

What people wrote or models made of it (texts, summaries, fields, keys, what an alert is grouped by) is content: it is
left out here, before anything is kept, unless the operator allows it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from processors.policy import OWN_ALERT_LABELS, Policy
from topics.dead_letters import DeadLetter
from topics.limits import CONSOLE_TEXT_CHARS_MAX
from topics.records import Headers

Json = dict[str, Any]

_VERDICT: Final = ("tier", "label", "severity", "confidence", "priority", "model")
_VERDICT_CONTENT: Final = ("fields", "summary")
_DECISION: Final = (
    *("id", "stream", "tenant", "label", "severity", "confidence", "priority", "decided_by", "model", "policy_version"),
    *("escalated_to", "batch_size", "tokens", "cost_usd_micros", "latency_ms", "degraded", "unproven"),
)
_DECISION_CONTENT: Final = ("fields", "summary", "template", "session")
_ESCALATION: Final = ("to", "reason", "truncated", "escalated_at_ms", "deadline_ms")
_ESCALATION_CONTENT: Final = ("detail", "text")
_RESOLUTION: Final = (
    *("tier", "status", "bound", "label", "severity", "priority", "confidence", "model", "turns", "tool_calls"),
    *("tokens", "cost_usd_micros", "latency_ms", "trace"),
)
_RESOLUTION_CONTENT: Final = ("summary", "actions")
_ALERT: Final = ("id", "status", "revision", "fingerprint", "startsAt", "endsAt", "count", "evidence", "reviewed_by")


class Shown:
    """The rule for one policy."""

    def __init__(self, policy: Policy, content: bool) -> None:
        self.content = content
        streams = policy.streams.values()
        self._labels = {*OWN_ALERT_LABELS, *(name for stream in streams for name in stream.alerts.labels)}
        self._runbooks = {stream.alerts.runbook_url for stream in streams}  # as written: with nothing of a message

    def decision(self, value: Json) -> Json:
        shown = self._of(value, _DECISION, _DECISION_CONTENT)
        return shown | {"source": self._of(value.get("source") or {}, _SOURCE, ("key",))}

    def escalation(self, value: Json) -> Json:
        verdicts = [self._of(verdict, _VERDICT, _VERDICT_CONTENT) for verdict in value.get("verdicts") or ()]
        return self._of(value, _ESCALATION, _ESCALATION_CONTENT) | {"verdicts": verdicts}

    def resolution(self, value: Json) -> Json:
        plan = [self._of(step, ("status",), ("goal", "result")) for step in value.get("plan") or ()]
        evidence = [self._of(found, ("tool",), ("finding",)) for found in value.get("evidence") or ()]
        return self._of(value, _RESOLUTION, _RESOLUTION_CONTENT) | {"plan": plan, "evidence": evidence}

    def alert(self, value: Json) -> Json:
        labels, annotations = value.get("labels") or {}, value.get("annotations") or {}
        told = {
            name: text
            for name, text in annotations.items()
            if self.content or (name == "runbook_url" and text in self._runbooks)
        }
        return self._of(value, _ALERT) | {
            "labels": {name: text for name, text in labels.items() if self.content or name in self._labels},
            "grouped": sum(name not in self._labels for name in labels),
            "annotations": _cut(told),
        }

    def letter(self, letter: DeadLetter, headers: Headers) -> Json:
        told = {name: text.decode(errors="replace") for name, text in headers if name in _LETTER}
        return {
            "id": f"{letter.topic}/{letter.partition}/{letter.offset}",
            "stage": told.get("sluice.stage"),
            "reason": letter.reason,
            "attempts": told.get("sluice.attempts"),
            "replays": letter.replays,
        } | ({"error": _cut(letter.error)} if self.content else {})

    def _of(self, value: Mapping[str, Any], always: Sequence[str], content: Sequence[str] = ()) -> Json:
        names = (*always, *content) if self.content else always
        return {name: _cut(value[name]) for name in names if name in value}


_SOURCE: Final = ("topic", "partition", "offset", "timestamp_ms")
_LETTER: Final = ("sluice.stage", "sluice.attempts")


def _cut(value: Any) -> Any:
    """With long texts cut."""
    match value:
        case str() if len(value) > CONSOLE_TEXT_CHARS_MAX:
            return value[:CONSOLE_TEXT_CHARS_MAX] + "…"
        case dict():
            return {name: _cut(inner) for name, inner in value.items()}
        case list():
            return [_cut(inner) for inner in value]
        case _:
            return value
