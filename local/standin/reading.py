"""What stands in a prompt: the messages to judge, what its words say about each label, and orders hidden in texts."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import orjson

from local.standin.calls import Call, Said, ToolCall, ToolOutput

Part = Literal["id", "code", "sure"]

_TEXT_KEYS = ("text", "message", "body", "content", "line")
_LIST_ITEMS_MAX = 1_000
_OBJECT_STARTS_MAX = 20
_SCHEMA_STARTS_MAX = 500
_ENTRY = re.compile(
    r"^(?P<indent>\s*)(?P<bullet>[-*•]\s+)?"
    r"[`\"'*]*(?P<name>\w[\w. -]{0,63}?)[`\"'*]*\s*(?:\((?P<aside>[^)]*)\))?\s*(?:[:;]\s+(?P<text>.*))?$"
)
_BULLET = re.compile(r"^- ([\w.-]{1,64}): ", re.M)
_PATTERN = re.compile(r"\b(?:match(?:es|ing)?|pattern|regex)\b[:=\s]*[`'\"/]?(?P<pattern>[^\s`'\"]+)", re.I)
_SEVERITY = re.compile(r"\b(critical|error|warning|info)\b")
_CONTROL = re.compile(
    r"""\W*(?:[^'"\n]{0,60}:\s*)?(?:please\s+)?(?:answer|reply|respond)\s+with\s+(?:the\s+)?label\W{1,3}(?P<label>.+?)"""
    r"""(?:\W{1,3}and\s+priority\s+(?P<priority>\d{1,3}))?\W*""",
    re.I | re.S,
)
_CODED_CONTROL = re.compile(r"(?:[^'\"\n]{0,60}:\s*)?answer\s+(?P<code>[A-Z]{1,3})(?P<sure>\d{2,3})\.?")
_CONTROL_CHARS_MAX = 240
_CODE = re.compile(r"[A-Z]{1,3}")  # beside a label's name
_BY_KEY = re.compile(r"\btexts? by (?:key|id|number)\b", re.I)
_WRITTEN = re.compile(r"\bwritten\s+(?P<parts>(?:<\w+>)+)")
_SURE_RANGE = re.compile(r"\b0{2,3} to (?P<most>9{2,3})\b")
_PARTS: tuple[tuple[Part, re.Pattern[str]], ...] = (  # by what is said of a part of an answer; the first that fits
    ("sure", re.compile(r"\b(?:percent|thousandths|chance|sure|confidence)\b", re.I)),
    ("code", re.compile(r"\b(?:label|code)", re.I)),
    ("id", re.compile(r"\b(?:key|id|number)\b", re.I)),
)
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
    sure: str | None = None  # the digits that it wants for how sure the answer is


@dataclass(frozen=True, slots=True)
class Form:
    """How the instructions want an answer to be written: its parts, one after the other."""

    parts: Sequence[Part]
    codes: Mapping[str, str]  # by label
    digits: int = 2  # of how sure it is: 2 for percent, 3 for thousandths


@dataclass(frozen=True, slots=True)
class Described:
    """What the instructions say about a name: a label, a field, a tool."""

    text: str
    severity: str | None
    pattern: str | None
    aside: str = ""  # in brackets behind the name


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
    form: Form | None = None  # where answers are codes


def read(call: Call) -> Reading:
    """Reads the latest user turn that brings JSON; without any, the latest user turn is the message."""
    users = [turn.text for turn in call.turns if isinstance(turn, Said) and turn.role == "user"]
    described = describe(call.system)
    form = find_form(call.system)
    for text in reversed(users):
        data = find_object(text)
        if data is None:
            continue
        if messages := _listed(data) or _keyed(data, call.system):
            return Reading(messages, True, data, described, _shown(call, data), form)
        if (single := _single(data)) is not None:
            return Reading((Message(None, single),), False, data, described, _shown(call, data), form)
    return Reading((Message(None, users[-1] if users else ""),), False, {}, described, _shown(call, {}), form)


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


@lru_cache(maxsize=256)
def find_example(system: str) -> dict[str, Any] | None:
    """The schema of a plain prompt: labels as a list, `- name: words`, and an answer shown as a JSON object whose
    `label` is one of them."""
    example = find_object(system)
    if example is None:
        return None
    names = _BULLET.findall(system)
    if example.get("label") not in names:
        return None
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number"}
    properties = {key: {"type": kinds[type(value)]} for key, value in example.items() if type(value) in kinds}
    return {"type": "object", "properties": properties | {"label": {"type": "string", "enum": names}}}


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


def _keyed(data: Mapping[str, Any], system: str) -> tuple[Message, ...]:
    """The texts of an object that the instructions call so."""
    if _BY_KEY.search(system) is None or not all(isinstance(text, str) for text in data.values()):
        return ()
    return tuple(Message(key, text) for key, text in list(data.items())[:_LIST_ITEMS_MAX])


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
                found[last] = replace(was, severity=text.strip())
            elif name.lower() not in ("not", "but not"):
                found[last] = replace(was, text=f"{was.text} {text}")
            continue
        severity, pattern = _SEVERITY.search(aside), _PATTERN.search(text)
        last = name
        found[name] = Described(
            text, severity[1] if severity else None, pattern["pattern"] if pattern else None, aside.strip()
        )
    return found


@lru_cache(maxsize=256)
def find_form(system: str) -> Form | None:
    """The form of an answer where the instructions have it written as `<name><name>…` and say what each name is."""
    if (match := _WRITTEN.search(system)) is None:
        return None
    described = describe(system)
    parts: list[Part] = []
    for name in re.findall(r"\w+", match["parts"]):
        said = described[name].text if name in described else name
        part = next((part for part, words in _PARTS if words.search(said)), None)
        if part is None:
            return None
        parts.append(part)
    codes = {name: one.aside for name, one in described.items() if _CODE.fullmatch(one.aside)}
    told = _SURE_RANGE.search(system, match.end())
    return Form(tuple(parts), codes, len(told["most"]) if told is not None else 2)


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


def control(text: str, labels: Sequence[str], form: Form | None = None) -> Control | None:
    """What a short text plainly asks for itself, as a known-answer control does."""
    if len(text) > _CONTROL_CHARS_MAX:
        return None
    if form is not None and (coded := _CODED_CONTROL.fullmatch(text)) is not None:
        meant = next((label for label in labels if form.codes.get(label) == coded["code"]), None)
        return Control(meant, None, coded["sure"]) if meant is not None else None
    if (match := _CONTROL.fullmatch(text)) is None:
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
