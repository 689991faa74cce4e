"""The life of alerts, in the words of a naive model and of what consumers may rely on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import incidents
from processors.incidents import Incident
from processors.policy import Alerts
from tests.unit.alerts.build import BURST, alerts, ms, review, signal
from topics import codec
from topics.limits import INCIDENT_BUCKETS, INCIDENT_REMEMBERED_SECONDS
from topics.messages import Alert, Signal


class Worker:
    """Keeps the incident of one fingerprint as a table does, and what it told."""

    def __init__(self, rules: Alerts | None = None) -> None:
        self.rules = rules or alerts()
        self.stored: bytes | None = None
        self.told: list[Alert] = []
        self.offset = 0

    @property
    def incident(self) -> Incident | None:
        return None if self.stored is None else codec.decode(Incident, self.stored)

    def hear(self, *signals: Signal) -> list[Alert]:
        """What these made it tell."""
        before = len(self.told)
        for one in signals:
            self.hear_at(self.offset, one)
            self.offset += 1
        return self.told[before:]

    def hear_at(self, offset: int, one: Signal) -> None:
        self._keep(*incidents.heard(self.incident, one, offset, self.rules))

    def wait(self, seconds: float) -> list[Alert]:
        """Until so many seconds after the beginning."""
        before = len(self.told)
        if (incident := self.incident) is not None:
            self._keep(*incidents.waited(incident, ms(seconds), self.rules))
        return self.told[before:]

    def _keep(self, incident: Incident | None, told: Sequence[Alert]) -> None:
        self.stored = None if incident is None else codec.encode(incident)
        self.told += told


def test_the_third_message_within_the_window_fires_and_silence_resolves() -> None:
    worker = Worker()
    assert worker.hear(signal(0), signal(10)) == []
    (fired,) = worker.hear(signal(50))
    assert (fired.status, fired.revision, fired.count, fired.endsAt) == ("firing", 1, 3, None)
    assert fired.id == f"{fired.fingerprint}-{ms(0)}"
    assert fired.startsAt == "2027-01-15T08:00:00.000Z"
    assert fired.evidence == ("in/0/0", "in/0/10", "in/0/50")
    assert worker.wait(139.9) == []
    (resolved,) = worker.wait(140)
    assert (resolved.id, resolved.status, resolved.revision) == (fired.id, "resolved", 2)
    assert resolved.endsAt == "2027-01-15T08:02:20.000Z"
    assert worker.wait(1_000) == []


def test_messages_further_apart_than_the_window_are_no_alert() -> None:
    worker = Worker()
    assert worker.hear(signal(0), signal(40), signal(61), signal(101), signal(122)) == []


def test_messages_count_at_their_own_time_whenever_they_come() -> None:
    worker = Worker()
    assert worker.hear(signal(100), signal(50), signal(75)) != []
    assert worker.told[0].id.endswith(str(ms(50)))


def test_an_alert_of_long_ago_is_told_with_its_end() -> None:
    """One partition's history is read later than another's."""
    worker = Worker()
    told = worker.hear(signal(3_600), signal(0), signal(1), signal(2))
    assert [(one.status, one.count, one.startsAt[11:19]) for one in told] == [
        ("firing", 3, "08:00:00"),
        ("resolved", 3, "08:00:00"),
    ]
    (next_one,) = worker.hear(signal(3_601), signal(3_602))
    assert (next_one.status, next_one.count, next_one.startsAt[11:19]) == ("firing", 3, "09:00:00")


def test_a_message_that_was_thought_about_is_counted_though_it_is_older_than_the_alert() -> None:
    worker = Worker()
    worker.hear(signal(10), signal(11), signal(12), signal(9), signal(-51))
    incident = worker.incident
    assert incident is not None
    assert incident.count == 4  # the last one is older than a window before the start


def test_hours_without_a_worker_do_not_make_one_alert_of_two() -> None:
    worker = Worker(alerts(fire_at=1))
    worker.hear(signal(0))
    ended, fired = worker.hear(signal(7_200))
    assert (ended.status, ended.endsAt, ended.count) == ("resolved", "2027-01-15T08:01:30.000Z", 1)
    assert (fired.status, fired.count, fired.evidence) == ("firing", 1, ("in/0/7200",))


def test_what_is_late_reopens_nothing_and_what_is_new_is_a_new_alert() -> None:
    worker = Worker()
    worker.hear(signal(0, 3))
    worker.wait(90)
    assert worker.hear(signal(1, 5), signal(90, 5), review(1, "flagship")) == []
    (fired,) = worker.hear(signal(90.001, 3))
    assert (fired.status, fired.revision, fired.count) == ("firing", 1, 3)
    assert fired.id != worker.told[0].id


def test_growth_is_told_when_it_has_doubled_and_at_the_end() -> None:
    worker = Worker()
    told = worker.hear(*(signal(second / 10) for second in range(100)))
    assert [(one.count, one.revision) for one in told] == [(3, 1), (6, 2), (12, 3), (24, 4), (48, 5), (96, 6)]
    assert worker.wait(1_000)[0].count == 100


def test_each_tier_that_speaks_revises_the_alert_and_no_tier_twice() -> None:
    worker = Worker(alerts(labels={"team": "platform"}))
    (fired,) = worker.hear(signal(0, 3, summary="payments fail"))
    (mini,) = worker.hear(review(0, "mini", "the disk is full", severity="warning", actions=("free some", "look")))
    assert worker.hear(review(0, "mini", "another word")) == []
    (flagship,) = worker.hear(review(0, "flagship", "logs fill the disk"))
    assert worker.hear(review(0, "mini"), review(0, "flagship")) == []
    told = [fired, mini, flagship]
    assert [one.revision for one in told] == [1, 2, 3]
    assert [one.reviewed_by for one in told] == [None, "mini", "flagship"]
    assert [one.annotations["summary"] for one in told] == ["payments fail", "the disk is full", "logs fill the disk"]
    assert {orjson.dumps(one.labels) for one in told} == {orjson.dumps(fired.labels)}
    assert (fired.labels["severity"], fired.labels["team"]) == ("critical", "platform")
    assert flagship.annotations["description"] == (
        "3 messages labelled outage in stream logs, tenant acme.\n"
        "mini (outage, warning): the disk is full\n"
        "flagship (outage, critical): logs fill the disk\n"
        "Next: free some\nNext: look"
    )


def test_a_review_that_comes_before_the_alert_fires_is_part_of_it() -> None:
    worker = Worker()
    assert worker.hear(signal(0), review(0, "mini", "early"), signal(1)) == []
    (fired,) = worker.hear(signal(2))
    assert (fired.revision, fired.reviewed_by, fired.annotations["summary"]) == (1, "mini", "early")


def test_labels_are_fixed_for_the_life_of_an_alert_whatever_the_policy_becomes() -> None:
    worker = Worker(alerts(labels={"team": "platform"}))
    (fired,) = worker.hear(signal(0, 3))
    worker.rules = alerts(labels={"team": "payments"})
    assert worker.wait(90)[0].labels == fired.labels


def test_a_burst_has_a_threshold_of_its_own() -> None:
    worker = Worker(alerts(burst_at=100))
    lines = [signal(second, 20, says="lines", labels=BURST, summary="job <*> done") for second in range(5)]
    assert worker.hear(*lines[:4]) == []
    (fired,) = worker.hear(lines[4])
    assert (fired.labels["alertname"], fired.count, fired.annotations["summary"]) == ("burst", 100, "job <*> done")
    worker = Worker()
    assert worker.hear(*lines) == [], "the policy no longer asks for bursts"


@pytest.mark.parametrize(
    ("labels", "url"), [({}, "https://runbooks.example/pay%2Fments?team=a%20b"), ({"labels": BURST}, None)]
)
def test_a_runbook_is_named_by_what_the_alert_is_grouped_by(labels: dict[str, dict[str, str]], url: str | None) -> None:
    rules = alerts(labels={"team": "a b"}, runbook_url="https://runbooks.example/{service}?team={team}")
    (fired,) = Worker(rules).hear(signal(0, 3, **labels))
    assert fired.annotations.get("runbook_url") == url


def test_what_never_fired_is_forgotten_after_its_window_and_what_did_after_a_week() -> None:
    worker = Worker()
    worker.hear(signal(0))
    worker.wait(59)
    assert worker.incident is not None
    worker.wait(60)
    assert worker.incident is None
    worker.hear(signal(100, 3))
    worker.wait(190)
    worker.wait(190 + INCIDENT_REMEMBERED_SECONDS - 1)
    assert worker.incident is not None
    worker.wait(190 + INCIDENT_REMEMBERED_SECONDS)
    assert worker.incident is None


# --- properties ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Naive:
    """Every message by itself, all of them kept."""

    rules: Alerts
    pending: list[int] = field(default_factory=list)  # event times
    firing: list[int] = field(default_factory=list)
    starts: int = 0
    ended: int | None = None
    over: list[tuple[int, int, int]] = field(default_factory=list)  # start, end and count of what was resolved

    def hear(self, one: Signal) -> None:
        at, window, rest = one.at_ms, round(self.rules.window * 1000), round(self.rules.resolve_after * 1000)
        if (self.ended is not None and at <= self.ended) or (self.firing and at < self.starts - window):
            return
        if self.firing and at > max(self.firing) + rest:
            self.end()
        if self.firing:
            self.firing += [at] * one.count
            return
        self.pending = sorted([*self.pending, *[at] * one.count])
        while start := self._start():
            since = [at for at in self.pending if at >= start - window]
            self.starts, self.firing, self.pending = start, [], []
            for at in since:
                in_window = at // self._width < start // self._width + INCIDENT_BUCKETS
                if in_window or (not self.pending and at <= max(self.firing) + rest):
                    self.firing.append(at)
                else:
                    self.pending.append(at)
            if self.pending:
                self.end()

    def end(self) -> None:
        self.ended = max(self.firing) + round(self.rules.resolve_after * 1000)
        self.over.append((self.starts, self.ended, len(self.firing)))
        self.firing = []

    def wait(self, now: int) -> None:
        if self.firing and now >= max(self.firing) + round(self.rules.resolve_after * 1000):
            self.end()

    @property
    def _width(self) -> int:
        return round(self.rules.window * 1000) // INCIDENT_BUCKETS

    def _start(self) -> int | None:
        for last in self.pending:
            near = [at for at in self.pending if 0 <= last // self._width - at // self._width < INCIDENT_BUCKETS]
            if len(near) >= self.rules.fire_at:
                return min(near)
        return None


_SECONDS = st.integers(0, 800).map(lambda half: half / 2)
_HEARD = st.one_of(
    st.builds(signal, _SECONDS, st.integers(0, 3), summary=st.sampled_from([None, "said"])),
    st.builds(review, _SECONDS, st.sampled_from(["mini", "flagship"])),
)
_RULES = st.builds(
    alerts,
    fire_at=st.integers(1, 5),
    window=st.sampled_from(["30s", "60s"]),
    resolve_after=st.sampled_from(["5s", "90s"]),
)
# A signal, or a look at the clock; times near each other are likelier to matter.
_STEPS = st.lists(st.one_of(_HEARD, _HEARD, _HEARD, _SECONDS), max_size=40)


@given(_RULES, _STEPS)
def test_alerts_are_those_of_the_naive_model(rules: Alerts, steps: list[Signal | float]) -> None:
    worker, naive = Worker(rules), Naive(rules)
    for step in steps:
        if isinstance(step, Signal):
            worker.hear(step)
            if step.count:
                naive.hear(step)
        elif (incident := worker.incident) is not None and incidents.waited(incident, ms(step), rules)[0] is not None:
            worker.wait(step)  # what is forgotten is another test's
            naive.wait(ms(step))
    worker.wait(10_000)
    naive.wait(ms(10_000))
    resolved = [one for one in worker.told if one.status == "resolved"]
    assert [(one.id.split("-")[1], one.endsAt, one.count) for one in resolved] == [
        (str(start), incidents._rfc3339(end), count) for start, end, count in naive.over
    ]


@given(_RULES, _STEPS)
def test_an_alert_is_told_as_consumers_expect(rules: Alerts, steps: list[Signal | float]) -> None:
    worker = Worker(rules)
    for step in steps:
        worker.hear(step) if isinstance(step, Signal) else worker.wait(step)
    lives: dict[str, list[Alert]] = defaultdict(list)
    for one in worker.told:
        lives[one.id].append(one)
    for life in lives.values():
        assert [one.revision for one in life] == list(range(1, len(life) + 1))
        assert [one.status for one in life[:-1]] == ["firing"] * (len(life) - 1), "nothing comes after the end"
        assert [one.count for one in life] == sorted(one.count for one in life)
        assert len({(orjson.dumps(one.labels), one.startsAt) for one in life}) == 1
        assert life[0].status == "firing"
        assert life[0].count >= rules.fire_at
    order = list(dict.fromkeys(one.id for one in worker.told))
    assert [one.id for one in worker.told] == [name for name in order for _ in lives[name]], "one at a time"
    assert all(lives[name][-1].status == "resolved" for name in order[:-1])


@given(_RULES, st.lists(_HEARD, min_size=1, max_size=30), st.data())
def test_what_is_heard_again_after_a_crash_tells_nothing_new(
    rules: Alerts, signals: list[Signal], data: st.DataObject
) -> None:
    straight, crashing = Worker(rules), Worker(rules)
    straight.hear(*signals)
    for offset, one in enumerate(signals):
        crashing.hear_at(offset, one)
        for again in range(data.draw(st.integers(0, offset + 1), label="heard again from"), offset + 1):
            crashing.hear_at(again, signals[again])
    assert crashing.told == straight.told
    assert crashing.incident == straight.incident


@given(_RULES, st.lists(_HEARD, min_size=1, max_size=20))
def test_time_alone_does_nothing_before_it_is_due_and_something_then(rules: Alerts, signals: list[Signal]) -> None:
    worker = Worker(rules)
    worker.hear(*signals)
    incident = worker.incident
    assert incident is not None
    due_ms = incidents.due_ms(incident, rules)
    assert incidents.waited(incident, due_ms - 1, rules) == (incident, ())
    assert incidents.waited(incident, due_ms, rules) != (incident, ())


@given(_RULES, st.lists(_HEARD, max_size=30))
def test_state_is_plain_json_and_bounded(rules: Alerts, signals: list[Signal]) -> None:
    worker = Worker(rules)
    for one in signals:
        worker.hear(one)
        incident = worker.incident
        assert incident is not None
        assert codec.decode(Incident, codec.encode(incident)) == incident
        assert not (incident.firing and incident.held)


def test_a_state_holds_no_more_than_its_limits_however_many_times_are_heard_of() -> None:
    worker = Worker(alerts(fire_at=1_000))
    worker.hear(*(signal(seconds * 7.0) for seconds in range(500)))
    assert worker.stored is not None
    assert len(worker.stored) < 10_000
    assert worker.incident is not None
    assert worker.incident.seen_ms == ms(499 * 7)
