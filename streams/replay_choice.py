"""Which dead letters go back: those that are wanted, were not sent back before, and have somewhere to go."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from streams.replayed import Replayed
from topics import dead_letters, limits
from topics.dead_letters import DeadLetter, NotADeadLetter
from topics.messages import DeadLetterReason
from topics.records import Record, message_id

Why = Literal["replayed", "poison", "foreign", "unread", "topic_missing", "value_gone", "too_large"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which dead letters are asked for. What is empty or None does not filter."""

    reasons: Sequence[DeadLetterReason] = ()
    streams: Sequence[str] = ()
    since_ms: int | None = None  # the dead letter was written then or later, epoch milliseconds
    until_ms: int | None = None  # and before that
    key: bytes | None = None
    limit: int | None = None  # so many, the oldest of each partition first
    poison: bool = False  # also what died again after REPLAYS_MAX replays


@dataclass(frozen=True, slots=True)
class Going:
    """A dead letter that goes back."""

    id: str  # its message id
    at_ms: int  # its timestamp
    letter: DeadLetter
    key: bytes | None
    value: bytes | None

    @property
    def bytes(self) -> int:
        return len(self.key or b"") + len(self.value or b"")


@dataclass(frozen=True, slots=True)
class Stays:
    """A dead letter that is left where it is, though it is wanted."""

    why: Why
    topic: str  # that it came from; empty where it does not say


class Choice:
    """Looks at one dead letter after the other."""

    def __init__(
        self,
        wanted: Wanted,
        *,
        streams: Mapping[str, str],
        escalations: Container[str],
        there: Container[str],
        replayed: Replayed,
    ) -> None:
        """`streams`: the stream of each input topic; `escalations`: what agents read; `there`: topics that exist."""
        self._wanted = wanted
        self._streams = streams
        self._escalations = escalations
        self._there = there
        self._replayed = replayed

    def of(self, record: Record) -> Going | Stays | None:
        """What becomes of a record of the dead letters; None where it is not wanted."""
        wanted = self._wanted
        try:
            letter = dead_letters.read(record.headers)
        except NotADeadLetter:
            return Stays("foreign", "")
        if (
            (wanted.reasons and letter.reason not in wanted.reasons)
            or (wanted.since_ms is not None and record.timestamp < wanted.since_ms)
            or (wanted.until_ms is not None and record.timestamp >= wanted.until_ms)
            or (wanted.key is not None and record.key != wanted.key)
            or (wanted.streams and self._stream(letter, record.value) not in wanted.streams)
        ):
            return None
        if letter.topic not in self._streams and letter.topic not in self._escalations:
            return Stays("unread", letter.topic)
        if self._replayed.has(record.partition, record.offset, record.timestamp):
            return Stays("replayed", letter.topic)
        if letter.replays >= limits.REPLAYS_MAX and not wanted.poison:
            return Stays("poison", letter.topic)
        if letter.topic not in self._there:
            return Stays("topic_missing", letter.topic)
        return Going(message_id(record), record.timestamp, letter, record.key, record.value)

    def _stream(self, letter: DeadLetter, value: bytes | None) -> str | None:
        """An agent's dead letter is an Escalation, which says its stream; None where it cannot be read."""
        if letter.topic not in self._escalations:
            return self._streams.get(letter.topic)
        try:
            return str(orjson.loads(value or b"")["stream"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
