"""The stage that tells others of alerts: the topic's records to a Notifier. What nobody took is a dead letter."""

import functools
from collections.abc import Sequence
from typing import Literal

from processors.notify.notifier import Notifier
from streams.engine.stage import Later, Outputs
from topics import codec
from topics.limits import NOTIFY_LOOKBACK_RECORDS
from topics.messages import Alert, Rejected
from topics.records import Record


class NotifyStage:
    """alerts → the policy's [[notify]]"""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def order(self, topic: str) -> Literal["none", "key"]:  # noqa: ARG002
        """Each target keeps it for itself: one that is away must not hold up an alert's news for the others."""
        return "none"

    def lookback(self, topic: str) -> int:  # noqa: ARG002
        return NOTIFY_LOOKBACK_RECORDS

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [self._take(record) for record in records]

    def _take(self, record: Record) -> Outputs | Later:
        if record.value is None:
            self._erased(record)
            return ()
        try:
            alert = codec.decode(Alert, record.value)
        except codec.Undecodable as error:
            return Rejected("unknown_shape", f"not an Alert: {error}")
        hears = self._notifier.hear((record.topic, record.partition), alert)
        return functools.partial(self._tell, alert) if hears else ()

    async def _tell(self, alert: Alert) -> Outputs:
        return await self._notifier.tell(alert) or ()

    def recall(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is None:
                self._erased(record)
                continue
            try:
                alert = codec.decode(Alert, record.value)
            except codec.Undecodable:
                continue  # a dead letter since it was first read
            self._notifier.recall((record.topic, record.partition), alert, record.timestamp / 1000)

    def forget(self, topic: str, partition: int) -> None:
        self._notifier.forget((topic, partition))

    def _erased(self, record: Record) -> None:
        if record.key is not None:
            self._notifier.forget_alert(record.key.decode(errors="replace"))
