"""Log lines that are judged together: which session a line belongs to, and when a session ends. No I/O.

A session is the lines of one tenant with the same key (policy.Session). All of its lines have to be in one partition:
whoever writes them keys the records. It ends, and is judged once, for all its lines:

- `idle`: no line for so long. By the lines' own timestamps, so that a backlog ends sessions where a live stream would
  have; and once no line at all has come for SESSION_QUIET_SECONDS, by the clock on the wall.
- `lines`: it has as many as the policy lets it have.
- `early`: more is open in the partition than memory, or the metadata of a commit, can hold. The session that was
  opened first ends, because it holds the committed offset back.

Lines that come after an end open a new session. After an early end, though, the new one goes on counting where the old
one stopped, as long as it has not been quiet for `idle`: whoever judges it sees all of the session so far, and only
what has changed about it is told again.

Nothing is published of an open session and no offset of it is committed: after a crash, a shutdown or a rebalance its
lines are read again. What early ends have counted is rebuilt from the records before the committed offset
(LOOKBACK_RECORDS_MAX); beyond them a session begins anew.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from processors import severities
from processors.items import Item
from processors.patterns import searching
from processors.policy import Session as Spec
from topics import limits
from topics.messages import AgentTier, FieldValue
from topics.records import Record

End = Literal["idle", "lines", "early"]
Name = tuple[str, str]  # tenant and key

_HEIGHT: Mapping[AgentTier | None, int] = {None: 0, "mini": 1, "flagship": 2}
_SESSION_CHARS = 500  # of one session's own objects, about


def key_of(spec: Spec) -> Callable[[str, Mapping[str, FieldValue]], str | None]:
    """Finds a line's session key in its text or fields; None where it has none, and is judged alone."""
    if spec.field is not None:
        name = spec.field
        return lambda _, fields: _named(fields.get(name))
    assert spec.key is not None, "a session has a key or a field"
    search = searching(spec.key)

    def key(text: str, _: Mapping[str, FieldValue]) -> str | None:
        found = search(text[: limits.RULE_TEXT_CHARS_MAX])
        return None if found is None else _named(found[1])

    return key


def _named(value: FieldValue) -> str | None:
    return None if value is None else str(value)[: limits.KEY_CHARS_MAX] or None


class Line(NamedTuple):
    """What is kept of a line until its session ends."""

    record: Record
    template: str | None
    traceparent: bytes | None


@dataclass(slots=True)
class Form:
    """Lines of one template."""

    count: int
    first: str  # its first line, cut


@dataclass(slots=True)
class Tally:
    """What a session says, over all of its parts where it was ended early."""

    forms: dict[str, Form] = field(default_factory=dict)  # by template, in the order in which they came
    others: int = 0  # lines of templates beyond SESSION_FORMS_MAX
    lines: int = 0
    first_ms: int = 0
    last_ms: int = 0
    last: str = ""  # the last line, cut
    fields: dict[str, FieldValue] = field(default_factory=dict)  # see `_share`
    asked_tier: AgentTier | None = None  # the highest that a line asked for
    chars: int = _SESSION_CHARS  # in memory, about
    label: str | None = None  # as it was judged last, if it was

    def count(self, item: Item, at_ms: int) -> None:
        """Adds a line."""
        template = item.template or ""
        form = self.forms.get(template)
        if form is not None:
            form.count += 1
        elif len(self.forms) < limits.SESSION_FORMS_MAX:
            self.forms[template] = Form(1, item.text[: limits.SESSION_LINE_CHARS_MAX])
            self.chars += len(template) + min(len(item.text), limits.SESSION_LINE_CHARS_MAX) + _SESSION_CHARS
        else:
            self.others += 1
        self.fields = dict(item.fields) if self.lines == 0 else _share(self.fields, item.fields)
        self.first_ms = at_ms if self.lines == 0 else min(self.first_ms, at_ms)
        self.last_ms = at_ms if self.lines == 0 else max(self.last_ms, at_ms)
        self.last = item.text[: limits.SESSION_LINE_CHARS_MAX]
        self.lines += 1
        if _HEIGHT[item.asked_tier] > _HEIGHT[self.asked_tier]:
            self.asked_tier = item.asked_tier


def _share(fields: Mapping[str, FieldValue], more: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """What all lines say alike; of severities the worst, which is what a rule about a session asks for."""
    shared: dict[str, FieldValue] = {}
    for name, value in fields.items():
        if name not in more:
            continue
        other = more[name]
        if other == value:
            shared[name] = value
        elif (rank := severities.rank(value)) is not None and (other_rank := severities.rank(other)) is not None:
            shared[name] = value if rank >= other_rank else other
    return shared


@dataclass(slots=True)
class Session:
    """An open one, or one that has ended."""

    name: Name
    tally: Tally
    opened: Item  # its first line: the stream
    lines: list[Line] = field(default_factory=list)  # never those of an earlier part


class Ended(NamedTuple):
    """A session that is to be judged."""

    session: Session
    why: End


class Sessions:
    """The sessions of one partition. Every line that joins is in exactly one session that ends, once; in the order in
    which they joined."""

    def __init__(
        self,
        spec: Spec,
        *,
        lines_max: int = limits.SESSION_LINES_OPEN_MAX,
        chars_max: int = limits.SESSION_CHARS_OPEN_MAX,
        remembered_max: int = limits.SESSIONS_REMEMBERED_MAX,
    ) -> None:
        self._idle_ms = spec.idle * 1000
        self._session_lines_max = spec.lines
        self._lines_max = lines_max
        self._chars_max = chars_max
        self._remembered_max = remembered_max
        self._open: OrderedDict[Name, Session] = OrderedDict()  # in the order in which they were opened
        self._quiet: OrderedDict[Name, None] = OrderedDict()  # the same, that which was quiet longest first
        self._ended_early: OrderedDict[Name, Tally] = OrderedDict()
        self._time_ms = 0  # the latest timestamp so far
        self._lines = 0
        self._chars = 0  # of what is open and of what ended early

    @property
    def lines(self) -> int:
        """In open sessions."""
        return self._lines

    @property
    def open(self) -> int:
        """Sessions."""
        return len(self._open)

    @property
    def chars(self) -> int:
        """In memory, of open sessions and of what is remembered of others; without the records."""
        return self._chars

    def join(self, record: Record, item: Item, at_ms: int) -> Sequence[Ended]:
        """Adds a line; its item names its session. What ends by that, in the order in which it ends: before the line
        joins, or with it."""
        assert item.session is not None, "a line without a key is judged alone"
        name = (item.tenant, item.session)
        ended: list[Ended] = []
        session = self._open.get(name)
        if session is not None and at_ms - session.tally.last_ms > self._idle_ms:
            ended.append(self._end(name, "idle"))
            session = None
        if session is None:
            session = self._open[name] = Session(name, self._tally(name, at_ms), item)
            self._chars += session.tally.chars
        before = session.tally.chars
        session.tally.count(item, at_ms)
        self._chars += session.tally.chars - before
        session.lines.append(Line(record, item.template, item.traceparent))
        self._lines += 1
        self._quiet[name] = None
        self._quiet.move_to_end(name)
        if len(session.lines) >= self._session_lines_max:
            ended.append(self._end(name, "lines"))
        self._time_ms = max(self._time_ms, at_ms)
        ended.extend(self.pass_time(self._time_ms))
        while self._lines > self._lines_max or (self._chars > self._chars_max and self._forget_or_open()):
            ended.extend(self.relieve())
        return ended

    def pass_time(self, now_ms: float) -> Sequence[Ended]:
        """It is `now_ms`, by the lines or by the clock: what has been idle ends. Lines that come later are not measured
        by that clock: they may be of long ago."""
        ended: list[Ended] = []
        while self._quiet:
            name = next(iter(self._quiet))
            if now_ms - self._open[name].tally.last_ms <= self._idle_ms:
                break
            ended.append(self._end(name, "idle"))
        return ended

    def relieve(self) -> Sequence[Ended]:
        """Ends the session that was opened first; none where none is open."""
        return [self._end(next(iter(self._open)), "early")] if self._open else ()

    def recall(self, item: Item, at_ms: int) -> None:
        """A line that was decided before: where its session had ended early, its next part goes on from there.

        Which end it had is not known: one that was idle is told by the times, another is taken for an early one.
        """
        if item.session is None:
            return
        name = (item.tenant, item.session)
        tally = self._tally(name, at_ms)
        tally.count(item, at_ms)
        if tally.lines % self._session_lines_max:
            self._remember(name, tally)

    def _tally(self, name: Name, at_ms: int) -> Tally:
        """Of the session's next part: it is no longer remembered, but used."""
        tally = self._ended_early.pop(name, None)
        if tally is None:
            return Tally()
        self._chars -= tally.chars
        return tally if at_ms - tally.last_ms <= self._idle_ms else Tally()

    def _end(self, name: Name, why: End) -> Ended:
        session = self._open.pop(name)
        del self._quiet[name]
        self._lines -= len(session.lines)
        self._chars -= session.tally.chars
        if why == "early":
            self._remember(name, session.tally)
        return Ended(session, why)

    def _remember(self, name: Name, tally: Tally) -> None:
        self._ended_early[name] = tally
        self._chars += tally.chars
        if len(self._ended_early) > self._remembered_max:
            self._forget()

    def _forget(self) -> None:
        _, tally = self._ended_early.popitem(last=False)
        self._chars -= tally.chars

    def _forget_or_open(self) -> bool:
        """Forgets what ended early, that which ended first, as far as there is no room; whether more has to end."""
        while self._ended_early and self._chars > self._chars_max:
            self._forget()
        return self._chars > self._chars_max and bool(self._open)

    def each_open(self) -> Iterator[Session]:
        """In the order in which they were opened."""
        return iter(self._open.values())
