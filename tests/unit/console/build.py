"""Values as they come from Kafka. Whatever is content says so: SECRET."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from processors.policy import Policy
from streams.console.view import View
from tests.fakes import ManualClock
from topics import dead_letters
from topics.messages import Rejected
from topics.records import Headers

Json = dict[str, Any]
SECRET = "SECRET"


def policy(**more: Any) -> Policy:
    labels = {"routine": {"means": "Nobody needs to look"}, "outage": {"means": "It is down", "severity": "critical"}}
    logs = {
        "kind": "log",
        "topics": ["logs"],
        "labels": labels,
        "fields": {"cause": {}},
        "budget": {"usd_per_hour": 2.0},
        "alerts": {"group_by": ["cause"], "labels": {"team": "ops"}, "runbook_url": "https://wiki/outage"},
    }
    return Policy.model_validate({"streams": {"logs": logs}} | more)


def view(clock: ManualClock, *, content: bool = False, **more: Any) -> View:
    return View(policy(**more), clock, content=content)


def decision(number: int = 0, **more: Any) -> Json:
    source = {"topic": "logs", "partition": 0, "offset": number, "key": SECRET, "timestamp_ms": 1}
    return {
        "id": f"logs/0/{number}",
        "source": source,
        "stream": "logs",
        "tenant": "acme",
        "label": "routine",
        "severity": None,
        "confidence": 0.9,
        "priority": 3,
        "fields": {"cause": SECRET},
        "summary": SECRET,
        "template": SECRET,
        "session": SECRET,
        "decided_by": "nano",
        "model": "gpt-5.4-nano",
        "policy_version": "0" * 12,
        "escalated_to": None,
        "batch_size": 1,
        "tokens": {"input": 100, "cached": 0, "output": 10},
        "cost_usd_micros": 33.0,
        "latency_ms": 12.5,
        "added_later": SECRET,
    } | more


VERDICT = {"tier": "nano", "label": "outage", "confidence": 0.5, "fields": {"cause": SECRET}, "summary": SECRET}


def escalation(number: int = 0, to: str = "mini") -> Json:
    return {"id": f"logs/0/{number}", "to": to, "reason": "label", "detail": SECRET, "text": SECRET} | {
        "verdicts": [VERDICT],
        "template": SECRET,
        "session": SECRET,
        "source": {"key": SECRET},
    }


def resolution(number: int = 0, tier: str = "mini") -> Json:
    return {"id": f"logs/0/{number}", "tier": tier, "status": "resolved", "bound": None, "label": "outage"} | {
        "severity": "critical",
        "summary": SECRET,
        "actions": [SECRET],
        "evidence": [{"tool": "sql", "finding": SECRET}],
        "plan": [{"goal": SECRET, "status": "done", "result": SECRET}],
        "verdicts": [VERDICT],
        "turns": 2,
        "tool_calls": 1,
    }


def alert(number: int = 0, *, started_ms: int = 1_000, status: str = "firing", revision: int = 1, **more: Any) -> Json:
    return {
        "id": f"{number:016x}-{started_ms}",
        "status": status,
        "revision": revision,
        "fingerprint": f"{number:016x}",
        "labels": {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "acme"}
        | {"team": "ops", "cause": SECRET, "template": SECRET},
        "annotations": {"summary": SECRET, "description": SECRET, "runbook_url": "https://wiki/outage"},
        "startsAt": "2027-01-15T08:00:00Z",
        "endsAt": None,
        "count": 3,
        "evidence": [f"logs/0/{number}"],
        "reviewed_by": None,
    } | more


def spend(at_s: float, usd_micros: int, **more: Any) -> Json:
    tokens = {"input": 1_000, "cached": 250, "output": 50}
    call = {"call_id": "c", "at_ms": int(at_s * 1000), "tier": "nano", "model": "gpt-5.4-nano", "status": 200}
    return call | {"tokens": tokens, "usd_micros": usd_micros, "tenant": "acme", "stream": "logs"} | more


@dataclass(frozen=True, slots=True)
class Record:
    topic: str = "logs"
    partition: int = 0
    offset: int = 9
    timestamp: int = 1
    key: bytes | None = SECRET.encode()
    value: bytes | None = SECRET.encode()
    headers: Headers = field(default_factory=list)


def dead_letter(detail: str = SECRET) -> Record:
    """As it lies on `dead-letters`."""
    out = dead_letters.dead_letter(Record(), Rejected("undecodable", detail), stage="triage", topic="letters")
    return Record("letters", 0, 0, 1, out.key, out.value, out.headers)


def everything(of: View) -> str:
    """All that can be asked of a view, as it would leave the process."""
    alerts = of.alerts(0)["listed"]
    told = [of.one_alert(one["id"]) for one in alerts]
    messages = [of.message(f"logs/0/{number}") for number in range(20)]
    return orjson.dumps([of.state(), alerts, told, messages]).decode()
