"""Lag and what it amounts to, from looks at offsets."""

import pytest

from streams.console.groups import Groups, Look, Member
from tests.fakes import ManualClock
from tests.unit.console import build

TRIAGE = Member("triage", "worker …1", "10.0.0.1", (("logs", 0), ("logs", 1)))


def look(at_s: float, done: int, end: int, *, members: tuple[Member, ...] = (TRIAGE,)) -> Look:
    at = ("logs", 0)
    return Look(at_s=at_s, first={at: 0}, end={at: end}, committed={at: done}, members=members)


def verdict(*looks: Look) -> str:
    groups = Groups(build.policy(), ManualClock(looks[-1].at_s + 1 if looks else 0))
    for one in looks:
        groups.looked("triage", one)
    return str(groups.state()["triage"]["verdict"])


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([], "unknown"),
        ([look(0, 5, 5)], "keeping up"),
        ([look(0, 5, 5, members=())], "idle"),
        ([look(0, 5, 9, members=())], "nobody"),
        ([look(3 * n, 0, 10) for n in range(6)], "standing still"),
        ([look(3 * n, 100 * n, 200 * n) for n in range(10)], "falling behind"),
        ([look(3 * n, 30 * n, 5_000) for n in range(10)], "catching up"),
        ([look(3 * n, 90 * n, 90 * n + 20) for n in range(10)], "keeping up"),
    ],
)
def test_verdicts(looks: list[Look], told: str) -> None:
    assert verdict(*looks) == told


def test_an_old_look_says_nothing_of_now() -> None:
    groups = Groups(build.policy(), ManualClock(60))
    groups.looked("triage", look(40, 5, 5))
    assert groups.state()["triage"]["verdict"] == "unknown"


def test_rates_and_lag() -> None:
    groups = Groups(build.policy(), ManualClock(12))
    for n in range(3):
        groups.looked("triage", look(3 * n, 60 * n, 90 * n + 30))
    state = groups.state()
    assert (state["triage"]["lag"], state["triage"]["per_s"], state["inputs"]["per_s"]) == (90, 20.0, 30.0)
    assert state["triage"]["drain_s"] == 4.5
    assert state["triage"]["age_s"] == 6.0
    assert groups.workers() == [
        {"stage": "triage", "client": "worker …1", "host": "10.0.0.1", "partitions": 2, "topics": ["logs"]}
    ]


def test_a_group_that_has_committed_nothing_begins_where_the_policy_says() -> None:
    at = ("logs", 0)
    seen = Look(at_s=0, first={at: 3}, end={at: 10}, committed={}, members=(TRIAGE,))
    for start, lag in (("earliest", 7), ("latest", 0)):
        policy = build.policy()
        stream = policy.streams["logs"].model_copy(update={"start": start})
        groups = Groups(policy.model_copy(update={"streams": {"logs": stream}}), ManualClock())
        groups.looked("triage", seen)
        assert groups.state()["triage"]["lag"] == lag


def test_what_is_parked_is_no_lag() -> None:
    logs, parked = ("logs", 0), ("sluice.parked", 0)
    groups = Groups(build.policy(), ManualClock(0))
    ends = {logs: 5, parked: 9}
    groups.looked(
        "triage", Look(at_s=0, first=dict.fromkeys(ends, 0), end=ends, committed={logs: 5}, members=(TRIAGE,))
    )
    state = groups.state()["triage"]
    assert (state["lag"], state["parked"], state["verdict"]) == (0, 9, "keeping up")
