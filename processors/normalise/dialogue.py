"""Dialogue turns to messages: each customer's turn is judged with the conversation so far."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from processors.items import Ignored, Item
from processors.normalise.origin import Asked, Origin, source_of
from processors.normalise.texts import memory_text
from processors.policy import Session, Stream
from topics import limits
from topics.inputs import Dialogue, Tombstone, Turn, read_dialogue
from topics.messages import Rejected, Source
from topics.records import Record, message_id

CUSTOMERS = frozenset({"customer", "user", "client", "caller", "guest"})
_SPEAKER_CHARS_MAX = 64
_CUT = " [… cut]"


class DialogueNormaliser:
    """Remembers the open conversations of each partition; `recall` rebuilds them after a restart."""

    lookback = limits.LOOKBACK_RECORDS_MAX
    session: Session | None = None

    def __init__(self, name: str, stream: Stream) -> None:
        self._name = name
        self._format = stream.format
        self._turns_max = stream.window.turns
        self._idle_ms = int(stream.window.idle * 1000)
        self._origin = Origin(stream)
        self._open: dict[tuple[str, int], _Conversations] = {}

    def glimpse(self, record: Record) -> None:
        """Without reading it all, nothing can be told."""

    def read(self, record: Record) -> Item | Ignored | Rejected:
        read = read_dialogue(record.value, self._format)
        if isinstance(read, Rejected):
            return read
        asked, source = self._origin.asked(record), source_of(record)
        if isinstance(read, Tombstone):
            return self._ignored("tombstone", source, asked)
        session = _session(read.conversation, source.key)
        if isinstance(read, Dialogue):
            return self._item(record, source, asked, session, [_told(turn) for turn in read.turns], ())
        lines, ids = self._join(record, asked.tenant, session, read)
        if _speaker(read) != "customer":
            return self._ignored("not the customer's turn", source, asked, session)
        return self._item(record, source, asked, session, lines, ids)

    def recall(self, record: Record) -> None:
        read = read_dialogue(record.value, self._format)
        if isinstance(read, Turn):
            tenant = self._origin.asked(record).tenant
            self._join(record, tenant, _session(read.conversation, source_of(record).key), read)

    def forget(self, topic: str, partition: int) -> None:
        self._open.pop((topic, partition), None)

    def _join(
        self, record: Record, tenant: str, session: str | None, turn: Turn
    ) -> tuple[Sequence[str], Sequence[str]]:
        """The conversation's lines with this turn, and the messages that they are of. A turn of no conversation stands
        alone.

        Two tenants may well use the same names: what one wrote is never shown with the other's.
        """
        line = _told(turn)
        if session is None:
            return (line,), ()
        conversations = self._open.setdefault((record.topic, record.partition), _Conversations())
        name, id_ = (tenant, session), message_id(record)
        window = conversations.join(name, line, id_, record.timestamp, self._turns_max, self._idle_ms)
        return window.lines, tuple(window.ids)

    def _ignored(self, why: str, source: Source, asked: Asked, session: str | None = None) -> Ignored:
        return Ignored(why, source, self._name, asked.tenant, session, asked.traceparent)

    def _item(
        self,
        record: Record,
        source: Source,
        asked: Asked,
        session: str | None,
        lines: Sequence[str],
        ids: Sequence[str],
    ) -> Item:
        text = _latest(lines, limits.MESSAGE_TEXT_CHARS_MAX)
        full_text = _latest(lines, limits.ESCALATION_TEXT_CHARS_MAX)
        id_ = message_id(record)
        return Item(
            id=id_,
            source=source,
            stream=self._name,
            tenant=asked.tenant,
            kind="dialogue",
            text=text,
            full_text=full_text,
            memory_text=memory_text("\n".join(lines)),
            truncated=_lacks(text, lines),
            full_truncated=_lacks(full_text, lines),
            template=None,
            session=session,
            fields={},
            asked_tier=asked.tier,
            traceparent=asked.traceparent,
            made_of=tuple(each for each in ids if each != id_),
        )


_Name = tuple[str, str]  # tenant and session


@dataclass(slots=True)
class _Window:
    lines: deque[str] = field(default_factory=deque)
    ids: deque[str] = field(default_factory=deque)  # the messages that these are of
    chars: int = 0
    last_ms: int = 0


class _Conversations:
    """The open conversations of one partition, the least recently used first; bounded in number and characters."""

    def __init__(self) -> None:
        self._windows: OrderedDict[_Name, _Window] = OrderedDict()
        self._chars = 0

    def join(self, name: _Name, line: str, id_: str, at_ms: int, turns_max: int, idle_ms: int) -> _Window:
        window = self._windows.get(name)
        if window is not None and at_ms - window.last_ms > idle_ms:
            self._close(name)
            window = None
        if window is None:
            window = self._windows[name] = _Window(last_ms=at_ms)
        self._windows.move_to_end(name)
        window.last_ms = max(window.last_ms, at_ms)
        window.lines.append(line)
        window.ids.append(id_)
        self._grow(window, len(line))
        while len(window.lines) > turns_max or window.chars > limits.ESCALATION_TEXT_CHARS_MAX:
            self._grow(window, -len(window.lines.popleft()))
            window.ids.popleft()
        while len(self._windows) > limits.CONVERSATIONS_MAX or self._chars > limits.WINDOW_CHARS_MAX:
            self._close(next(iter(self._windows)))
        return window

    def _grow(self, window: _Window, chars: int) -> None:
        window.chars += chars
        self._chars += chars

    def _close(self, name: _Name) -> None:
        self._chars -= self._windows.pop(name).chars


def _session(conversation: str | None, key: str | None) -> str | None:
    """The conversation that the record names, else its key; a name beyond KEY_CHARS_MAX is known by its beginning."""
    return conversation[: limits.KEY_CHARS_MAX] if conversation else key or None


def _speaker(turn: Turn) -> str:
    """One word for every customer; others by their own name."""
    name = " ".join(turn.speaker.split()).casefold()[:_SPEAKER_CHARS_MAX]
    return "customer" if name in CUSTOMERS else name or "unknown"


def _told(turn: Turn) -> str:
    """`speaker: text` on one line, so that no text can pretend to be another speaker's turn."""
    text = " ".join(turn.text.replace("\0", " ").split())
    if len(text) > limits.TURN_CHARS_MAX:
        text = text[: limits.TURN_CHARS_MAX] + _CUT
    return f"{_speaker(turn)}: {text}"


def _lacks(text: str, lines: Sequence[str]) -> bool:
    """Whether `text` leaves out lines, or parts of one."""
    return text.count("\n") + 1 < len(lines) or any(line.endswith(_CUT) for line in lines)


def _latest(lines: Sequence[str], chars_max: int) -> str:
    """The last lines that fit, whole."""
    first, room = len(lines), chars_max
    while first and (room := room - len(lines[first - 1]) - 1) >= -1:
        first -= 1
    return "\n".join(list(lines)[first:])
