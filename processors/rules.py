"""Rules: what a policy decides by itself, for free, before memory and before any model."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processors import severities
from processors.items import Item
from processors.policy import Rule, Stream, When
from topics.limits import RULE_TEXT_CHARS_MAX
from topics.messages import FieldValue, Severity, Verdict

_FieldTest = Callable[[FieldValue], bool]


# Without a `priority` of its own, a rule's label speaks by its severity, on the scale that nano is given.
_PRIORITY: Mapping[Severity | None, int] = {"critical": 90, "error": 70, "warning": 50, "info": 10, None: 10}


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds for a message. `verdict` is None where it leaves the label to the model."""

    rule: Rule
    verdict: Verdict | None


class Rules:
    """A stream's rules, compiled once."""

    def __init__(self, stream: Stream) -> None:
        self._rules = tuple((_condition(rule.when), Held(rule, _verdict(stream, rule))) for rule in stream.rules)

    def first(self, item: Item) -> Held | None:
        """The first rule that holds; it alone counts, also where it leaves the label to the model."""
        for holds, held in self._rules:
            if holds(item):
                return held
        return None


def _verdict(stream: Stream, rule: Rule) -> Verdict | None:
    if rule.then.label is None:
        return None
    severity = stream.labels[rule.then.label].severity
    return Verdict(
        tier="rule",
        label=rule.then.label,
        severity=severity,
        confidence=None,
        priority=_PRIORITY[severity] if rule.then.priority is None else rule.then.priority,
        fields={},
        summary=None,
        model=None,
    )


def _condition(when: When) -> Callable[[Item], bool]:
    search = re.compile(when.text).search if when.text is not None else None
    if when.field is None:
        assert search is not None, "When without field has text"
        return lambda item: search(_seen(item)) is not None
    name, test = when.field, _field_test(when)

    def holds(item: Item) -> bool:
        value = item.fields.get(name)
        return value is not None and test(value) and (search is None or search(_seen(item)) is not None)

    return holds


def _seen(item: Item) -> str:
    """What a regular expression sees: of a long mail or line the beginning, of a dialogue the newest turns."""
    if len(item.text) <= RULE_TEXT_CHARS_MAX:
        return item.text
    return item.text[-RULE_TEXT_CHARS_MAX:] if item.kind == "dialogue" else item.text[:RULE_TEXT_CHARS_MAX]


def _field_test(when: When) -> _FieldTest:
    if when.equals is not None:
        expected = when.equals
        # Syslog and headers know only text: 5 in a policy means "5" there.
        return lambda value: value == expected or str(value) == str(expected)
    if when.matches is not None:
        search = re.compile(when.matches).search
        return lambda value: search(str(value)[:RULE_TEXT_CHARS_MAX]) is not None
    assert when.at_least is not None, "When with field has exactly one test"
    if isinstance(when.at_least, str):
        least = severities.rank(when.at_least)
        assert least is not None, "When takes no other text"
        return lambda value: (rank := severities.rank(value)) is not None and rank >= least
    bound = when.at_least
    return lambda value: (number := _number(value)) is not None and number >= bound


def _number(value: FieldValue) -> float | None:
    try:
        return float(value) if value is not None and not isinstance(value, bool) else None
    except ValueError:
        return None
