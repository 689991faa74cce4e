"""Reads what nano answered: one verdict a message, or why there is none. Nothing is guessed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from processors.controls import Control
from processors.policy import FieldSpec, Stream
from topics.limits import FIELD_CHARS_MAX, SUMMARY_CHARS_MAX
from topics.messages import FieldValue, Verdict

_EXACT_MAX = 2.0**53  # beyond it a float is no exact integer, and from 2**64 on nothing that a Decision can hold


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """Why a message got no verdict from a call."""

    why: Literal["garbage", "missing", "invalid", "sentinel", "refused", "error"]
    detail: str  # the value and the rule, for a person


class Answers:
    """Answers about one stream."""

    def __init__(self, stream: Stream) -> None:
        self._severities = {name: label.severity for name, label in stream.labels.items()}
        self._summary = stream.summary is not None
        self._fields = {
            name: (spec, re.compile(spec.pattern) if spec.pattern is not None else None)
            for name, spec in stream.fields.items()
        }

    def read(self, text: str, ids: Sequence[str], control: Control | None, model: str) -> Sequence[Verdict | NoVerdict]:
        """One result an id but the control's, in the order of `ids` (the order of the call). No verdict at all where
        `control` is wrong or missing.

        An item counts by its id, and only in its place among the others: two that changed places may have changed
        answers, too. Items with other ids answer nothing and are dropped.
        """
        asked = [id_ for id_ in ids if control is None or id_ != control.id]
        try:
            items = orjson.loads(text)["items"]
            if not isinstance(items, list):
                raise TypeError
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return [NoVerdict("garbage", f"the answer is no object with a list `items`: {_quote(text)}")] * len(asked)
        found: dict[str, list[Mapping[str, Any]]] = {}
        for item in items:
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                found.setdefault(item["id"], []).append(item)
        if control is not None:
            answered = [(item.get("label"), item.get("priority")) for item in found.get(control.id, [])]
            if answered != [(control.label, control.priority)]:
                wanted = f"'{control.label}' and priority {control.priority}"
                return [NoVerdict("sentinel", f"the control was not answered with {wanted}")] * len(asked)
        in_place = _in_place(list(found), ids)
        return [self._one(found.get(id_, []), id_, id_ in in_place, model) for id_ in asked]

    def _one(self, items: Sequence[Mapping[str, Any]], id_: str, in_place: bool, model: str) -> Verdict | NoVerdict:
        match items:
            case []:
                return NoVerdict("missing", f"no item has the id {id_}")
            case [item] if in_place:
                return self._verdict(item, model)
            case [_]:
                return NoVerdict("invalid", f"the item {id_} is out of order")
        return NoVerdict("invalid", f"{len(items)} items have the id {id_}")

    def _verdict(self, item: Mapping[str, Any], model: str) -> Verdict | NoVerdict:
        try:
            label = item["label"]
            if not isinstance(label, str) or label not in self._severities:
                raise _Invalid("label", label, f"one of {', '.join(self._severities)}")
            return Verdict(
                tier="nano",
                label=label,
                severity=self._severities[label],
                confidence=_confidence(item["confidence"]),
                priority=_priority(item["priority"]),
                fields=self._read_fields(item["fields"]) if self._fields else {},
                summary=_summary(item["summary"]) if self._summary else None,
                model=model,
            )
        except KeyError as error:
            return NoVerdict("invalid", f"the item has no `{error.args[0]}`")
        except _Invalid as error:
            return NoVerdict("invalid", str(error))

    def _read_fields(self, values: object) -> Mapping[str, FieldValue]:
        if not isinstance(values, dict):
            raise _Invalid("fields", values, "an object")
        return {name: _field(name, spec, pattern, values[name]) for name, (spec, pattern) in self._fields.items()}


class _Invalid(Exception):
    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(f"{name} is {_quote(repr(value))}, not {rule}")


def _in_place(came: Sequence[str], ids: Sequence[str]) -> set[str]:
    """Those of `ids` that came where they belong, when nothing but those that came is counted."""
    known = [id_ for id_ in came if id_ in ids]
    expected = [id_ for id_ in ids if id_ in known]
    return {id_ for id_, other in zip(known, expected, strict=True) if id_ == other}


def _quote(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _confidence(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _Invalid("confidence", value, "a number from 0 to 1")
    return float(value)


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100 or value != int(value):
        raise _Invalid("priority", value, "a whole number from 0 to 100")
    return int(value)


def _summary(value: object) -> str:
    if not isinstance(value, str):
        raise _Invalid("summary", value, "text")
    return value[:SUMMARY_CHARS_MAX]


def _field(name: str, spec: FieldSpec, pattern: re.Pattern[str] | None, value: object) -> FieldValue:
    """The value, or None: also for what does not match the pattern, is none of the enum's values or too large."""
    match spec.type, value:
        case _, None:
            return None
        case "boolean", bool():
            return value
        case "number" | "integer", bool():
            pass
        case "number", int() | float():
            return value
        case "integer", int():
            return value
        case "integer", float() if value.is_integer():  # JSON Schema calls 5.0 an integer
            return int(value) if abs(value) <= _EXACT_MAX else None
        case "enum", str():
            return value if value in spec.values else None
        case "string", str() if pattern is None:
            return value[:FIELD_CHARS_MAX]
        case "string", str():
            assert pattern is not None
            return value if len(value) <= FIELD_CHARS_MAX and pattern.fullmatch(value) else None
    raise _Invalid(f"field {name}", value, f"of type {spec.type} or null")
