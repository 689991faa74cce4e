"""What counts toward which alert: labels, fingerprints, and the lines of a template."""

from typing import Any

import pytest

from processors.bursts import Bursts
from processors.signals import Signals, bounded, event_ms, fingerprint
from tests.unit.alerts.build import BEGIN_MS, alerts
from topics.limits import ALERT_LABEL_CHARS_MAX, BURST_TEMPLATES_MAX
from topics.messages import Decision, Escalation, Resolution, Signal, Source, Tokens, Verdict

SOURCE = Source("in", 0, 7, None, BEGIN_MS)
NOW_MS = BEGIN_MS + 5_000
PLACE = ("in", 0)


def decision(**more: Any) -> Decision:
    values: dict[str, Any] = {
        "id": "in/0/7",
        "source": SOURCE,
        "stream": "logs",
        "tenant": "acme",
        "label": "outage",
        "severity": "critical",
        "confidence": 0.9,
        "priority": 90,
        "fields": {"service": "pay", "cause": None, "count": 3, "again": True},
        "summary": None,
        "template": "disk <*> full",
        "session": None,
        "decided_by": "nano",
        "model": "m",
        "policy_version": "v",
        "escalated_to": None,
        "batch_size": 1,
        "tokens": Tokens(),
        "cost_usd_micros": 0,
        "latency_ms": 1,
    }
    return Decision(**values | more)


def verdict(tier: Any, **more: Any) -> Verdict:
    values = {"label": "outage", "severity": "critical", "fields": {"service": "pay"}, "summary": f"{tier} says"}
    return Verdict(**{"tier": tier, "confidence": 0.5, "priority": 90, "model": "m"} | values | more)


def escalation(to: Any, *verdicts: Verdict) -> Escalation:
    return Escalation(
        id="in/0/7",
        source=SOURCE,
        stream="logs",
        tenant="acme",
        kind="log",
        to=to,
        reason="label",
        detail="",
        text="",
        truncated=False,
        template=None,
        session=None,
        verdicts=verdicts,
        policy_version="v",
        escalated_at_ms=NOW_MS,
        deadline_ms=None,
    )


def resolution(**more: Any) -> Resolution:
    values = {"label": "outage", "severity": "warning", "summary": "found it", "actions": ("one", "two")}
    return Resolution(
        id="in/0/7",
        source=SOURCE,
        stream="logs",
        tenant="acme",
        tier="flagship",
        status="resolved",
        bound=None,
        priority=90,
        confidence=0.9,
        evidence=(),
        plan=(),
        verdicts=(),
        model="m",
        turns=1,
        tool_calls=0,
        tokens=Tokens(),
        cost_usd_micros=0,
        latency_ms=1,
        trace="0" * 32,
        policy_version="v",
        **values | more,
    )


def said(signals: Signals, told: Decision) -> Signal:
    signal = signals.decided(told, NOW_MS)
    assert signal is not None
    return signal


def test_a_decision_with_a_severity_counts_once_toward_the_alert_of_its_labels() -> None:
    signal = said(Signals("logs", alerts(group_by=["service", "cause", "count", "again"])), decision())
    own = {"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "acme"}
    assert signal.labels == own | {"service": "pay", "cause": "", "count": "3", "again": "true"}
    assert (signal.says, signal.count, signal.at_ms, signal.id) == ("decided", 1, BEGIN_MS, "in/0/7")
    assert signal.summary == "disk <*> full"
    assert signal.fingerprint == fingerprint(signal.labels)


def test_a_decision_without_a_severity_says_nothing() -> None:
    assert Signals("logs", alerts()).decided(decision(severity=None), NOW_MS) is None


def test_fingerprints_differ_where_labels_do_and_not_with_their_order() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    different = [{"a": "bc"}, {"ab": "c"}, {"a": "b", "c": ""}, {"a": 'b","c'}, {}]
    assert len({fingerprint(labels) for labels in different}) == len(different)


def test_what_the_policy_adds_to_an_alert_is_no_part_of_its_fingerprint() -> None:
    plain, labelled = (Signals("logs", alerts(labels=labels)) for labels in ({}, {"team": "platform"}))
    assert said(plain, decision()) == said(labelled, decision())


def test_values_of_messages_are_bounded_and_stay_apart() -> None:
    signals = Signals("logs", alerts())
    one, other = (said(signals, decision(fields={"service": "x" * 10_000 + end})) for end in "ab")
    assert len(one.labels["service"]) == ALERT_LABEL_CHARS_MAX
    assert one.fingerprint != other.fingerprint
    assert bounded("x" * ALERT_LABEL_CHARS_MAX) == "x" * ALERT_LABEL_CHARS_MAX


@pytest.mark.parametrize(("timestamp_ms", "expected"), [(5, 5), (-1, NOW_MS), (NOW_MS + 1, NOW_MS)])
def test_a_time_that_is_missing_or_has_not_come_is_now(timestamp_ms: int, expected: int) -> None:
    assert event_ms(timestamp_ms, NOW_MS) == expected


def test_reviews_belong_to_the_alert_of_triages_decision() -> None:
    signals, decided = Signals("logs", alerts()), said(Signals("logs", alerts()), decision())
    climbing = escalation("flagship", verdict("nano"), verdict("mini", label="routine", severity=None))
    mini = signals.reviewed(escalation("mini", verdict("nano")), climbing, NOW_MS)
    flagship = signals.reviewed(climbing, resolution(), NOW_MS)
    assert mini is not None
    assert flagship is not None
    for signal in (mini, flagship):
        assert (signal.fingerprint, signal.labels) == (decided.fingerprint, decided.labels)
        assert (signal.says, signal.count, signal.at_ms, signal.id) == ("reviewed", 0, BEGIN_MS, "in/0/7")
    assert (mini.tier, mini.label, mini.severity, mini.summary) == ("mini", "routine", None, "mini says")
    assert (flagship.tier, flagship.severity, flagship.actions) == ("flagship", "warning", ("one", "two"))


def test_a_review_of_what_counts_for_nothing_says_nothing() -> None:
    signals = Signals("logs", alerts())
    assert signals.reviewed(escalation("mini", verdict("nano", severity=None)), resolution(), NOW_MS) is None


def lines(bursts: Bursts, at_ms: int, *templates: str, tenant: str = "acme") -> list[tuple[str, int, int]]:
    """What is told after these lines of one batch: template, count, second."""
    for number, template in enumerate(templates):
        bursts.count(PLACE, tenant, template, at_ms, f"in/0/{number}")
    return [(signal.summary or "", signal.count, signal.at_ms // 1000) for signal in bursts.due(PLACE)]


def test_a_templates_lines_are_told_once_a_second_of_event_time() -> None:
    bursts = Bursts("logs", 100)
    assert lines(bursts, 1_000, "a", "a", "b") == []
    assert lines(bursts, 1_900, "a", "b") == []
    assert lines(bursts, 2_000, "c") == [("a", 3, 1), ("b", 2, 1)]
    assert lines(bursts, 3_000, "d") == []


def test_a_single_line_is_kept_until_there_is_another() -> None:
    bursts = Bursts("logs", 100)
    assert lines(bursts, 1_000, "a") == []
    assert lines(bursts, 5_000, "a") == []
    assert lines(bursts, 6_000, "b") == [("a", 2, 5)]


def test_half_a_burst_in_one_second_is_told_at_once_and_its_rest_later() -> None:
    bursts = Bursts("logs", 100)
    assert lines(bursts, 1_000, *["a"] * 70) == [("a", 50, 1)]
    assert lines(bursts, 1_500, *["a"] * 70) == []
    assert lines(bursts, 2_000, "a") == [("a", 90, 1)]


def test_no_line_is_lost_or_told_twice_whatever_the_order_of_time() -> None:
    bursts = Bursts("logs", 10)
    told = sum(count for at in (5, 1, 5, 9, 2, 2, 9, 1) for _, count, _ in lines(bursts, at * 1_000, *"aab"))
    told += sum(count for _, count, _ in lines(bursts, 60_000, "z"))
    assert told == 8 * 3


def test_tenants_and_partitions_are_counted_apart() -> None:
    bursts = Bursts("logs", 100)
    lines(bursts, 1_000, "a", "a", tenant="acme")
    lines(bursts, 1_000, "a", "a", "a", tenant="umbrella")
    bursts.count(("in", 1), "acme", "a", 90_000, "in/1/0")
    assert [signal.count for signal in bursts.due(("in", 1))] == []
    assert lines(bursts, 2_000, "z") == [("a", 2, 1), ("a", 3, 1)]


def test_lines_of_a_burst_have_labels_of_their_own() -> None:
    bursts = Bursts("logs", 2)
    for _ in range(2):
        bursts.count(PLACE, "acme", "t" * 1_000, 1_000, "in/0/3")
    (signal,) = bursts.due(PLACE)
    assert signal.labels == {
        "alertname": "burst",
        "severity": "warning",
        "stream": "logs",
        "tenant": "acme",
        "template": bounded("t" * 1_000),
    }
    assert (signal.says, signal.id, signal.fingerprint) == ("lines", "in/0/3", fingerprint(signal.labels))


def test_a_partition_that_goes_takes_its_lines_with_it() -> None:
    bursts = Bursts("logs", 100)
    lines(bursts, 1_000, "a", "a")
    bursts.forget(PLACE)
    assert lines(bursts, 2_000, "b") == []


def test_of_too_many_templates_the_oldest_is_told_and_let_go() -> None:
    bursts = Bursts("logs", 100)
    lines(bursts, 1_000, "first", "first")
    told = lines(bursts, 1_000, *(f"t{number}" for number in range(BURST_TEMPLATES_MAX)))
    assert told == [("first", 2, 1)]
