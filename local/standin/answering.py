"""What a model writes into an answer's schema: its judgement of each message, what the texts state, what tools said."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from local.standin.calls import Json
from local.standin.error_model import uniforms
from local.standin.extracting import find_number, find_text
from local.standin.judging import Judged
from local.standin.lexicon import best_choice, extract, is_catch_all, roots, salient
from local.standin.reading import Message, Reading, Shown

LABEL_NAMES = ("label", "category", "class", "classification", "intent", "verdict")
_SEVERITIES = {"critical": 92, "error": 75, "warning": 55, "info": 12}  # and the priority that goes with each
_CUES = (
    ("critical", re.compile(r"\b(?:fatal|panic|emerg\w*|critical|fraud\w*|stolen|phishing|breach|outage)\b", re.I)),
    ("error", re.compile(r"\b(?:error|fail\w*|exception|abort\w*|corrupt\w*|refused|denied)\b", re.I)),
    ("warning", re.compile(r"\b(?:warn\w*|retry\w*|slow|late|complain\w*|unhappy|timeout)\b", re.I)),
)
_CAUSE = re.compile(
    r"[^.\n{}\"]*\b(?:caused by|because of|due to|root cause|no space left|out of memory|connection refused|expired|"
    r"exhausted|corrupt\w*|timed out)\b[^.\n{}\"]*",
    re.I,
)
_REPORTED = re.compile(r"^- (?P<tool>[\w.-]+): (?P<finding>.+)$", re.M)
_GOALS = (
    "Find recent related messages about {} and how they were labelled",
    "Count how often like messages about {} came before, and whether it grows",
    "Look up what the runbooks say about {}",
)
_FINDING_CHARS_MAX = 300
_CODES = re.compile(r"\((?P<codes>[A-Z]+(?:\|[A-Z]+)+)\)")
_TOLD = re.compile(r"\^\((?P<names>[^()]+)\)=")  # a list of name=value


def label_choices(node: Any) -> tuple[str, ...]:
    """The labels that a schema lets the model choose from; empty where it asks for no label."""
    if isinstance(node, list):
        return next((found for child in node if (found := label_choices(child))), ())
    if not isinstance(node, dict):
        return ()
    for name, child in (node.get("properties") or {}).items():
        if name.lower() in LABEL_NAMES and isinstance(child, dict) and "enum" in child:
            return tuple(value for value in child["enum"] if isinstance(value, str))
    return next((found for child in node.values() if (found := label_choices(child))), ())


def coded_labels(node: Any, reading: Reading) -> tuple[str, ...]:
    """The labels whose codes a schema's pattern lets the model choose from, as the instructions name them."""
    if isinstance(node, list):
        return next((found for child in node if (found := coded_labels(child, reading))), ())
    if not isinstance(node, dict) or reading.form is None:
        return ()
    if (codes := _codes(node)) and codes <= set(reading.form.codes.values()):
        return tuple(label for label, code in reading.form.codes.items() if code in codes)
    return next((found for child in node.values() if (found := coded_labels(child, reading))), ())


def _codes(node: Json) -> set[str]:
    """The codes that the pattern of a string's schema has for a choice."""
    pattern = node.get("pattern")
    choice = _CODES.search(pattern) if isinstance(pattern, str) else None
    return set(choice["codes"].split("|")) if choice is not None else set()


@dataclass(frozen=True, slots=True)
class Answers:
    """A source for an answer about one message, or (`all` is set) about a list of them."""

    reading: Reading
    message: Message
    judged: Judged | None
    seed: int
    all: Sequence[Judged] = ()
    given: Mapping[str, str] = field(default_factory=dict)  # what this element of a list is about, by property

    def choose(self, name: str, choices: Sequence[Any]) -> Any | None:
        words = [choice for choice in choices if isinstance(choice, str)]
        if self.given.get("choice") in words:
            return self.given["choice"]
        if self.judged is not None and self.judged.label in words and name.lower() in LABEL_NAMES:
            return self.judged.label
        if climbs := _climb_choices(words):
            return climbs[0] if self.judged is not None and self.judged.escalate else climbs[1]
        if self.judged is not None and self.judged.facts.get(name) in words:
            return self.judged.facts[name]
        if words and set(words) <= _SEVERITIES.keys():
            severity = self._severity()
            return severity if severity in words else words[0]
        return best_choice(self.given.get("goal", self.message.text), words)

    def scalar(self, name: str, kind: str, node: Json) -> str | float | bool | None:
        key = name.lower()
        if key in self.given and kind == "string":
            return self.given[key]
        match kind:
            case "boolean":
                if "escalat" in key:
                    return self.judged is not None and self.judged.escalate
                return True if roots(key.replace("_", " ")) & roots(self.message.text) else None
            case "number" | "integer":
                return self._number(key, node)
            case _:
                return self._text(key, node)

    def elements(self, name: str, items: Json) -> "Sequence[Answers]":
        properties = items.get("properties", {})
        if self.all and (
            _codes(items)
            or any(_codes(child) for child in properties.values())
            or "id" in properties
            or any(label in properties for label in LABEL_NAMES)
        ):
            return [replace(self, message=one.message, judged=one, all=()) for one in self.all]
        if "goal" in properties or "task" in properties:
            return [self._about(goal=goal, task=goal) for goal in self._goals()]
        if "finding" in properties or "tool" in properties:
            return [self._about(tool=tool, finding=finding, quote=finding) for tool, finding in self._findings()]
        if (told := _TOLD.match(items.get("pattern", ""))) is not None:
            names = told["names"].replace("\\", "").split("|")
            return [self._about(**{name.lower(): f"{each}={value}"}) for each, value in self._stated(names)]
        if "enum" in items:
            return self._chosen(items["enum"])
        if properties or items.get("type") != "string":
            return ()
        if any(word in name.lower() for word in ("action", "step", "recommend", "next")):
            return [self._about(**{name.lower(): action}) for action in self._actions()]
        return [self._about(**{name.lower(): word}) for word in salient(self.message.text, 3)]

    def _about(self, **given: str) -> "Answers":
        return replace(self, given=given, all=())

    def _chosen(self, choices: Sequence[Any]) -> "Sequence[Answers]":
        """One element: the choice that the goal, or the message, speaks of; by its description where it has one."""
        wanted = roots(self.given.get("goal", self.message.text))
        described = self.reading.described

        def fit(choice: Any) -> int:
            about = described[choice].text if choice in described else ""
            return len(roots(f"{choice} {about}") & wanted)

        best = max(choices, key=fit, default=None)
        return [self._about(choice=str(best))] if best is not None else ()

    def _number(self, key: str, node: Json) -> float | None:
        if any(word in key for word in ("confidence", "probability", "certainty")):
            confidence = self.judged.confidence if self.judged is not None else 0.5
            return confidence * 100 if node.get("maximum") == 100 else confidence
        if "priority" in key or "urgency" in key:
            if self.judged is not None and self.judged.priority is not None:
                return self.judged.priority
            spread = uniforms(self.seed, "priority", self.message.text)[0]
            return _SEVERITIES[self._severity()] + round(12 * spread) - 6
        return find_number(key, self.message.text)

    def _stated(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Those of the names that the message has a value for, by what the instructions say each is."""
        for name in names:
            described = self.reading.described.get(name)
            kind = described.aside if described is not None else ""
            value: Any
            if kind.startswith("one of "):
                value = self.choose(name, kind.removeprefix("one of ").split(", "))
            else:
                value = self.scalar(name, kind if kind in ("boolean", "number", "integer") else "string", {})
            if value is not None:
                value = round(value) if kind == "integer" else value
                yield name, str(value).lower() if kind == "boolean" else str(value)

    def _written(self) -> str | None:
        """The answer about the message in the form that the instructions want."""
        form, judged = self.reading.form, self.judged
        if form is None or judged is None:
            return None
        sure = judged.sure
        if sure is None:
            steps = 10**form.digits
            sure = f"{min(steps - 1, int(judged.confidence * steps)):0{form.digits}d}"
        parts = {"id": self.message.id or "", "code": form.codes.get(judged.label, ""), "sure": sure}
        return "".join(parts[part] for part in form.parts)

    def _text(self, key: str, node: Json) -> str | None:
        if _codes(node):
            return self._written()
        if key == "id":
            return self.message.id
        if "cause" in key:
            return self._cause()
        if any(word in key for word in ("summary", "result", "reason", "explanation", "rationale", "answer", "title")):
            return self._summary()
        fact = self.judged.facts.get(key) if self.judged is not None else None
        if isinstance(fact, str) and fact in self.message.text:
            return fact
        described = self.reading.described.get(key)
        pattern = node.get("pattern") or (described.pattern if described is not None else None)
        return find_text(key, self.message.text, pattern)

    def _severity(self) -> str:
        """As the instructions say of the label; else by the words of the text."""
        label = self.judged.label if self.judged is not None else ""
        described = self.reading.described.get(label)
        if described is not None and described.severity in _SEVERITIES:
            return described.severity
        if is_catch_all(label):
            return "info"
        return next((severity for severity, cue in _CUES if cue.search(self.message.text)), "info")

    def _summary(self) -> str:
        """The beginning of the message, and after tools the first thing that they said."""
        summary = extract(self.message.text)
        found = self._findings()
        if self.reading.shown and found:
            summary += f" According to {found[0][0]}: {extract(found[0][1])}"
        cause = self._cause()
        return f"{summary} Cause: {cause}" if self.reading.shown and cause is not None else summary

    def _cause(self) -> str | None:
        """A cause that the request itself states: the tools' outputs first, then the message."""
        for text in (*(shown.text for shown in self.reading.shown), self.message.text):
            if (match := _CAUSE.search(text)) is not None:
                return extract(match[0].strip())
        return None

    def _findings(self) -> list[tuple[str, str]]:
        """(tool, finding): of each output the piece nearest to the message, word for word; else the message itself."""
        found = [finding for shown in self.reading.shown for finding in _quotes(shown, self.message.text)]
        return found or [("message", extract(self.message.text))]

    def _goals(self) -> list[str]:
        words = " ".join(salient(self.message.text)) or "this message"
        count = 2 + int(2 * uniforms(self.seed, "plan", self.message.text)[0])
        return [goal.format(words) for goal in _GOALS[:count]]

    def _actions(self) -> list[str]:
        if self._severity() == "info":
            return []
        words = " ".join(salient(self.message.text, 3))
        cause = self._cause()
        first = f"Confirm and remove the cause: {cause}" if cause is not None else f"Find out what is behind {words}"
        return [first, f"Watch whether more about {words} comes in"]


def _climb_choices(words: Sequence[str]) -> tuple[str, str] | None:
    """(escalate, resolved) where a choice is between the two."""
    climb = next((word for word in words if word.lower().startswith("escalat")), None)
    done = next((word for word in words if word.lower().startswith("resol")), None)
    return (climb, done) if climb is not None and done is not None else None


def _quotes(shown: Shown, text: str) -> list[tuple[str, str]]:
    if shown.tool == "report":
        reported = [(match["tool"], match["finding"]) for match in _REPORTED.finditer(shown.text)]
        return reported or [("report", extract(shown.text))]
    pieces = _pieces(shown.text)
    if not pieces:
        return [(shown.tool, "nothing found")]
    wanted = roots(text)
    best = max(pieces, key=lambda piece: len(roots(piece) & wanted))
    return [(shown.tool, best[:_FINDING_CHARS_MAX])]


def _pieces(output: str) -> list[str]:
    """The entries of a JSON list, else the lines of a text."""
    try:
        data = orjson.loads(output)
    except orjson.JSONDecodeError:
        return [line.strip() for line in output.splitlines() if line.strip()]
    if isinstance(data, list):
        return [entry if isinstance(entry, str) else orjson.dumps(entry).decode() for entry in data]
    return [output] if data not in ({}, "", None) else []
