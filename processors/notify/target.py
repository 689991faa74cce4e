"""One target: each alert's revisions in order, the newest of them, silences, the page cap, what is said again.

What is told to it is the newest state that is known; a revision that a newer one has overtaken is passed over. People
hear of an alert when it fires, when an agent has spoken and when it resolves; growth alone is told to machines only.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal
from weakref import WeakValueDictionary

from processors import metrics
from processors.clock import Clock
from processors.notify import choice
from processors.notify.board import Board
from processors.notify.form import Form
from processors.notify.line import Failed, Line
from processors.notify.pages import Pages
from processors.policy import Notify
from topics import limits
from topics.messages import AgentTier, Alert

log = logging.getLogger("sluice.notify")

_PEOPLE = ("slack", "pagerduty")


@dataclass(frozen=True, slots=True)
class _Told:
    """What the target knows of an alert."""

    revision: int
    status: Literal["firing", "resolved"]
    reviewed_by: AgentTier | None
    together: bool = False  # only in the one message about what was held back

    @classmethod
    def of(cls, alert: Alert, *, together: bool = False) -> "_Told":
        return cls(alert.revision, alert.status, alert.reviewed_by, together)


class Target:
    """`tell` and `recall` are called in the order of the topic; `look` now and then."""

    def __init__(self, name: str, settings: Notify, form: Form, line: Line, board: Board, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._form = form
        self._line = line
        self._board = board
        self._clock = clock
        self._pages = None if settings.pages_per_hour is None else Pages(settings.pages_per_hour)
        self._told: dict[str, _Told] = {}  # by alert id
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by alert id: one call at a time
        self._silenced: dict[str, None] = {}  # alert ids, to be looked at again
        self._held: dict[str, asyncio.Future[Failed | None]] = {}  # by alert id: what waits for room in the hour
        self.telling_again: set[asyncio.Task[None]] = set()  # of alerts whose silence is over; its owner ends them
        self._repeats_at = 0.0

    def hears(self, alert: Alert) -> bool:
        return choice.hears(self._settings.when, alert)

    def recall(self, alert: Alert, at_s: float) -> None:
        """An alert that was written at `at_s`, epoch seconds, and of which the target has heard: all but silence kept
        it from that."""
        if alert.id not in self._told and choice.silenced(self._settings.silences, alert, at_s):
            self._silence(alert)
            return
        if alert.id not in self._told and alert.status == "firing" and self._pages is not None:
            self._pages.note(at_s)
        self._remember(alert, _Told.of(alert))

    async def tell(self, alert: Alert) -> Failed | None:
        """None once nothing is left to do about this revision. Raises nothing but cancellation."""
        await self._clock.sleep(limits.NOTIFY_LINGER_SECONDS)
        return await self._tell(alert)

    async def look(self) -> None:
        """What time alone does. Raises nothing but cancellation."""
        if self._held and self._has_room():
            await self._tell_held()
        for id_ in [id_ for id_ in self._silenced if self._silence_over(id_)]:
            del self._silenced[id_]
            if (alert := self._board.get(id_)) is not None:
                task = asyncio.create_task(self._tell_again(alert))
                self.telling_again.add(task)
                task.add_done_callback(self.telling_again.discard)
        if self._settings.kind == "alertmanager" and self._repeats_at <= self._clock.monotonic():
            self._repeats_at = self._clock.monotonic() + (self._settings.repeat or limits.NOTIFY_REPEAT_SECONDS)
            await self._repeat()

    # --- one alert -------------------------------------------------------------------------------

    async def _tell(self, alert: Alert) -> Failed | None:
        lock = self._locks.setdefault(alert.id, asyncio.Lock())
        async with lock:
            if self._passes_over(alert):
                return None
            if self._is_page(alert) and (self._held or not self._has_room()):
                return await self._hold(alert)
            if self._is_page(alert) and self._pages is not None:
                self._pages.note(self._clock.time())
            outcome = await self._line.send(
                lambda now_s: self._form.alert(alert, now_s), lambda: self._overtaken(alert)
            )
            if isinstance(outcome, Failed):
                self._count("failed")
                return outcome
            if outcome:
                self._remember(alert, _Told.of(alert))
            self._count("told" if outcome else "overtaken")
            return None

    def _passes_over(self, alert: Alert) -> bool:
        told = self._told.get(alert.id)
        if self._overtaken(alert) or (told is not None and told.revision >= alert.revision):
            self._count("overtaken")
            return True
        if choice.silenced(self._settings.silences, alert, self._clock.time()):
            if told is None or alert.status == "firing":
                self._silence(alert)
                self._count("silenced")
                return True
        elif (
            told is not None
            and self._settings.kind in _PEOPLE
            and (
                (told.together and alert.status == "firing")
                or (told.status, told.reviewed_by) == (alert.status, alert.reviewed_by)
            )
        ):
            self._count("no_news")
            return True
        return False

    def _overtaken(self, alert: Alert) -> bool:
        if self._board.overtaken(alert):
            return True
        return self._settings.kind == "alertmanager" and self._board.succeeded(alert)

    def _remember(self, alert: Alert, told: _Told) -> None:
        self._silenced.pop(alert.id, None)
        self._told.pop(alert.id, None)
        if len(self._told) >= limits.NOTIFY_ALERTS_MAX:
            del self._told[next(iter(self._told))]
        self._told[alert.id] = told

    def _count(self, outcome: str, times: int = 1) -> None:
        metrics.NOTIFICATIONS.labels(self._settings.kind, outcome).inc(times)

    # --- the page cap ----------------------------------------------------------------------------

    def _is_page(self, alert: Alert) -> bool:
        return alert.status == "firing" and alert.id not in self._told

    def _has_room(self) -> bool:
        return self._pages is None or self._pages.has_room(self._clock.time())

    async def _hold(self, alert: Alert) -> Failed | None:
        """Until it is told together with others. The record is not done before: a crash does not lose it."""
        if len(self._held) >= limits.NOTIFY_HELD_MAX:
            self._count("failed")
            return Failed(
                "policy", f"pages_per_hour holds back {len(self._held)} alerts already, and no more may wait", 0
            )
        if not self._held:
            log.warning(
                "%s: pages_per_hour = %d is reached; what comes is told in one message once the hour has room",
                self.name,
                self._settings.pages_per_hour,
            )
        self._count("held")
        waiting: asyncio.Future[Failed | None] = asyncio.get_running_loop().create_future()
        self._held[alert.id] = waiting
        try:
            return await waiting
        finally:
            if self._held.get(alert.id) is waiting:
                del self._held[alert.id]

    async def _tell_held(self) -> None:
        held, self._held = self._held, {}
        alerts = [alert for id_ in held if (alert := self._board.get(id_)) is not None]
        alerts.sort(key=lambda alert: alert.status)  # what fires comes first
        outcome: bool | Failed = True
        if alerts:
            assert self._pages is not None, "else there is room always"
            self._pages.note(self._clock.time())
            outcome = await self._line.send(lambda now_s: self._form.several(alerts, now_s), lambda: False)
        failed = outcome if isinstance(outcome, Failed) else None
        if failed is None:
            for alert in alerts:
                self._remember(alert, _Told.of(alert, together=True))
        self._count("failed" if failed else "told_together", len(alerts))
        for waiting in held.values():
            if not waiting.done():
                waiting.set_result(failed)

    # --- silences --------------------------------------------------------------------------------

    def _silence(self, alert: Alert) -> None:
        """To be looked at when it is over. Alertmanager is told again anyway."""
        if alert.status == "resolved" or self._settings.kind == "alertmanager":
            self._silenced.pop(alert.id, None)
        elif len(self._silenced) < limits.NOTIFY_ALERTS_MAX:
            self._silenced[alert.id] = None

    def _silence_over(self, id_: str) -> bool:
        alert = self._board.get(id_)
        return alert is None or not choice.silenced(self._settings.silences, alert, self._clock.time())

    async def _tell_again(self, alert: Alert) -> None:
        if await self._tell(alert) is not None:
            log.error("%s was not told of an alert whose silence is over: the topic has it", self.name)

    # --- Alertmanager ----------------------------------------------------------------------------

    async def _repeat(self) -> None:
        """What fires and what has resolved lately, so that a firing alert stays one and an end is not missed."""
        ids = [alert.id for alert in self._board.latest() if self._repeats(alert)]
        for start in range(0, len(ids), limits.NOTIFY_REPEAT_ALERTS_MAX):
            part = ids[start : start + limits.NOTIFY_REPEAT_ALERTS_MAX]
            taken = await self._line.once(
                lambda now_s, part=part: self._form.several(self._now(part), now_s)  # type: ignore[misc]
            )
            self._count("repeated" if taken else "not_repeated", len(part))

    def _now(self, ids: list[str]) -> list[Alert]:
        """As they are at the moment of sending: an alert may have resolved since it was chosen."""
        return [alert for id_ in ids if (alert := self._board.get(id_)) is not None]

    def _repeats(self, alert: Alert) -> bool:
        return self.hears(alert) and not choice.silenced(self._settings.silences, alert, self._clock.time())
