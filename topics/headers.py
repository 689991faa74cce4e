"""CloudEvents headers, in Kafka's binary mode, of what Sluice writes.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from datetime import UTC, datetime

TRACEPARENT = "traceparent"


class EventHeaders:
    """Headers of one type of event. Made once, called for each record: what does not change is made before."""

    def __init__(self, stage: str, event: str, *, part: str | None = None, version: int = 1) -> None:
        """`stage` writes it; `event` is its type, as `decision`; `part` tells events of one type and message apart,
        as the tier of an escalation; `version` is the schema's."""
        self._suffix = f"#{event}.{part}" if part else f"#{event}"
        self._fixed = (
            ("ce_specversion", b"1.0"),
            ("ce_type", f"sluice.{event}.v{version}".encode()),
            ("ce_source", f"/sluice/{stage}".encode()),
            ("content-type", b"application/json"),
        )
        self._time_ms = -1
        self._time = ("ce_time", b"")

    def __call__(self, message_id: str, time_ms: int, traceparent: bytes | None = None) -> list[tuple[str, bytes]]:
        """`ce_id` is the message id and the type, so that a repeated event has the id that it had. `time_ms` is when
        the event happened, epoch milliseconds; `traceparent` the sender's."""
        if time_ms != self._time_ms:  # what was decided together has one time
            second, ms = divmod(time_ms, 1000)
            text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z"
            self._time_ms, self._time = time_ms, ("ce_time", text.encode())
        headers = [*self._fixed, ("ce_id", (message_id + self._suffix).encode(errors="replace")), self._time]
        if traceparent is not None:
            headers.append((TRACEPARENT, traceparent))
        return headers
