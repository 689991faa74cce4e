"""What climbs, where to, and which reason is told."""

import pytest

from processors.gate import Gate
from processors.policy import Rule
from processors.rules import Rules
from tests.fakes import ManualClock
from tests.unit.triage.build import LABELS, item, stream
from topics.messages import Verdict


def verdict(label: str = "routine", confidence: float | None = 0.9) -> Verdict:
    return Verdict(
        tier="nano",
        label=label,
        severity=None,
        confidence=confidence,
        priority=1,
        fields={},
        summary=None,
        model="nano",
    )


def rule(escalate: str) -> Rule:
    found = Rules(stream(rules=[{"name": "page", "when": {"text": ""}, "then": {"escalate": escalate}}])).first(
        item("a")
    )
    assert found is not None
    return found.rule


def climbs(given: Verdict, *, by_rule: str | None = None, **settings):
    labels = LABELS | {"fraud": {"means": "A payment they did not make", "escalate": "flagship"}}
    gate = Gate(stream(labels=labels), "v1", ManualClock(1_800_000_005.0))
    return gate.escalation(item("a", **settings), given, rule(by_rule) if by_rule else None)


@pytest.mark.parametrize(
    ("given", "by_rule", "asked", "to", "reason"),
    [
        (verdict(), None, None, None, None),
        (verdict(confidence=0.7), None, None, None, None),
        (verdict(confidence=None), None, None, None, None),
        (verdict(confidence=0.69), None, None, "mini", "confidence"),
        (verdict("alert"), None, None, "mini", "label"),
        (verdict("alert", 0.1), None, None, "mini", "label"),
        (verdict("fraud", 0.1), None, None, "flagship", "label"),
        (verdict("noise", 0.1), None, None, None, None),
        (verdict("noise", 0.1), "mini", None, "mini", "rule"),
        (verdict("noise", 0.1), None, "mini", "mini", "requested"),
        (verdict("alert"), "mini", None, "mini", "rule"),
        (verdict("alert"), "flagship", "mini", "flagship", "rule"),
        (verdict("fraud"), "mini", "mini", "flagship", "label"),
        (verdict("fraud"), "flagship", "flagship", "flagship", "requested"),
    ],
)
def test_the_highest_tier_wins(given, by_rule, asked, to, reason):
    escalation = climbs(given, by_rule=by_rule, asked_tier=asked)
    assert (escalation and escalation.to, escalation and escalation.reason) == (to, reason)


@pytest.mark.parametrize(
    ("given", "by_rule", "asked", "detail"),
    [
        (verdict(confidence=0.52), None, None, "confidence 0.52 < 0.7"),
        (verdict("alert"), None, None, "label 'alert' goes to mini"),
        (verdict(), "flagship", None, "rule 'page' sends it to flagship"),
        (verdict(), None, "flagship", "header sluice-escalate: flagship"),
    ],
)
def test_the_reason_in_words(given, by_rule, asked, detail):
    assert climbs(given, by_rule=by_rule, asked_tier=asked).detail == detail


def test_an_escalation_carries_the_whole_text_the_verdict_and_the_senders_deadline():
    given = verdict("alert")
    escalation = climbs(given, full_text="a, and more of it", truncated=True, template="<*>", session="s1")
    assert escalation.text == "a, and more of it"
    assert not escalation.truncated  # the agents' text has room for what nano was not shown
    assert escalation.verdicts == (given,)
    assert escalation.escalated_at_ms == 1_800_000_005_000
    assert escalation.deadline_ms == 1_800_000_000_000 + 2_000  # the record's timestamp and the stream's deadline
    assert (escalation.template, escalation.session, escalation.policy_version) == ("<*>", "s1", "v1")


def test_an_agent_is_told_that_its_text_was_cut():
    assert climbs(verdict("alert"), full_text="a", truncated=True, full_truncated=True).truncated


def by_value(given: Verdict, *, missed: float = 40, by_rule: str | None = None, prices=None, **settings):
    """Three labels, of which only `alert` has to climb."""
    valued = stream(value={"missed_usd": missed, "needless_usd": 5})
    gate = Gate(valued, "v1", ManualClock(1_800_000_005.0), prices=prices or {"mini": 0.004, "flagship": 0.1})
    return gate.escalation(item("a", **settings), given, rule(by_rule) if by_rule else None)


@pytest.mark.parametrize(
    ("given", "by_rule", "asked", "to", "reason"),
    [
        (verdict(confidence=0.1), None, None, "mini", "value"),  # 0.45 · 0.9 · 40 > 0.55 · 5
        (verdict(confidence=0.69), None, None, "mini", "value"),  # 0.155 · 0.9 · 40 > 0.845 · 5
        (verdict(confidence=0.9), None, None, None, None),  # 0.05 · 0.9 · 40 < 0.95 · 5
        (verdict("alert", 0.9), None, None, "mini", "value"),
        (verdict("alert", 0.05), None, None, None, None),  # an alert that hardly is one
        (verdict("alert", None), None, None, "mini", "value"),
        (verdict("noise", 0.1), None, None, None, None),
        (verdict("noise", 0.1), "mini", None, "mini", "rule"),
        (verdict(confidence=0.9), None, "flagship", "flagship", "requested"),
        (verdict("alert", 0.9), "flagship", None, "flagship", "rule"),
    ],
)
def test_money_takes_the_place_of_label_and_confidence(given, by_rule, asked, to, reason):
    escalation = by_value(given, by_rule=by_rule, asked_tier=asked)
    assert (escalation and escalation.to, escalation and escalation.reason) == (to, reason)


def test_an_agent_that_costs_more_than_a_miss_is_not_asked():
    assert by_value(verdict("alert"), missed=0.2, prices={"mini": 0.5, "flagship": 1.0}) is None


def test_the_reason_in_words_of_money():
    detail = by_value(verdict(confidence=0.76), missed=50).detail
    assert detail == "a miss costs 50 USD at 12%, a needless climb 5 USD, mini 0.004 USD"


def test_a_dear_miss_is_told_without_an_exponent():
    assert by_value(verdict("alert"), missed=250_000).detail.startswith("a miss costs 250,000 USD at 9")
