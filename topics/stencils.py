"""Decisions that differ from record to record in few things, as JSON: what they share is encoded once."""

from collections.abc import Sequence
from dataclasses import fields

import orjson

from topics import codec
from topics.messages import Decision
from topics.records import Record, key_text

_NAMES = [field.name for field in fields(Decision)]
_SESSION, _LATENCY = _NAMES.index("session"), _NAMES.index("latency_ms")
assert _NAMES[:2] == ["id", "source"], "what tells records apart stands in front"


class Stencil:
    """A Decision in pieces. What is missing between them is a record's own: id, source, session and latency."""

    __slots__ = ("after_latency", "after_session", "after_source")

    def __init__(self, decision: Decision) -> None:
        """Raises TypeError for what JSON does not hold."""
        self.after_source = f',{_members(decision, _NAMES[2:_SESSION])},"session":'
        self.after_session = f',{_members(decision, _NAMES[_SESSION + 1 : _LATENCY])},"latency_ms":'
        self.after_latency = f",{_members(decision, _NAMES[_LATENCY + 1 :])}}}"

    @property
    def chars(self) -> int:
        """Its size."""
        return len(self.after_source) + len(self.after_session) + len(self.after_latency)


class Filling:
    """Fills stencils for the records of one partition that were taken together."""

    def __init__(self, topic: str, partition: int, latency_ms: float) -> None:
        name = _json(topic)
        self._partition = f"{topic}/{partition}/"
        self._before = f'{{"id":{name[:-1]}/{partition}/'
        self._between = f'","source":{{"topic":{name},"partition":{partition},"offset":'
        self._latency = _json(latency_ms)

    def decision(self, stencil: Stencil, record: Record, session: str | None) -> tuple[str, bytes]:
        """The message id of `record`, and its Decision as `codec.encode` would write it."""
        offset = record.offset
        return f"{self._partition}{offset}", (
            f"{self._before}{offset}{self._between}{offset}"
            f',"key":{_json(key_text(record))},"timestamp_ms":{record.timestamp}}}{stencil.after_source}'
            f"{'null' if session is None else _json(session)}{stencil.after_session}"
            f"{self._latency}{stencil.after_latency}"
        ).encode()


def _members(decision: Decision, names: Sequence[str]) -> str:
    return codec.encode({name: getattr(decision, name) for name in names}).decode()[1:-1]


def _json(value: str | float | None) -> str:
    return orjson.dumps(value).decode()
