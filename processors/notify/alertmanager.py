"""Alertmanager's form: POST /api/v2/alerts, a list of alerts.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml

Alertmanager takes alerts for the same where all their labels are, whatever their id here; and one whose `endsAt` is in
the past for resolved. What fires is therefore sent with an end in the future, and again before that comes.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from processors.notify.form import Request, json
from topics.limits import NOTIFY_REPEATS_VALID
from topics.messages import Alert

PATH = "/api/v2/alerts"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")  # of labels, before Alertmanager 0.27 and after it by default


class AlertmanagerForm:
    """`repeat_s`: how often it is told what still fires."""

    def __init__(self, repeat_s: float) -> None:
        self._valid_s = repeat_s * NOTIFY_REPEATS_VALID

    def alert(self, alert: Alert, now_s: float) -> Request:
        return self.several([alert], now_s)

    def several(self, alerts: Sequence[Alert], now_s: float) -> Request:
        return json([self._postable(alert, now_s) for alert in alerts])

    def _postable(self, alert: Alert, now_s: float) -> dict[str, Any]:
        starts = datetime.fromisoformat(alert.startsAt)  # event time: a sender's clock may be ahead of ours
        now = datetime.fromtimestamp(now_s, UTC)
        if alert.endsAt is None:
            ends = datetime.fromtimestamp(max(now_s, starts.timestamp()) + self._valid_s, UTC)
        else:
            ends = max(starts, min(datetime.fromisoformat(alert.endsAt), now))
        return {
            "labels": _named(alert.labels),
            "annotations": _named(alert.annotations),
            "startsAt": alert.startsAt,
            "endsAt": ends.isoformat(timespec="milliseconds"),
            **({"generatorURL": alert.generatorURL} if alert.generatorURL else {}),
        }


def _named(values: Mapping[str, str]) -> dict[str, str]:
    """With names that Alertmanager takes; two names that become one are told apart by a `_` more."""
    named: dict[str, str] = {}
    for name in sorted(values):
        taken = _NOT_IN_NAMES.sub("_", name)
        while taken in named:
            taken += "_"
        named[taken] = values[name]
    return named
