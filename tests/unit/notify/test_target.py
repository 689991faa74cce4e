"""What one target is told: order, silences, the page cap, what is said again."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from processors.notify.alertmanager import AlertmanagerForm
from processors.notify.board import Board
from processors.notify.form import Form, Request
from processors.notify.line import Failed, Line
from processors.notify.target import Target
from processors.notify.webhook import WebhookForm
from processors.policy import Notify
from tests.fakes import ManualClock, settle
from tests.unit.notify.build import alert
from topics import limits
from topics.messages import Alert

PLACE = ("alerts", 0)
LINGER = limits.NOTIFY_LINGER_SECONDS
NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
GONE = Failed("attempts_exhausted", "status 503", 9)


class FakeLine(Line):
    """Keeps what was sent, and takes it when the test lets it."""

    def __init__(self, clock: ManualClock) -> None:
        self.bodies: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()
        self.outcome: Failed | None = None
        self._now = clock.time

    async def send(self, build: Callable[[float], Request], overtaken: Callable[[], bool]) -> bool | Failed:
        await self.open.wait()
        if overtaken():
            return False
        self.bodies.append(orjson.loads(build(self._now()).body))
        return self.outcome or True

    async def once(self, build: Callable[[float], Request]) -> bool:
        return await self.send(build, lambda: False) is True

    def told(self) -> list[str]:
        """`number/revision` of each alert that was told alone, `held n` of several at once."""
        return [
            f"held {len(body['held'])}" if "held" in body else f"{body['id'].partition('-')[2]}/{body['revision']}"
            for body in self.bodies
        ]


class Scene:
    """A target, and the alerts that come."""

    def __init__(self, kind: str = "slack", form: Form | None = None, **settings: object) -> None:
        self.clock = ManualClock(NOW)
        self.board = Board()
        self.line = FakeLine(self.clock)
        self.telling: list[asyncio.Task[Failed | None]] = []
        needs = {"slack": {"url_env": "X"}, "webhook": {"url": "http://x", "secret_env": "X"}}
        values = {"kind": kind, **needs.get(kind, {"url": "http://x"}), **settings}
        # A webhook's form for all kinds: what was told can be read from it.
        self.target = Target(
            "notify[0]",
            Notify.model_validate(values),
            form or WebhookForm(b"k" * 32),
            self.line,
            self.board,
            self.clock,
        )

    def come(self, *alerts: Alert) -> None:
        for one in alerts:
            self.board.put(PLACE, one, self.clock.time())
            self.telling.append(asyncio.create_task(self.target.tell(one)))

    async def hear(self, *alerts: Alert) -> None:
        """They come, and time passes until the target may be told."""
        self.come(*alerts)
        await self.clock.advance(LINGER)

    async def look(self) -> None:
        await self.target.look()
        await settle()


async def test_of_revisions_that_come_together_the_newest_is_told() -> None:
    scene = Scene("webhook")
    await scene.hear(alert(revision=1), alert(revision=2), alert(revision=3, status="resolved"))
    assert scene.line.told() == ["1/3"]
    assert [task.result() for task in scene.telling] == [None] * 3


async def test_a_newer_revision_waits_for_the_older_and_is_told_after_it() -> None:
    scene = Scene("webhook")
    await scene.hear(alert(revision=1))
    scene.line.open.clear()
    await scene.hear(alert(revision=2))
    await scene.hear(alert(revision=3))
    scene.line.open.set()
    await settle()
    assert scene.line.told() == ["1/1", "1/3"], "revision 2 had not been taken when 3 came"


async def test_an_older_revision_is_not_told_after_a_newer() -> None:
    scene = Scene("webhook")
    await scene.hear(alert(revision=2, status="resolved"))
    await scene.hear(alert(revision=1))
    assert scene.line.told() == ["1/2"]


async def test_people_hear_when_it_fires_when_an_agent_has_spoken_and_when_it_resolves() -> None:
    story = [
        alert(revision=1),
        alert(revision=2, count=6),
        alert(revision=3, reviewed_by="mini"),
        alert(revision=4, reviewed_by="mini", count=12),
        alert(revision=5, reviewed_by="mini", status="resolved"),
    ]
    people, machine = Scene("slack"), Scene("webhook")
    for one in story:
        await people.hear(one)
        await machine.hear(one)
    assert people.line.told() == ["1/1", "1/3", "1/5"]
    assert machine.line.told() == ["1/1", "1/2", "1/3", "1/4", "1/5"]


async def test_what_was_told_before_a_restart_is_known() -> None:
    scene = Scene("slack")
    scene.board.put(PLACE, alert(revision=1), NOW)
    scene.target.recall(alert(revision=1), NOW)
    await scene.hear(alert(revision=2, count=6))
    assert scene.line.told() == []


async def test_a_failure_is_told_to_the_caller() -> None:
    scene = Scene("webhook")
    scene.line.outcome = GONE
    await scene.hear(alert())
    assert scene.telling[0].result() == GONE


# --- silences ------------------------------------------------------------------------------------

SILENCED = [{"labels": {"stream": "logs"}, "until": "2027-01-15T09:00:00Z"}]


async def test_a_silenced_alert_that_still_fires_is_told_when_the_silence_ends() -> None:
    scene = Scene(silences=SILENCED)
    await scene.hear(alert(1), alert(2))
    await scene.hear(alert(2, revision=2, status="resolved"))
    await scene.look()
    assert (scene.line.told(), [task.done() for task in scene.telling]) == ([], [True] * 3)
    await scene.clock.advance(3_600)
    await scene.look()
    await scene.look()
    assert scene.line.told() == ["1/1"]


async def test_an_alert_that_fired_before_a_silence_may_resolve_in_it() -> None:
    scene = Scene(silences=[{"labels": {"stream": "logs"}, "until": "2027-01-15T08:30:00Z"}])
    scene.board.put(PLACE, alert(), NOW + 7_200)
    scene.target.recall(alert(), NOW + 7_200)  # written after its end: it was told
    await scene.hear(alert(revision=2, count=6))
    assert scene.line.told() == []
    await scene.hear(alert(revision=3, status="resolved"))
    assert scene.line.told() == ["1/3"]


async def test_a_silence_that_ended_while_nobody_ran_is_noticed() -> None:
    scene = Scene(silences=SILENCED)
    await scene.clock.advance(7_200)
    scene.board.put(PLACE, alert(), NOW)
    scene.target.recall(alert(), NOW)
    await scene.look()
    assert scene.line.told() == ["1/1"]


# --- the page cap --------------------------------------------------------------------------------


async def test_what_exceeds_the_page_cap_is_told_in_one_message_once_the_hour_has_room() -> None:
    scene = Scene("webhook", pages_per_hour=2)
    await scene.hear(*(alert(number) for number in range(1, 6)))
    assert scene.line.told() == ["1/1", "2/1"]
    await scene.hear(alert(1, revision=2), alert(3, revision=2, status="resolved"))
    assert scene.line.told()[2:] == ["1/2"], "an alert that was told is no page any more"
    assert [task.done() for task in scene.telling] == [True, True, False, False, False, True, False], (
        "a crash loses none"
    )
    await scene.clock.advance(3_600 - 2 * LINGER - 1)
    await scene.look()
    assert scene.line.told()[3:] == []
    await scene.clock.advance(2)
    await scene.look()
    assert scene.line.told()[3:] == ["held 3"]
    held = [body["status"] for body in scene.line.bodies[-1]["held"]]
    assert held == ["firing", "firing", "resolved"], "as they are by now, what fires first"
    assert all(task.done() and task.result() is None for task in scene.telling)


async def test_what_was_told_together_is_not_paged_when_it_changes() -> None:
    scene = Scene("slack", pages_per_hour=1)
    await scene.hear(alert(1), alert(2))
    await scene.clock.advance(3_600)
    await scene.look()
    await scene.hear(alert(2, revision=2, reviewed_by="mini"))
    assert scene.line.told() == ["1/1", "held 1"]
    await scene.hear(alert(2, revision=3, status="resolved", reviewed_by="mini"))
    assert scene.line.told()[2:] == ["2/3"]


async def test_pages_of_before_a_restart_count() -> None:
    scene = Scene("slack", pages_per_hour=1)
    scene.target.recall(alert(1), NOW - 60)
    await scene.hear(alert(2))
    assert scene.line.told() == []
    await scene.clock.advance(3_600 - 60)
    await scene.look()
    assert scene.line.told() == ["held 1"]


async def test_more_than_may_be_held_is_a_failure_at_once() -> None:
    scene = Scene("slack", pages_per_hour=1)
    await scene.hear(*(alert(number) for number in range(limits.NOTIFY_HELD_MAX + 2)))
    outcomes = [task.result() for task in scene.telling if task.done()]
    assert [outcome.reason if outcome else None for outcome in outcomes] == [None, "policy"]


async def test_a_message_about_many_that_fails_fails_for_each() -> None:
    scene = Scene("slack", pages_per_hour=1)
    await scene.hear(alert(1), alert(2), alert(3))
    scene.line.outcome = GONE
    await scene.clock.advance(3_600)
    await scene.look()
    assert [task.result() for task in scene.telling] == [None, GONE, GONE]


async def test_who_is_cancelled_while_it_is_held_leaves_nothing_behind() -> None:
    scene = Scene("slack", pages_per_hour=1)
    await scene.hear(alert(1), alert(2), alert(3))
    scene.telling[1].cancel()
    await scene.clock.advance(3_600)
    await scene.look()
    assert scene.line.told() == ["1/1", "held 1"]


# --- Alertmanager --------------------------------------------------------------------------------


def posted(scene: Scene) -> list[list[tuple[str, str]]]:
    """Start and end of each alert, by call."""
    return [[(one["startsAt"][11:], one["endsAt"][11:19]) for one in body] for body in scene.line.bodies]


async def test_alertmanager_is_told_again_of_what_fires_and_for_a_while_of_what_has_resolved() -> None:
    scene = Scene("alertmanager", AlertmanagerForm(60), repeat="60s")
    other = alert(2, fingerprint="00000000000000bb")
    await scene.hear(alert(1), other)
    await scene.hear(alert(1, revision=2, status="resolved"))
    scene.line.bodies.clear()
    await scene.look()
    await scene.look()
    assert posted(scene) == [[("07:59:00.001Z", "07:59:30"), ("07:59:00.002Z", "08:04:01")]]
    scene.board.sweep(NOW + 2_000)
    await scene.clock.advance(60)
    await scene.look()
    assert posted(scene)[1:] == [[("07:59:00.002Z", "08:05:01")]]


async def test_alertmanager_is_not_told_of_what_others_hear_or_silence() -> None:
    when = {"streams": ["mail"]}
    for settings in ({"when": when}, {"silences": SILENCED}):
        scene = Scene("alertmanager", AlertmanagerForm(60), **settings)
        scene.board.put(PLACE, alert(1), NOW)
        await scene.look()
        assert scene.line.bodies == []


async def test_to_alertmanager_the_end_of_an_alert_does_not_end_the_next_of_the_same_labels() -> None:
    scene = Scene("alertmanager", AlertmanagerForm(60))
    await scene.hear(alert(2))
    await scene.hear(alert(1, revision=2, status="resolved"))
    assert posted(scene) == [[("07:59:00.002Z", "08:04:00")]]


async def test_alertmanager_is_told_of_many_in_parts() -> None:
    scene = Scene("alertmanager", AlertmanagerForm(60))
    for number in range(limits.NOTIFY_REPEAT_ALERTS_MAX + 1):
        scene.board.put(PLACE, alert(number, fingerprint=f"{number:016x}"), NOW)
    await scene.look()
    assert [len(body) for body in scene.line.bodies] == [limits.NOTIFY_REPEAT_ALERTS_MAX, 1]
