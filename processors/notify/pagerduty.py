"""PagerDuty's form: an event of the Events API v2. Its severities are ours: critical, error, warning, info.

https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from processors.notify.form import Request, cut, json, summary, title
from topics.limits import NOTIFY_SUMMARY_ALERTS_MAX
from topics.messages import Alert, Severity

URL = "https://events.pagerduty.com/v2/enqueue"
_SUMMARY_CHARS_MAX = 1_024  # PagerDuty's own bound


class PagerDutyForm:
    """`routing_key`: of the service's integration."""

    def __init__(self, routing_key: str) -> None:
        self._routing_key = routing_key

    def alert(self, alert: Alert, now_s: float) -> Request:  # noqa: ARG002 the event has the alert's time
        if alert.status == "resolved":
            return self._event(alert.id, "resolve", {})
        payload = {
            "summary": cut(f"{title(alert)}: {summary(alert)}", _SUMMARY_CHARS_MAX),
            "source": alert.labels.get("stream", "sluice"),
            "severity": alert.labels.get("severity", "error"),
            "timestamp": alert.startsAt,
            "class": alert.labels.get("alertname", ""),
            "group": alert.labels.get("tenant", ""),
            "custom_details": {
                "description": alert.annotations.get("description", ""),
                "labels": dict(alert.labels),
                "messages": alert.count,
                "evidence": list(alert.evidence),
                "revision": alert.revision,
                "reviewed_by": alert.reviewed_by,
            },
        }
        runbook = alert.annotations.get("runbook_url")
        links = [{"href": runbook, "text": "Runbook"}] if runbook else []
        return self._event(alert.id, "trigger", {"payload": payload, **({"links": links} if links else {})})

    def several(self, alerts: Sequence[Alert], now_s: float) -> Request:
        """An incident of its own, that a person has to close. Its severity is the worst of those that still fire."""
        firing = [alert for alert in alerts if alert.status == "firing"]
        severities = {alert.labels.get("severity") for alert in firing}
        payload = {
            "summary": f"{len(alerts)} more alerts, {len(firing)} of them firing, were held back by pages_per_hour",
            "source": "sluice",
            "severity": next((each for each in get_args(Severity) if each in severities), "info"),
            "timestamp": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            "custom_details": {
                alert.id: cut(f"{title(alert)}: {summary(alert)}", _SUMMARY_CHARS_MAX)
                for alert in alerts[:NOTIFY_SUMMARY_ALERTS_MAX]
            },
        }
        return self._event(f"held-{alerts[0].id}", "trigger", {"payload": payload})

    def _event(self, dedup_key: str, action: str, more: dict[str, Any]) -> Request:
        return json({"routing_key": self._routing_key, "event_action": action, "dedup_key": dedup_key, **more})
