"""A labelled source, read: its messages one by one, and by session where its stream is judged so."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from local.drive import Fed
from local.eval.score import Judged
from local.eval.sources import SourceSpec, labelled
from local.eval.virtual import EPOCH_S
from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy, Stream
from processors.session_item import session_item
from processors.sessions import Ended, Sessions
from streams import sources


class Message(NamedTuple):
    """What is judged once, and its gold."""

    item: Item
    at_s: float  # when it comes, after the first
    offsets: tuple[int, ...]  # of the records that it stands for
    gold: str | None
    unit: str

    @property
    def lines(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class View:
    """Messages in the order in which they come."""

    messages: Sequence[Message]

    @property
    def lines(self) -> int:
        return sum(message.lines for message in self.messages)

    def judged(self, labels: Sequence[str | None]) -> list[Judged]:
        """What has gold; a message without an answer is wrong."""
        return [
            Judged(message.gold, label or "", message.unit)
            for message, label in zip(self.messages, labels, strict=True)
            if message.gold is not None
        ]


@dataclass(frozen=True, slots=True)
class Source:
    """`sessions` is None where messages are judged one by one."""

    spec: SourceSpec
    name: str  # of the stream
    stream: Stream
    policy: Policy
    single: View
    sessions: View | None
    of: int  # records in the file

    @property
    def main(self) -> View:
        """As Sluice judges them."""
        return self.single if self.sessions is None else self.sessions


def read(file: Path, spec: SourceSpec, policy: Policy, *, limit: int, rate: float) -> Source:
    """Of a source with more than `limit` records: its first messages, or whole blocks drawn by their names, about as
    many. `rate`: messages a second.

    A message's time is that of its arrival here, because certificates and caches live by it; only what ends a session
    goes by the lines' own times.
    """
    [(name, stream)] = policy.streams.items()
    of = sum(1 for _ in labelled(file))
    read = list(_read(file, spec, name, stream, limit=limit, of=of, rate=rate))
    single = View([message for message, _ in read])
    sessions = None if stream.session is None else View(list(_by_session(read, stream, spec)))
    return Source(spec, name, stream, policy, single, sessions, of)


def _read(
    file: Path, spec: SourceSpec, name: str, stream: Stream, *, limit: int, of: int, rate: float
) -> Iterator[tuple[Message, int]]:
    """Each with the record's own time, epoch milliseconds."""
    normaliser = normaliser_for(name, stream)
    taken = 0
    for record, known in zip(sources.read(file), labelled(file), strict=True):
        unit = spec.unit_of(known)
        if spec.unit == "message" and taken == limit:
            return
        if spec.unit == "block" and zlib.crc32(unit.encode()) >= 2**32 * limit / of:
            continue
        at_s = taken / rate
        at_ms = round((EPOCH_S + at_s) * 1000)
        fed = Fed(stream.topics[0], 0, taken, at_ms, record.key, record.value, record.headers)
        if isinstance(item := normaliser.read(fed), Item):
            yield Message(item, at_s, (taken,), spec.gold_of(known), unit), record.timestamp_ms or at_ms
            taken += 1


def _by_session(read: Sequence[tuple[Message, int]], stream: Stream, spec: SourceSpec) -> Iterator[Message]:
    """A session comes when it ends; what is open at the end of the source ends there. Its gold is its lines': the
    positive class where any of them has it, else that of the last."""
    assert stream.session is not None, "the stream is judged by session"
    open_ = Sessions(stream.session)
    by_offset = {message.item.source.offset: message for message, _ in read}
    at_s = 0.0

    def message_of(ended: Ended) -> Message:
        offsets = tuple(line.record.offset for line in ended.session.lines)
        lines = [by_offset[offset] for offset in offsets]
        golds = {line.gold for line in lines}
        gold = spec.positive if spec.positive in golds else lines[-1].gold
        return Message(session_item(ended.session), at_s, offsets, gold, lines[-1].unit)

    for message, own_ms in read:
        at_s = message.at_s
        if message.item.session is None:
            yield message
            continue
        source = message.item.source
        record = Fed(source.topic, source.partition, source.offset, source.timestamp_ms, None, None)
        for ended in open_.join(record, message.item, own_ms):
            yield message_of(ended)
    while left := open_.relieve():
        for ended in left:
            yield message_of(ended)
