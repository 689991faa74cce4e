"""The alerts as they were told last, with how each came to be as it is."""

from collections import Counter, deque
from dataclasses import dataclass, field

from streams.console.shown import Json
from topics.limits import CONSOLE_ALERTS_MAX, CONSOLE_REVISIONS_MAX

_URGENCY = {"critical": 0, "error": 1, "warning": 2, "info": 3}


@dataclass(slots=True)
class Told:
    """An alert, and its revisions, oldest first."""

    alert: Json
    revisions: deque[Json] = field(default_factory=lambda: deque(maxlen=CONSOLE_REVISIONS_MAX))


class Inbox:
    """By alert id. Beyond the bound resolved ones are forgotten first, the oldest of them."""

    def __init__(self) -> None:
        self._alerts: dict[str, Told] = {}

    def tell(self, alert: Json, at_ms: int) -> None:
        told = self._alerts.setdefault(alert["id"], Told(alert))
        told.alert = alert | {"at_ms": at_ms}
        step = {name: alert.get(name) for name in ("revision", "status", "count", "reviewed_by")} | {"at_ms": at_ms}
        if not told.revisions or told.revisions[-1]["revision"] != step["revision"]:
            told.revisions.append(step)
        if len(self._alerts) > CONSOLE_ALERTS_MAX:
            self.erase(min(self._alerts, key=lambda id_: _age(self._alerts[id_].alert)))

    def erase(self, id_: str) -> None:
        self._alerts.pop(id_, None)

    def get(self, id_: str) -> Told | None:
        return self._alerts.get(id_)

    def listed(self) -> list[Json]:
        """Firing ones first, the most severe of them first, then the latest."""
        return sorted((told.alert for told in self._alerts.values()), key=_order)

    def counts(self) -> Json:
        by_status = Counter(str(told.alert.get("status")) for told in self._alerts.values())
        firing = Counter(
            str(told.alert["labels"].get("severity"))
            for told in self._alerts.values()
            if told.alert.get("status") == "firing"
        )
        return {
            "firing": by_status["firing"],
            "resolved": by_status["resolved"],
            "firing_by_severity": {name: firing[name] for name in _URGENCY if firing[name]},
        }


def _order(alert: Json) -> tuple[bool, int, int]:
    firing = alert.get("status") == "firing"
    urgency = _URGENCY.get(str(alert["labels"].get("severity")), len(_URGENCY)) if firing else 0
    return not firing, urgency, -_started_ms(alert)


def _age(alert: Json) -> tuple[bool, int]:
    return alert.get("status") == "firing", _started_ms(alert)


def _started_ms(alert: Json) -> int:
    """From its id, which ends with it; a revision changes no alert's place."""
    started = str(alert["id"]).rpartition("-")[2]
    return int(started) if started.isdigit() else 0
