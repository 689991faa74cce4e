"""Rules: the first that holds, and what each condition means."""

import pytest
from pydantic import ValidationError

from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.rules import Rules
from tests.unit.normalise.records import FakeRecord
from tests.unit.triage.build import item, stream
from topics.limits import RULE_TEXT_CHARS_MAX


def rules(*whens: dict, **then) -> Rules:
    """Rules r0, r1, … with these conditions, all with the same consequence."""
    return Rules(
        stream(
            rules=[
                {"name": f"r{n}", "when": when, "then": then or {"label": "routine"}} for n, when in enumerate(whens)
            ]
        )
    )


def holds(when: dict, text: str = "", **settings) -> bool:
    return rules(when).first(item(text, **settings)) is not None


def test_the_first_that_holds_counts():
    found = rules({"text": "b"}, {"text": "a"}, {"text": "a|c"}).first(item("a"))
    assert found is not None
    assert found.rule.name == "r1"


def test_no_rule_holds():
    assert rules({"text": "x"}).first(item("a")) is None


@pytest.mark.parametrize(
    ("value", "at_least", "expected"),
    [
        ("crit", "crit", True),
        ("EMERG", "crit", True),
        ("fatal", "crit", True),
        ("error", "crit", False),
        ("warn", "warning", True),
        (2, "crit", True),  # syslog's own number: 2 is crit, 3 is err
        ("3", "crit", False),
        ("nonsense", "debug", False),
        (True, "debug", False),
        (7.5, 7.5, True),
        ("8", 7.5, True),
        (7, 7.5, False),
        ("soon", 7.5, False),
        (None, 7.5, False),
    ],
)
def test_at_least(value, at_least, expected):
    assert holds({"field": "f", "at_least": at_least}, fields={"f": value}) is expected


def test_a_severity_that_does_not_exist_is_refused_with_its_remedy():
    with pytest.raises(ValidationError, match=r"'awful' is neither a number nor a syslog severity: .*crit"):
        rules({"field": "syslog.severity", "at_least": "awful"})


@pytest.mark.parametrize(("value", "expected"), [("5", True), (5, True), (5.0, True), ("6", False), (None, False)])
def test_equals_does_not_ask_whether_the_sender_wrote_a_number_or_its_digits(value, expected):
    assert holds({"field": "f", "equals": 5}, fields={"f": value}) is expected


def test_matches_searches_a_field():
    assert holds({"field": "subject", "matches": "(?i)invoice"}, fields={"subject": "Your INVOICE"})
    assert not holds({"field": "subject", "matches": "invoice"}, "invoice")


def test_text_and_field_must_both_hold():
    when = {"text": "disk", "field": "host", "equals": "db1"}
    assert holds(when, "disk full", fields={"host": "db1"})
    assert not holds(when, "disk full", fields={"host": "db2"})
    assert not holds(when, "all well", fields={"host": "db1"})


def test_an_expression_sees_a_bounded_text_the_newest_turns_of_a_dialogue():
    long = "start " + "x" * RULE_TEXT_CHARS_MAX + " end"
    assert holds({"text": "start"}, long)
    assert not holds({"text": "end"}, long)
    assert holds({"text": "end"}, long, kind="dialogue")


def test_priority_follows_severity_unless_the_rule_says_one():
    assert rules({"text": "a"}, label="alert").first(item("a")).verdict.priority == 90
    assert rules({"text": "a"}, label="alert", priority=3).first(item("a")).verdict.priority == 3
    assert rules({"text": "a"}, label="routine").first(item("a")).verdict.priority == 10


def test_a_rule_without_label_has_no_verdict():
    assert rules({"text": "a"}, escalate="flagship").first(item("a")).verdict is None


LINES = (
    b"<14>Nov 17 09:28:07 web-1 app[14743]: job 12 done",
    b"<10>Nov 17 09:28:07 web-2 app[20743]: job 12 done",
    b"<14>Nov 17 09:28:07 web-2 app[14743]: job 34 done",
    b'<165>1 2003-10-11T22:14:15.003Z web-1 app 8710 - [ex@1 i="3"] failed 12 times',
    b'<165>1 2003-10-11T22:14:15.003Z web-1 app 8710 - [ex@2 i="4"] failed 99 times',
    b"2026-11-17 09:06:18,592 INFO  [queue] generation 18 with 2 members",
    b"2026-11-17 09:06:18,592 INFO  [queue] generation 77 with 2 members",
)
WHENS = (
    {"text": "job 12"},
    {"text": r"job \d\d done"},
    {"text": "[17][28]"},
    {"text": "^info web-1"},
    {"text": r"members$"},
    {"field": "syslog.severity", "at_least": "crit"},
    {"field": "syslog.host", "equals": "web-1"},
    {"field": "syslog.pid", "at_least": 20_000},
    {"field": "syslog.ex@2.i", "equals": "4"},
    {"field": "log.level", "matches": "info", "text": "77"},
    {"field": "nowhere", "equals": "x"},
)


@pytest.mark.parametrize("when", WHENS, ids=str)
def test_a_rule_holds_for_a_glimpse_of_a_line_where_it_holds_for_all_of_it(when):
    """Lines of one layout come one after the other: what was found out about the first must not spoil the next."""
    subject = rules(when)
    normaliser = normaliser_for("logs", stream())
    for line in LINES * 2:
        record = FakeRecord(line)
        glimpse, read = normaliser.glimpse(record), normaliser.read(record)
        assert glimpse is not None
        assert isinstance(read, Item)
        assert subject.first(glimpse) == subject.first(read)
