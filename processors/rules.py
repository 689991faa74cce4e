"""Rules: what a policy decides by itself, for free, before memory and before any model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processors import severities
from processors.cache import Cache
from processors.errors import PatternTooSlow
from processors.items import Glimpse, Item
from processors.patterns import searching, with_any_digits
from processors.policy import Rule, Stream, When
from topics.limits import LINE_LAYOUTS_MAX, RULE_TEXT_CHARS_MAX
from topics.log_layouts import Layout
from topics.messages import FieldValue, Severity, Verdict

_FieldTest = Callable[[FieldValue], bool]


# Without a `priority` of its own, a rule's label speaks by its severity.
_PRIORITY: Mapping[Severity | None, int] = {"critical": 90, "error": 70, "warning": 50, "info": 10, None: 10}


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds for a message. `verdict` is None where it leaves the label to the model."""

    rule: Rule
    verdict: Verdict | None


class Rules:
    """A stream's rules, compiled once."""

    def __init__(self, stream: Stream) -> None:
        self._rules = tuple(_Rule(stream, rule) for rule in stream.rules)
        self._by_layout: Cache[Layout, tuple[_Rule, ...]] = Cache(LINE_LAYOUTS_MAX)

    def first(self, seen: Item | Glimpse) -> Held | None:
        """The first rule that holds; it alone counts, also where it leaves the label to the model."""
        rules = self._by_layout.get(seen.layout) if isinstance(seen, Glimpse) else self._rules
        for rule in self._rules_of(seen) if rules is None else rules:
            if rule.holds(seen):
                return rule.held
        return None

    def _rules_of(self, seen: Item | Glimpse) -> "tuple[_Rule, ...]":
        """Those that hold for some line of its layout, whichever its digits are: most often none."""
        assert isinstance(seen, Glimpse), "a whole message is asked about every rule"
        rules = tuple(rule for rule in self._rules if rule.may_hold(seen))
        self._by_layout.put(seen.layout, rules)
        return rules


class _Rule:
    """One rule, compiled."""

    def __init__(self, stream: Stream, rule: Rule) -> None:
        self.held = Held(rule, _verdict(stream, rule))
        when = rule.when
        self._search = searching(when.text) if when.text is not None else None
        self._search_any_digits = with_any_digits(when.text) if when.text is not None else None
        self._field = when.field
        self._test = _field_test(when) if when.field is not None else None

    def holds(self, seen: Item | Glimpse) -> bool:
        if self._test is not None and self._field is not None:
            value = seen.fields.get(self._field)
            if value is None or not self._test(value):
                return False
        return self._search is None or self._search(_seen(seen)) is not None

    def may_hold(self, line: Glimpse) -> bool:
        """Whether it holds for a line that differs from this one in digits, if at all."""
        if self._test is not None and self._field is not None and not _has_digits(self._field):
            value = line.fields.get(self._field)
            if value is None or not (_has_digits(str(value)) or self._test(value)):
                return False
        try:
            return self._search_any_digits is None or self._search_any_digits(_seen(line)) is not None
        except PatternTooSlow:
            return True  # it may be quick where digits are what they are


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


def _has_digits(text: str) -> bool:
    return any(digit in text for digit in "0123456789")


def _seen(item: Item | Glimpse) -> str:
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
        search = searching(when.matches)
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
