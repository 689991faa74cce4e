"""What stands in a prompt: the messages to judge, what its words say about each label, and orders hidden in texts."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from local.standin.calls import Call, Said, ToolCall, ToolOutput

_TEXT_KEYS = ("text", "message", "body", "content", "line")
_LIST_ITEMS_MAX = 1_000
_OBJECT_STARTS_MAX = 20
_SCHEMA_STARTS_MAX = 500
_ENTRY = re.compile(
    r"^(?P<indent>\s*)(?P<bullet>[-*•]\s+)?"
    r"[`\"'*]*(?P<name>\w[\w. -]{0,63}?)[`\"'*]*\s*(?:\((?P<aside>[^)]*)\))?\s*(?:[:;]\s+(?P<text>.*))?$"
)
_PATTERN = re.compile(r"\b(?:match(?:es|ing)?|pattern|regex)\b[:=\s]*[`'\"/]?(?P<pattern>[^\s`'\"]+)", re.I)
_SEVERITY = re.compile(r"\b(critical|error|warning|info)\b")
_CONTROL = re.compile(
    r"""\W*(?:[^'"\n]{0,60}:\s*)?(?:please\s+)?(?:answer|reply|respond)\s+with\s+(?:the\s+)?label\W{1,3}(?P<label>.+?)"""
    r"""(?:\W{1,3}and\s+priority\s+(?P<priority>\d{1,3}))?\W*""",
    re.I | re.S,
)
_CONTROL_CHARS_MAX = 240
_ORDERS = re.compile(
    r"""\b(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,4}?(?:instruction|prompt|rule|message|direction|order)
      | \b(?:label|classify|mark|categori[sz]e|tag|answer|treat)\s+(?:all|every|each|both|the\s+other|the\s+rest)\b
      | \bnew\s+instructions?\s*:""",
    re.I | re.X,
)


@dataclass(frozen=True, slots=True)
class Message:
    """One text to judge; `id` is None where the prompt gives none."""

    id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Control:
    """The answer that a known-answer message asks for."""

    label: str
    priority: int | None


@dataclass(frozen=True, slots=True)
class Described:
    """What the instructions say about a name: a label, a field, a tool."""

    text: str
    severity: str | None
    pattern: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """Something that a tool, or another agent's report, said in this conversation."""

    tool: str
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt as the model understands it."""

    messages: Sequence[Message]
    batch: bool  # the messages came as a list
    data: Mapping[str, Any]  # the JSON object of the user's turn; empty where there is none
    described: Mapping[str, Described]
    shown: Sequence[Shown]


def read(call: Call) -> Reading:
    """Reads the latest user turn that brings JSON; without any, the latest user turn is the message."""
    users = [turn.text for turn in call.turns if isinstance(turn, Said) and turn.role == "user"]
    described = describe(call.system)
    for text in reversed(users):
        data = find_object(text)
        if data is None:
            continue
        if messages := _listed(data):
            return Reading(messages, True, data, described, _shown(call, data))
        if (single := _single(data)) is not None:
            return Reading((Message(None, single),), False, data, described, _shown(call, data))
    return Reading((Message(None, users[-1] if users else ""),), False, {}, described, _shown(call, {}))


def find_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text."""
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        decoder = json.JSONDecoder()
        for start in [match.start() for match in re.finditer(r"\{", text)][:_OBJECT_STARTS_MAX]:
            try:
                data, _ = decoder.raw_decode(text, start)
            except (json.JSONDecodeError, RecursionError):
                continue
            if data:
                return dict(data)
        return None
    return data if isinstance(data, dict) else None


@lru_cache(maxsize=256)
def find_schema(text: str) -> dict[str, Any] | None:
    """A JSON Schema of an object that stands in a text, for servers that are not asked to enforce one."""
    if '"properties"' not in text:
        return None
    decoder, end = json.JSONDecoder(), 0
    for start in [match.start() for match in re.finditer(r"\{", text)][:_SCHEMA_STARTS_MAX]:
        if start < end:
            continue  # inside an object that was read
        try:
            found, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            continue
        if "properties" in found:
            return dict(found)
    return None


def _listed(data: Mapping[str, Any]) -> tuple[Message, ...]:
    """The objects with an id and a text of the first list that has such."""
    for value in data.values():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            messages = tuple(
                Message(str(entry["id"]), text)
                for entry in value[:_LIST_ITEMS_MAX]
                if isinstance(entry, dict) and "id" in entry and (text := _own_text(entry)) is not None
            )
            if messages:
                return messages
    return ()


def _single(data: Mapping[str, Any]) -> str | None:
    """The text of an object that is about one message, however deep within two levels."""
    if (own := _own_text(data)) is not None:
        return own
    for value in data.values():
        if isinstance(value, dict) and (text := _own_text(value)) is not None:
            return text
    return None


def _own_text(data: Mapping[str, Any]) -> str | None:
    return next((data[key] for key in _TEXT_KEYS if isinstance(data.get(key), str)), None)


@lru_cache(maxsize=256)
def describe(system: str) -> Mapping[str, Described]:
    """What instructions say about names, line by line: `- name (aside): words`, with indented lines that belong to it.

    Lines that say what a name is `not` are left out.
    """
    found: dict[str, Described] = {}
    last: str | None = None
    for line in system.splitlines():
        match = _ENTRY.match(line)
        if match is None or (match["text"] is None and not match["bullet"]):
            continue
        name, text, aside = match["name"].strip(), match["text"] or "", match["aside"] or ""
        if match["indent"] and not match["bullet"] and last is not None:
            was = found[last]
            if name.lower() == "severity":
                found[last] = Described(was.text, text.strip(), was.pattern)
            elif name.lower() not in ("not", "but not"):
                found[last] = Described(f"{was.text} {text}", was.severity, was.pattern)
            continue
        severity, pattern = _SEVERITY.search(aside), _PATTERN.search(text)
        last = name
        found[name] = Described(text, severity[1] if severity else None, pattern["pattern"] if pattern else None)
    return found


def _shown(call: Call, data: Mapping[str, Any]) -> tuple[Shown, ...]:
    """What tools returned in this conversation, else what reports in the user's data say."""
    names = {turn.call_id: turn.name for turn in call.turns if isinstance(turn, ToolCall)}
    outputs = tuple(
        Shown(names.get(turn.call_id, "tool"), turn.text) for turn in call.turns if isinstance(turn, ToolOutput)
    )
    if outputs:
        return outputs
    return tuple(
        Shown("report", entry["result"])
        for value in data.values()
        if isinstance(value, list)
        for entry in value
        if isinstance(entry, dict) and isinstance(entry.get("result"), str)
    )


def control(text: str, labels: Sequence[str]) -> Control | None:
    """What a short text plainly asks for itself, as a known-answer control does."""
    if len(text) > _CONTROL_CHARS_MAX or (match := _CONTROL.fullmatch(text)) is None:
        return None
    wanted = match["label"].strip("\"'`“”‘’ .")
    if wanted not in labels:
        return None
    return Control(wanted, int(match["priority"]) if match["priority"] else None)


def dictated_label(texts: Sequence[str], labels: Sequence[str]) -> str | None:
    """The label that some text orders for all messages; None where none gives orders that name one."""
    for text in texts:
        if (order := _ORDERS.search(text)) is None:
            continue
        rest = text[order.start() :].lower()
        named = {
            label: match.start()
            for label in labels
            if (match := re.search(rf"(?<![\w-]){re.escape(label.lower())}(?![\w-])", rest)) is not None
        }
        if named:
            return min(named, key=lambda label: named[label])
    return None
