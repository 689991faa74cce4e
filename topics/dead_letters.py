"""Dead letters: the record byte for byte, and in headers where it comes from and why nobody could decide it.

Headers carry two names for the same: `sluice.*`, and Kafka Connect's `__connect.errors.*`, which its tools read.
"""

from typing import Final

from topics import limits
from topics.messages import Rejected
from topics.records import Out, Record

OWN: Final = "sluice."
CONNECT: Final = "__connect.errors."

# Connect's stage that fits: reading a value, or doing something with it
_READING = frozenset({"undecodable", "unknown_shape", "too_large"})


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
    headers = [(name, value) for name, value in record.headers if not name.startswith((OWN, CONNECT))]
    headers += [(name, str(value).encode(errors="replace")) for name, value in told.items()]
    return Out(topic, record.key, record.value, headers)


HEADERS: Final = {
    "sluice.reason": "Why it could not be decided: undecodable, unknown_shape, too_large, policy, model_refused, "
    "model_invalid, attempts_exhausted or internal",
    "sluice.error": "The error in words: value, rule and remedy",
    "sluice.attempts": "How often it was tried",
    "sluice.stage": "The stage that gave up: triage, mini or flagship",
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
"""What each header says; every value is UTF-8 text."""
