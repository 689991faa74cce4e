"""What is known of alerts: the newest revision of each, as far as the topic has been read."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from topics.limits import NOTIFY_ALERTS_MAX, NOTIFY_RESOLVED_SECONDS
from topics.messages import Alert

log = logging.getLogger(__name__)

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class _Entry:
    place: Place
    alert: Alert
    at_s: float  # when it was written, epoch seconds


class Board:
    """Alerts of the partitions that this worker reads. What has resolved stays for a while."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}  # by alert id, the latest change last
        self._latest: dict[str, Alert] = {}  # by fingerprint: the one that started last

    def put(self, place: Place, alert: Alert, at_s: float) -> None:
        before = self._entries.pop(alert.id, None)
        if before is not None and before.alert.revision > alert.revision:
            self._entries[alert.id] = before
            return
        if len(self._entries) >= NOTIFY_ALERTS_MAX:
            oldest = next(iter(self._entries))
            if self._entries[oldest].alert.status == "firing":
                log.warning("more than %d alerts: %s is not kept and not repeated", NOTIFY_ALERTS_MAX, oldest)
            self.drop(oldest)
        self._entries[alert.id] = _Entry(place, alert, at_s)
        latest = self._latest.get(alert.fingerprint)
        if latest is None or latest.startsAt <= alert.startsAt:
            self._latest[alert.fingerprint] = alert

    def get(self, id_: str) -> Alert | None:
        entry = self._entries.get(id_)
        return None if entry is None else entry.alert

    def overtaken(self, alert: Alert) -> bool:
        """A newer revision is known."""
        newest = self.get(alert.id)
        return newest is not None and newest.revision > alert.revision

    def succeeded(self, alert: Alert) -> bool:
        """A later alert of the same labels is known."""
        latest = self._latest.get(alert.fingerprint)
        return latest is not None and latest.startsAt > alert.startsAt

    def latest(self) -> Iterator[Alert]:
        """Of each fingerprint the alert that started last: what fires, and what has resolved lately."""
        yield from self._latest.values()

    def sweep(self, now_s: float) -> None:
        """Forgets what resolved long ago."""
        ends_s = now_s - NOTIFY_RESOLVED_SECONDS
        for id_ in [i for i, e in self._entries.items() if e.alert.status == "resolved" and e.at_s <= ends_s]:
            self.drop(id_)

    def drop(self, id_: str) -> None:
        entry = self._entries.pop(id_, None)
        if entry is None:
            return
        latest = self._latest.get(entry.alert.fingerprint)
        if latest is not None and latest.id == id_:
            del self._latest[latest.fingerprint]

    def forget(self, place: Place) -> None:
        """The partition is another worker's."""
        for id_ in [i for i, e in self._entries.items() if e.place == place]:
            self.drop(id_)
