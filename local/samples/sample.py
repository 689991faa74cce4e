"""One sample message: as a labelled record, and as it goes on Kafka."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

StreamName = Literal["logs", "emails", "dialogues"]

START = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)
MINUTES = 40
SECONDS = MINUTES * 60


def story_seconds(text: str) -> int:
    """`"13:20"`, minutes and seconds into the story, to seconds."""
    minutes, seconds = text.split(":")
    return int(minutes) * 60 + int(seconds)


def moment(at_s: float) -> datetime:
    """Seconds into the story to its time of day, to the millisecond."""
    return START + timedelta(milliseconds=round(at_s * 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A message and the truth about it. `topic` is the stream's name."""

    id: str
    stream: StreamName
    source: str  # who wrote it: a host, a mailbox, the chat
    time: datetime
    payload: Mapping[str, Any] | None  # the natural shape; None where `value` is no message at all
    label: str | None  # of local/demo/sluice.toml; None where nothing is to be judged
    labels: Mapping[str, Any]  # more of the truth: service and cause, order_id, the conversation, the defect
    key: bytes | None
    value: bytes | None  # None: a tombstone
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def topic(self) -> str:
        return self.stream

    @property
    def timestamp_ms(self) -> int:
        """Epoch milliseconds."""
        return round(self.time.timestamp() * 1000)

    def record(self) -> dict[str, Any]:
        """The labelled record: one line of a JSONL file. ValueError where `value` is no message."""
        if self.payload is None:
            raise ValueError(f"{self.id} is no message ({self.labels['defect']}) and has no labelled record")
        return unlabelled(self.id, self.stream, self.source, self.time, self.payload) | {
            "label": self.label,
            "labels": dict(self.labels),
        }


def unlabelled(id: str, stream: StreamName, source: str, time: datetime, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a pipeline may be shown of a labelled record."""
    return {
        "id": id,
        "stream": stream,
        "source": source,
        "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "payload": dict(payload),
    }
