"""Reads what a model answered: one verdict a message, or why there is none. Nothing is guessed."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from processors import answer_form
from processors.controls import Control
from processors.errors import PatternTooSlow
from processors.patterns import Search, searching
from processors.policy import FieldSpec, Stream
from topics.limits import FIELD_CHARS_MAX, SUMMARY_CHARS_MAX
from topics.messages import FieldValue, Severity, Tier, Verdict

_EXACT_MAX = 2**53  # beyond it a float is no exact integer, and from 2**64 on nothing that a Decision can hold
_KEY = re.compile(r"[0-9]{3}")
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}

# The order of work follows from the label: 90 and more cannot wait, 50 is for today, under 20 needs no one. The scale
# is that of rules; within it the surer comes first.
_PRIORITY: Mapping[Severity | None, int] = {"critical": 90, "error": 70, "warning": 50, "info": 10, None: 10}
_PRIORITY_OF_SURE = 9


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """Why a message got no verdict from a call."""

    why: Literal["garbage", "missing", "invalid", "sentinel", "refused", "error"]
    detail: str  # the value and the rule, for a person


class Answers:
    """Answers about one stream, from a model of `tier`."""

    def __init__(self, stream: Stream, tier: Tier = "nano") -> None:
        codes = answer_form.label_codes(stream.labels)
        self._labels = {code: name for name, code in codes.items()}
        self._severities = {name: label.severity for name, label in stream.labels.items()}
        self._form = re.compile(r"([0-9]{3})([A-Z]+)([0-9]{3})")
        self._tier: Tier = tier
        self._summary = stream.summary is not None
        self._fields = {
            name: (spec, searching(spec.pattern, whole=True) if spec.pattern is not None else None)
            for name, spec in stream.fields.items()
        }

    def read(
        self,
        text: str,
        keys: Sequence[str],
        control: Control | None,
        model: str,
        sure: Mapping[str, float] | None = None,
    ) -> Sequence[Verdict | NoVerdict]:
        """One result a key but the control's, in the order of `keys` (the order of the call). No verdict at all where
        `control` is wrong or missing.

        An item counts by its key, and only in its place among the others: two that changed places may have changed
        answers, too. Items with other keys answer nothing and are dropped. A probability in `sure`, by key, counts
        instead of the stated chance, but for the control's.
        """
        asked = [key for key in keys if control is None or key != control.key]
        try:
            items = orjson.loads(text)["answers"]
            if not isinstance(items, list):
                raise TypeError
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return [NoVerdict("garbage", f"the answer is no object with a list `answers`: {_quote(text)}")] * len(asked)
        found: dict[str, list[_Found]] = {}
        for item in items:
            if (one := self._found(item)) is not None:
                found.setdefault(one.key, []).append(one)
        if control is not None:
            answered = [one.written for one in found.get(control.key, [])]
            if answered != [control.answer]:
                return [NoVerdict("sentinel", f"the control was not answered with {control.answer}")] * len(asked)
            given = {one.written[answer_form.KEY_CHARS :] for same in found.values() for one in same}
            if given == {control.answer[answer_form.KEY_CHARS :]}:  # that was drawn at random: one was dictated for all
                detail = f"every message was answered as the control, {control.answer}"
                return [NoVerdict("sentinel", detail)] * len(asked)
        in_place = _in_place(list(found), keys)
        sure = sure or {}
        return [self._one(found.get(key, []), key, key in in_place, model, sure.get(key)) for key in asked]

    def _found(self, item: object) -> "_Found | None":
        """What one item of the answer says; None where it does not even say about which message."""
        rest: Mapping[str, Any] = item if isinstance(item, dict) else {}
        written = rest.get("verdict") if rest else item
        if not isinstance(written, str) or _KEY.match(written) is None:
            return None
        return _Found(written[: answer_form.KEY_CHARS], written, rest)

    def _one(
        self, found: "Sequence[_Found]", key: str, in_place: bool, model: str, sure: float | None
    ) -> Verdict | NoVerdict:
        match found:
            case []:
                return NoVerdict("missing", f"no answer has the key {key}")
            case [one] if in_place:
                return self._verdict(one, model, sure)
            case [_]:
                return NoVerdict("invalid", f"the answer to {key} is out of order")
        return NoVerdict("invalid", f"{len(found)} answers have the key {key}")

    def _verdict(self, found: "_Found", model: str, sure: float | None) -> Verdict | NoVerdict:
        try:
            form = self._form.fullmatch(found.written)
            if form is None or form[2] not in self._labels:
                known = ", ".join(f"{code} {name}" for code, name in self._labels.items())
                raise _Invalid("the answer", found.written, f"a key, a code ({known}) and three digits")
            label, confidence = self._labels[form[2]], int(form[3]) / 1000 if sure is None else sure
            return Verdict(
                tier=self._tier,
                label=label,
                severity=self._severities[label],
                confidence=confidence,
                priority=_PRIORITY[self._severities[label]] + round(_PRIORITY_OF_SURE * confidence),
                fields=self._read_fields(found.rest["fields"]) if self._fields else {},
                summary=_summary(found.rest["summary"]) if self._summary else None,
                model=model,
            )
        except KeyError as error:
            return NoVerdict("invalid", f"the answer has no `{error.args[0]}`")
        except _Invalid as error:
            return NoVerdict("invalid", str(error))

    def _read_fields(self, told: object) -> Mapping[str, FieldValue]:
        """A value or None for each of the stream's fields. Of a name that is told twice, the first."""
        if not isinstance(told, list):
            raise _Invalid("fields", told, "a list")
        values: dict[str, str] = {}
        for one in told:
            if not isinstance(one, str):
                raise _Invalid("fields", one, "name=value")
            name, _, value = one.partition("=")
            values.setdefault(name, value)
        return {
            name: _field(spec, matches, values[name]) if name in values else None
            for name, (spec, matches) in self._fields.items()
        }


@dataclass(frozen=True, slots=True)
class _Found:
    """One item of an answer."""

    key: str
    written: str  # whole, as processors.answer_form has it
    rest: Mapping[str, Any]  # beside the verdict: summary and fields


class _Invalid(Exception):
    def __init__(self, name: str, value: object, rule: str) -> None:
        super().__init__(f"{name} is {_quote(repr(value))}, not {rule}")


def _in_place(came: Sequence[str], keys: Sequence[str]) -> set[str]:
    """Those of `keys` that came where they belong, when nothing but those that came is counted."""
    known = [key for key in came if key in keys]
    expected = [key for key in keys if key in known]
    return {key for key, other in zip(known, expected, strict=True) if key == other}


def _quote(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _summary(value: object) -> str:
    if not isinstance(value, str):
        raise _Invalid("summary", value, "text")
    return value[:SUMMARY_CHARS_MAX]


def _field(spec: FieldSpec, matches: Search | None, told: str) -> FieldValue:
    """The value, or None for what is none of its type, does not match the pattern, is none of the enum's values or too
    large. A field is extra: what cannot be read is missing, and the label still counts."""
    value = told.strip()
    match spec.type:
        case "boolean":
            return _BOOLEANS.get(value.lower())
        case "number" | "integer":
            return _number(value, whole=spec.type == "integer")
        case "enum":
            return value if value in spec.values else None
        case "string" if matches is None:
            return value[:FIELD_CHARS_MAX] or None
        case "string":
            try:
                return value if len(value) <= FIELD_CHARS_MAX and matches(value) else None
            except PatternTooSlow:
                return None


def _number(value: str, *, whole: bool) -> float | int | None:
    if not value.isascii() or len(value) > FIELD_CHARS_MAX:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    if not number.is_integer():
        return None if whole else number
    if abs(number) <= _EXACT_MAX:
        return int(number)
    return None if whole else number
