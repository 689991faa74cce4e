"""Counts, money and paths, from records that are handed in."""

import pytest

from processors import baseline
from tests.fakes import ManualClock
from tests.unit.console import build
from topics import limits

NOW_S = 1_800_000_000.0


def test_rates_are_of_the_last_ten_full_seconds() -> None:
    clock = ManualClock(NOW_S)
    view = build.view(clock)
    for number in range(50):
        view.decision(build.decision(number), int((NOW_S - 6) * 1000))
    assert view.state()["flow"]["decisions"]["per_s"] == 5.0
    assert view.state()["flow"]["decisions"]["series"][-3] == 25.0


async def test_what_is_older_than_an_hour_is_forgotten() -> None:
    clock = ManualClock(NOW_S)
    view = build.view(clock)
    view.decision(build.decision(), int(NOW_S * 1000))
    assert view.state()["decided"]["hour"] == 1
    await clock.advance(3_700)
    view.decision(build.decision(1, decided_by="memory"), int(clock.time() * 1000))
    assert view.state()["decided"]["means"] == [{"means": "memory", "count": 1}]


def test_a_sample_is_scaled_to_what_the_offsets_say_and_the_page_is_told() -> None:
    view = build.view(ManualClock(NOW_S))
    for number in range(30):
        view.decision(build.decision(number, decided_by="rule" if number % 3 else "nano"), int(NOW_S * 1000))
    assert view.state()["sampled"] is None
    view.skipped(270)
    state = view.state()
    assert state["decided"]["hour"] == 300
    assert {part["means"]: part["count"] for part in state["decided"]["means"]} == {"rule": 200, "nano": 100}
    assert state["sampled"] == 0.1


def test_money_is_beside_one_plain_call_for_each_judged_message() -> None:
    view = build.view(ManualClock(NOW_S))
    at_ms = int(NOW_S * 1000)
    view.sizes.measure(
        "logs", [build.Record(value=b"a" * 100), build.Record(value=b"b" * 300), build.Record(value=None)]
    )
    for number in range(10):
        view.decision(build.decision(number, label="ignored" if number == 0 else "routine"), at_ms)
    view.decisions_since_ms = at_ms - 60_000
    view.spend(build.spend(NOW_S, 500))
    view.spend(build.spend(NOW_S, 2_000, tier="mini"))
    money = view.state()["money"]
    assert money["usd"] == {"nano": 0.0005, "mini": 0.002, "flagship": 0.0}
    assert money["one_call_each_usd"] == pytest.approx(9 * baseline.call_usd(view.policy, "logs", 200), abs=1e-6)
    assert money["reckoned"][0]["sample"] == 2
    assert money["seconds"] == 60


def test_without_a_look_at_the_inputs_one_call_each_is_not_guessed() -> None:
    view = build.view(ManualClock(NOW_S))
    view.decision(build.decision(), int(NOW_S * 1000))
    assert view.state()["money"]["one_call_each_usd"] is None


async def test_budgets_count_their_own_period() -> None:
    clock = ManualClock(NOW_S)  # 08:00:00 UTC
    daily = {"budgets": {"total": {"usd_per_day": 1.0}, "tenants": {"acme": {"usd_per_day": 0.5}}}}
    view = build.view(clock, **daily)
    view.spend(build.spend(NOW_S, 250_000))
    view.spend(build.spend(NOW_S, 50_000, tenant="another"))
    assert {one["of"]: one["spent_usd"] for one in view.state()["budgets"]} == {
        "stream logs": 0.3,
        "the whole policy": 0.3,
        "tenant acme": 0.25,
    }
    await clock.advance(3_600)
    spent = {one["of"]: one["spent_usd"] for one in view.state()["budgets"]}
    assert spent == {"stream logs": 0.0, "the whole policy": 0.3, "tenant acme": 0.25}
    await clock.advance(86_400)
    assert not any(one["spent_usd"] for one in view.state()["budgets"])


def test_calls_that_were_refused_by_a_limit_or_failed_are_told_apart_and_so_are_simulated_answers() -> None:
    view = build.view(ManualClock(NOW_S))
    view.spend(build.spend(NOW_S, 10, latency_ms=120.0, simulated=True))
    view.spend(build.spend(NOW_S, 10, latency_ms=80.0))
    view.spend(build.spend(NOW_S, 0, status=429))
    view.spend(build.spend(NOW_S, 0, status=0))
    nano = view.state()["models"][0]
    told = {name: nano[name] for name in ("calls_per_min", "limited", "failed", "cached", "latency_ms")}
    assert told == {"calls_per_min": 4, "limited": 1, "failed": 1, "cached": 0.25, "latency_ms": 120.0}
    assert view.state()["simulated"] == 0.5


def test_a_path_is_put_together_in_whatever_order_its_parts_come() -> None:
    view = build.view(ManualClock(NOW_S))
    view.resolution(build.resolution(7), 3)
    view.alert("", build.alert(7), 4)
    view.escalation(build.escalation(7), 2)
    view.decision(build.decision(7, label="outage", severity="critical", escalated_to="mini"), 1)
    path = view.message("logs/0/7")
    assert path is not None
    assert path["decision"]["label"] == "outage"
    assert path["escalations"]["mini"]["reason"] == "label"
    assert path["resolutions"]["mini"]["status"] == "resolved"
    assert [alert["id"] for alert in path["alerts"]] == [build.alert(7)["id"]]
    assert view.message("logs/0/8") is None


def test_what_nobody_has_to_look_at_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.console.journeys.CONSOLE_PASSING_MAX", 3)
    monkeypatch.setattr("streams.console.journeys.CONSOLE_JOURNEYS_MAX", 5)
    view = build.view(ManualClock(NOW_S))
    for number in range(4):
        view.decision(build.decision(number, severity="warning"), 1)
    for number in range(10, 20):
        view.decision(build.decision(number), 1)
    assert all(view.message(f"logs/0/{number}") for number in range(4))
    assert [n for n in range(10, 20) if view.message(f"logs/0/{n}")] == [17, 18, 19]
    for number in range(20, 24):
        view.decision(build.decision(number, severity="warning"), 1)
    assert [n for n in range(30) if view.message(f"logs/0/{n}")] == [3, 17, 18, 19, 20, 21, 22, 23]


def test_the_inbox_lists_firing_first_and_keeps_how_it_was_told() -> None:
    view = build.view(ManualClock(NOW_S))
    view.alert("", build.alert(1, started_ms=1), 1)
    view.alert("", build.alert(2, started_ms=2, status="resolved"), 2)
    view.alert("", build.alert(1, started_ms=1, revision=2, reviewed_by="mini"), 3)
    view.alert("", build.alert(1, started_ms=1, revision=2, reviewed_by="mini"), 3)  # told again after a crash
    view.alert("", build.alert(3, started_ms=3), 4)
    ids = [one["fingerprint"][-1] for one in view.alerts(0)["listed"]]
    assert ids == ["3", "1", "2"]
    one = view.one_alert(build.alert(1, started_ms=1)["id"])
    assert one is not None
    assert [step["revision"] for step in one["revisions"]] == [1, 2]
    view.alert(build.alert(3, started_ms=3)["id"], None, 5)
    assert view.state()["alerts"]["firing"] == 1


def test_a_full_inbox_forgets_resolved_alerts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.console.inbox.CONSOLE_ALERTS_MAX", 2)
    view = build.view(ManualClock(NOW_S))
    view.alert("", build.alert(1, started_ms=1), 1)
    view.alert("", build.alert(2, started_ms=2, status="resolved"), 2)
    view.alert("", build.alert(3, started_ms=3), 3)
    assert [one["fingerprint"][-1] for one in view.alerts(0)["listed"]] == ["3", "1"]


def test_lists_are_paged() -> None:
    view = build.view(ManualClock(NOW_S))
    for number in range(limits.CONSOLE_PAGE_MAX + 5):
        view.alert("", build.alert(number, started_ms=number), number)
    assert len(view.alerts(0)["listed"]) == limits.CONSOLE_PAGE_MAX
    assert len(view.alerts(limits.CONSOLE_PAGE_MAX)["listed"]) == 5
    assert view.alerts(0)["total"] == limits.CONSOLE_PAGE_MAX + 5
