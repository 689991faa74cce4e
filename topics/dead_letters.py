"""Dead letters: the record byte for byte, and in headers where it comes from and why nobody could decide it.

Headers carry two names for the same: `sluice.*`, and Kafka Connect's `__connect.errors.*`, which its tools read.
They come last, after the record's own, so that a dead letter can be turned into the record again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from topics import limits
from topics.messages import Rejected
from topics.records import Headers, Out, Record

REPLAY_OF: Final = "sluice-replay-of"
"""On a record that was sent back: the message id under which its sender wrote it."""
REPLAYS: Final = "sluice-replays"
"""On a record that was sent back: how often it was."""

# Connect's stage that fits: reading a value, or doing something with it
_READING = frozenset({"undecodable", "unknown_shape", "too_large"})


class NotADeadLetter(ValueError):
    """A record without the headers of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What the headers of a dead letter say."""

    topic: str  # that the record was read from
    partition: int
    offset: int
    timestamp_ms: int  # the record's
    reason: str
    error: str
    headers: Sequence[tuple[str, bytes]]  # the record's own, in their order
    replays: int  # how often the record had been sent back before it died
    replay_of: str  # message id of the record as its sender wrote it

    def replayed(self) -> Headers:
        """The headers with which the record goes back: its own, and those that tell how often it went."""
        own = [(name, value) for name, value in self.headers if name not in (REPLAY_OF, REPLAYS)]
        return [*own, (REPLAY_OF, self.replay_of.encode()), (REPLAYS, b"%d" % (self.replays + 1))]


def dead_letter(record: Record, rejected: Rejected, *, stage: str, topic: str) -> Out:
    """The record as it goes to `topic`. Its own headers stay; those of an earlier death are replaced.

    The timestamp is the writer's, because retention counts from it; the origin's is a header.
    """
    error = rejected.detail[: limits.DEAD_LETTER_ERROR_CHARS_MAX]
    told = {
        "sluice.reason": rejected.reason,
        "sluice.error": error,
        "sluice.attempts": rejected.attempts,
        "sluice.stage": stage,
        "sluice.origin.topic": record.topic,
        "sluice.origin.partition": record.partition,
        "sluice.origin.offset": record.offset,
        "sluice.origin.timestamp": record.timestamp,
        "__connect.errors.topic": record.topic,
        "__connect.errors.partition": record.partition,
        "__connect.errors.offset": record.offset,
        "__connect.errors.connector.name": f"sluice-{stage}",
        "__connect.errors.task.id": record.partition,
        "__connect.errors.stage": "VALUE_CONVERTER" if rejected.reason in _READING else "TASK_PUT",
        "__connect.errors.class.name": f"sluice.{stage}",
        "__connect.errors.exception.class.name": f"sluice.errors.{rejected.reason}",
        "__connect.errors.exception.message": error,
    }
    headers = list(record.headers[: _death(record.headers)])
    headers += [(name, str(value).encode(errors="replace")) for name, value in told.items()]
    return Out(topic, record.key, record.value, headers)


def read(headers: Headers) -> DeadLetter:
    """A dead letter's headers, taken apart. Raises NotADeadLetter."""
    death = _death(headers)
    told = {name: value.decode(errors="replace") for name, value in headers[death:] if name in HEADERS}
    own = headers[:death]
    try:
        topic, partition, offset, timestamp_ms = (
            told[f"sluice.origin.{part}"] for part in ("topic", "partition", "offset", "timestamp")
        )
        return DeadLetter(
            topic=topic,
            partition=int(partition),
            offset=int(offset),
            timestamp_ms=int(timestamp_ms),
            reason=told["sluice.reason"],
            error=told["sluice.error"],
            headers=own,
            replays=_replays(own),
            replay_of=next(
                (value.decode(errors="replace") for name, value in own if name == REPLAY_OF and value),
                f"{topic}/{partition}/{offset}",
            ),
        )
    except (KeyError, ValueError) as error:
        raise NotADeadLetter(f"header {error} is missing or wrong") from None


def _death(headers: Headers) -> int:
    """Where the headers of the last death begin. A name alone does not tell: a sender may use it as well."""
    names = [name for name, _ in headers]
    for begin in range(len(names) - len(_OURS), -1, -1):
        if names[begin] == _OURS[0] and names[begin : begin + len(_OURS)] == _OURS:
            return begin
    return len(names)


def _replays(headers: Headers) -> int:
    """0 where the header is missing, or is not ours."""
    told = next((value for name, value in headers if name == REPLAYS and value), b"0")
    return int(told) if told.isdigit() and len(told) <= 9 else 0


HEADERS: Final = {
    "sluice.reason": "Why it could not be decided: undecodable, unknown_shape, too_large, policy, model_refused, "
    "model_invalid, attempts_exhausted, target_refused (of alerts only) or internal",
    "sluice.error": "The error in words: value, rule and remedy",
    "sluice.attempts": "How often it was tried",
    "sluice.stage": "The stage that gave up: triage, mini, flagship or notify",
    "sluice.origin.topic": "The topic that it was read from",
    "sluice.origin.partition": "The partition that it was read from",
    "sluice.origin.offset": "Its offset there",
    "sluice.origin.timestamp": "Its timestamp there, epoch milliseconds",
    "__connect.errors.topic": "As sluice.origin.topic",
    "__connect.errors.partition": "As sluice.origin.partition",
    "__connect.errors.offset": "As sluice.origin.offset",
    "__connect.errors.connector.name": "The stage, as `sluice-triage`",
    "__connect.errors.task.id": "The partition",
    "__connect.errors.stage": "VALUE_CONVERTER where it could not be read, TASK_PUT where it could not be decided",
    "__connect.errors.class.name": "The stage, as `sluice.triage`",
    "__connect.errors.exception.class.name": "The reason, as `sluice.errors.undecodable`",
    "__connect.errors.exception.message": "As sluice.error",
}
"""What each header says; every value is UTF-8 text. In the order in which they are written."""

_OURS = [name for name in HEADERS if name.startswith("sluice.")]
