"""Sessions of log lines inside triage's stage: lines wait as Gatherings; what ends is judged once, for all its lines.

Every line gets its own Decision: the verdict and the session's key are shared, cost and tokens are divided equally.
What is said about the session as a whole goes with its last line: the escalation, the signal toward an alert, the
audit. Of a session that went on after an early end these are left out where its verdict is what it was.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from processors.clock import Clock
from processors.items import Item
from processors.metrics import DECIDED
from processors.normalise.origin import source_of
from processors.policy import Session as Spec
from processors.session_item import session_item
from processors.sessions import Ended, Name, Sessions
from processors.signals import event_ms
from processors.triage import Triage, Triaged
from streams.engine.stage import Gathering, Outs, Together
from topics.limits import SESSION_QUIET_SECONDS
from topics.messages import Decision, Rejected
from topics.records import Out, Record, message_id

log = logging.getLogger(__name__)

WriteAll = Callable[[Record, Triage, Item, Triaged], Outs]
"""What comes of a message: its Decision, and whatever else `Triaged` holds."""

WriteDecision = Callable[[Record, Triage, Decision, bytes | None], Out]
"""The Decision of a line that is not the last, with its `traceparent`."""


class SessionKeeper:
    """The open sessions of one partition. The engine's Keeper; called on its event loop."""

    def __init__(
        self,
        spec: Spec,
        clock: Clock,
        write_all: WriteAll,
        write_decision: WriteDecision,
    ) -> None:
        self._sessions = Sessions(spec)
        self._clock = clock
        self._write_all = write_all
        self._write_decision = write_decision
        self._gatherings: dict[Name, tuple[Gathering, Triage]] = {}  # of open sessions; judged as they began
        self._came_s = clock.monotonic()  # the last line

    def take(self, record: Record, item: Item, triage: Triage) -> Gathering:
        """A line with a key. Its session may end by it, as may others."""
        assert item.session is not None, "a line without a key is judged alone"
        self._came_s = self._clock.monotonic()
        ended = self._sessions.join(record, item, self._at_ms(record))
        name = (item.tenant, item.session)
        if ended and ended[0].session.name == name and ended[0].session.lines[-1].record is not record:
            self._judge(ended[0])  # its key's session before this one
            ended = ended[1:]
        if name not in self._gatherings:
            self._gatherings[name] = Gathering(self), triage
        gathering, _ = self._gatherings[name]
        for each in ended:
            self._judge(each)
        return gathering

    def recall(self, record: Record, item: Item) -> None:
        """A line that was decided before."""
        self._sessions.recall(item, self._at_ms(record))

    def look(self) -> None:
        if self._clock.monotonic() - self._came_s >= SESSION_QUIET_SECONDS:
            for ended in self._sessions.pass_time(self._clock.time() * 1000):
                self._judge(ended)

    def relieve(self) -> None:
        for ended in self._sessions.relieve():
            self._judge(ended)

    def _at_ms(self, record: Record) -> int:
        """By the line's own timestamp, where it has one and its sender's clock is not ahead: one such line would end
        every session."""
        return event_ms(record.timestamp, round(self._clock.time() * 1000))

    def _judge(self, ended: Ended) -> None:
        """Closes the session's Gathering: with its results where they are free, else with the question."""
        session = ended.session
        gathering, triage = self._gatherings.pop(session.name)
        try:
            item = triage.vote(session_item(session))
            triaged = triage.free(item)
            free = None if triaged is None else Together(self._written(ended, item, triage, triaged))
        except Exception as error:  # one session's: those before it must not be judged twice
            log.exception("the session '%s' of stream %s is rejected", session.name[1], session.opened.stream)
            rejected = Rejected("internal", f"{type(error).__name__}: {error}")
            gathering.close(Together([rejected] * len(session.lines)), len(session.lines))
            return

        async def ask() -> Together:
            answered = await triage.ask(item)
            return Together(self._written(ended, item, triage, answered))

        gathering.close(ask if free is None else free, len(session.lines))

    def _written(self, ended: Ended, item: Item, triage: Triage, triaged: Triaged) -> Sequence[Outs]:
        """The outputs of each line."""
        session, whole = ended.session, triaged.decision
        *others, last = session.lines
        share = replace(
            whole,
            escalated_to=None,
            tokens=whole.tokens.share(len(session.lines)),
            cost_usd_micros=round(whole.cost_usd_micros / len(session.lines), 3),
        )
        DECIDED.labels(whole.stream, whole.decided_by, whole.label).inc(len(others))  # the last is counted by triage
        each: list[Outs] = []
        for line in others:
            decision = replace(share, id=message_id(line.record), source=source_of(line.record), template=line.template)
            each.append((self._write_decision(line.record, triage, decision, line.traceparent),))
        of_last = replace(share, template=last.template, escalated_to=whole.escalated_to)
        if session.tally.label == whole.label:  # said of an earlier part
            triaged = replace(triaged, escalation=None, signal=None)
            of_last = replace(of_last, escalated_to=None)
        session.tally.label = whole.label
        each.append(self._write_all(last.record, triage, item, replace(triaged, decision=of_last)))
        return each
