"""Records of one partition that are taken and not done: they wait for a Later, or for their key's turn.

What is done goes to the outbox at once. No Kafka in here. One object from a partition's start to its next failure,
rebalance or end.
"""

import functools
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka.structs import TopicPartition

from processors import metrics
from streams.engine.calls import Call, Calls
from streams.engine.outbox import Outbox
from streams.engine.settings import EngineSettings
from streams.engine.stage import Gathering, Keeper, Later, Outputs, Outs, Stage, Together
from streams.engine.tracker import Tracker
from topics import catalog, parked
from topics.messages import Parked, Rejected
from topics.records import Out, Record

log = logging.getLogger(__name__)

_LOW_WATER = 0.5  # a full partition is asked again at this share of its bytes: it must not flap
_OPEN_SHARE = 0.75  # of what waits: where it is less, what has been closed makes room soon
_AHEAD = 0.25  # of the calls that may be in flight, so many records more are taken: none of them waits for a poll


class DeadLetter(Protocol):
    """Makes the record for `dead-letters`. Must not raise."""

    def __call__(self, record: Record, rejected: Rejected) -> Out: ...


@dataclass(slots=True)
class Done:
    """Records of one partition that are done and published together."""

    records: int
    waited: list[int]  # offsets of those that had to wait


class InHand:
    """Takes records in offset order; their outputs go to the outbox in the order of their end."""

    def __init__(
        self,
        partition: TopicPartition,
        tracker: Tracker,
        position: int,
        *,
        stage: Stage,
        stage_name: catalog.Stage,
        calls: Calls,
        dead_letter: DeadLetter,
        outbox: Outbox,
        refused: dict[int, Rejected],
        parked_topic: str | None,
        settings: EngineSettings,
    ) -> None:
        """`refused`: by offset, records whose outputs were tried and cannot be written."""
        self.position = position  # of the next record
        self.tracker = tracker
        self.waiting = 0  # records taken whose result is not ready
        self.waiting_bytes = 0  # of their values
        self.open = 0  # of those that wait, in Gatherings that nobody has closed yet
        self._partition = partition
        self._stage = stage
        self._stage_name = stage_name
        self._calls = calls
        self._dead_letter = dead_letter
        self._refused = refused
        self._outbox = outbox
        self._settings = settings
        self.done = Done(0, [])  # and not published
        self._full = False
        self._in_flight = 0  # calls
        self._backlog: deque[Callable[[], None]] = deque()  # calls beyond the limit of those in flight
        self._keeper: Keeper | None = None  # of Gatherings, where there were some
        self._leaders: set[int] = set()  # offsets that the calls of Gatherings are kept by, until they are committed
        self._parked_topic = parked_topic
        self._unparks = partition.topic == parked_topic
        self._keyed = not self._unparks and stage.order(partition.topic) == "key"
        # Busy keys: what waits
        self._lanes: dict[bytes | None, deque[tuple[Record, Outputs | Later | Gathering | Call]]] = {}
        for offset in [offset for offset in calls.of(partition) if tracker.done_before(offset)]:
            calls.drop(partition, offset)
        self._survivors = dict(calls.of(partition))  # calls of an earlier life; attached when their record comes
        for call in self._survivors.values():
            if call.outputs is None:
                self._in_flight += 1
                call.on_end = self._on_early_end
        self._received = metrics.RECEIVED.labels(stage_name, partition.topic)
        self._committed = metrics.COMMITTED.labels(stage_name, partition.topic)

    def has_room(self) -> bool:
        """Whether more may be taken. A full partition is not asked for a while: it must not flap.

        What is open is bounded by its stage, and by what a commit can name: then the stage has to close some of it,
        unless most of what waits is being worked on.
        """
        settings = self._settings
        records_max = settings.in_flight_records_max * (1.0 if self._full else 1.0 + _AHEAD)
        bytes_max = settings.in_flight_bytes_max * (_LOW_WATER if self._full else 1.0)
        self._relieve(bytes_max)
        self._full = (
            self.waiting - self.open >= records_max or self.waiting_bytes >= bytes_max or self._cannot_name_more
        )
        return not self._full

    @property
    def _cannot_name_more(self) -> bool:
        return self.tracker.crowded and self.position >= self.tracker.inherited_end

    def relieve(self) -> None:
        """The process has no room for more: what is open waits for records that are not taken."""
        if self._keeper is not None and self.open > self.waiting * _OPEN_SHARE:
            self._keeper.relieve()

    def _relieve(self, bytes_max: float) -> None:
        """Nobody else would: what is open waits for records that are not taken while there is no room."""
        before = -1
        while self._keeper is not None and self.open != before and self.open > self.waiting * _OPEN_SHARE:
            if self.waiting_bytes < bytes_max and not self._cannot_name_more:
                return
            before = self.open
            self._keeper.relieve()

    def look(self) -> None:
        """Time has passed: it may end what is open."""
        if self._keeper is not None:
            self._keeper.look()

    def take(self, records: Sequence[Record]) -> None:
        """What an earlier owner has done is recalled, the rest is taken; what is ready is done at once."""
        tracker = self.tracker
        if records[0].offset < tracker.inherited_end:
            for done, run in itertools.groupby(records, lambda record: tracker.done_before(record.offset)):
                if done:
                    self._recall(list(run))
                else:
                    self._decide(list(run))
        else:
            self._decide(records)
        self.position = records[-1].offset + 1
        tracker.advance(self.position)
        self._outbox.tell()

    def publishing(self) -> Done:
        """What is done goes out now; `published` is told of it, unless all of this is dropped before."""
        going, self.done = self.done, Done(0, [])
        return going

    def published(self, done: Done) -> None:
        """The outputs of these records are committed."""
        self._committed.inc(done.records)
        for offset in done.waited:
            self._calls.drop(self._partition, offset)
            self._leaders.discard(offset)
            self._refused.pop(offset, None)

    def let_go(self) -> None:
        """Nothing more is published from here. Calls in flight go on, for whoever attaches to them."""
        for offset in self._leaders:  # what is open anew may hold the records of one that is closed
            self._calls.drop(self._partition, offset)
        for call in self._calls.of(self._partition).values():
            call.on_end = None

    def _decide(self, records: Sequence[Record]) -> None:
        """Every record of the free path goes through this loop: no task, no future, no coroutine for it."""
        self._received.inc(len(records))
        add, finish, lanes = self._outbox.add, self.tracker.finish, self._lanes
        inherited_end = self.tracker.inherited_end
        careful = bool(self._survivors or self._refused)  # survivors leave while this goes on
        # Results of one `take` belong together. Here some of them may come to nothing, or later than the others.
        results = [result for record in records for result in self._take((record,))] if careful else self._take(records)
        if not careful and not lanes and records[0].offset >= inherited_end and all(type(r) is tuple for r in results):
            self._outbox.extend(records, results)  # type: ignore[arg-type]
            self.done.records += len(records)
            return
        waiting = 0
        for record, result in zip(records, results, strict=True):
            if callable(result) or isinstance(result, Gathering) or careful or (lanes and record.key in lanes):
                waiting += 1
                self._place(record, result)
            else:
                if record.offset < inherited_end:
                    finish(record.offset)
                add(record, result if type(result) is tuple else self._outs(record, result))
        self.done.records += len(records) - waiting

    def _recall(self, records: Sequence[Record]) -> None:
        try:
            self._stage.recall(records)
        except Exception:
            log.exception("%s: %s is not fully recalled: the stage goes on without", self._stage_name, self._partition)

    def _original(self, record: Record) -> Record:
        return parked.original(record) if self._unparks else record

    def _take(self, records: Sequence[Record]) -> Sequence[Outputs | Later | Gathering]:
        """The stage's results, one a record."""
        if not self._unparks:
            return self._taken(records)
        runs = itertools.groupby(map(parked.original, records), lambda record: record.topic)
        return [result for _, run in runs for result in self._taken(list(run))]

    def _taken(self, records: Sequence[Record]) -> Sequence[Outputs | Later | Gathering]:
        try:
            results = self._stage.take(records)
            if len(results) != len(records):
                raise ValueError(f"take gave {len(results)} results for {len(records)} records; it must give one each")
        except Exception as error:
            if len(records) > 1:  # which of them it is, each alone will show
                return [result for record in records for result in self._taken([record])]
            log.exception("%s: %s offset %d is rejected", self._stage_name, self._partition, records[0].offset)
            return [Rejected("internal", f"{type(error).__name__}: {error}")]
        return results

    def _place(self, record: Record, result: Outputs | Later | Gathering) -> None:
        """A result that waits, or may have to: for its Later, for others, or for its key's turn."""
        attached: Outputs | Later | Gathering | Call = self._survivors.pop(record.offset, None) or result
        if isinstance(attached, Call) and isinstance(result, Gathering):  # it would never be whole
            self._in_flight -= attached.outputs is None
            self._calls.drop(self._partition, record.offset)
            attached = result
        elif isinstance(attached, Call) and not isinstance(result, Gathering):
            attached.attach(result)
        self.tracker.begin(record.offset)
        self.waiting += 1
        self.waiting_bytes += _size(record)
        if not self._keyed or record.key is None:
            self._go_on(record, attached)
        elif (lane := self._lanes.get(record.key)) is not None:
            lane.append((record, attached))
        else:
            self._lanes[record.key] = deque()
            self._go_on(record, attached)

    def _go_on(self, record: Record, result: Outputs | Later | Gathering | Call) -> None:
        """It is the record's turn, and after it that of its key's next records, as far as these are ready."""
        while True:
            if isinstance(result, Call):
                if result.outputs is None:
                    result.on_end = self._on_end
                    return
                assert not isinstance(result.outputs, Together), "the call of a Gathering does not outlive its records"
                result = result.outputs
            elif isinstance(result, Gathering):
                self._keeper = result.keeper
                self.open += 1
                result.join(record, self._on_closed)
                return
            elif callable(result):
                self._start(functools.partial(self._calls.start, self._partition, record, result, self._on_end))
                return
            self._finish(record, result)
            if not self._keyed or record.key is None:
                return
            if not (lane := self._lanes[record.key]):
                del self._lanes[record.key]
                return
            record, result = lane.popleft()

    def _start(self, call: Callable[[], None]) -> None:
        if self._in_flight < self._settings.in_flight_records_max:
            self._in_flight += 1
            call()
        else:
            self._backlog.append(call)

    def _on_end(self, call: Call) -> None:
        assert call.outputs is not None
        assert not isinstance(call.outputs, Together), "those have an end of their own"
        self._in_flight -= 1
        self._go_on(call.record, call.outputs)
        self._refill()

    def _on_closed(self, gathering: Gathering) -> None:
        """All of its records are here, and the stage has said what they get, or how to find out."""
        self.open -= len(gathering.records)
        if isinstance(gathering.joint, Together):
            self._finish_together(gathering, gathering.joint)
            self._outbox.tell()
            return
        assert gathering.joint is not None, "it is closed"
        leader, on_end = gathering.records[-1], functools.partial(self._on_joint_end, gathering)
        self._leaders.add(leader.offset)
        self._start(functools.partial(self._calls.start, self._partition, leader, gathering.joint, on_end))

    def _on_joint_end(self, gathering: Gathering, call: Call) -> None:
        assert call.outputs is not None
        self._in_flight -= 1
        self._finish_together(gathering, call.outputs)
        self._refill()

    def _finish_together(self, gathering: Gathering, outputs: Outputs | Together) -> None:
        """At once, so that one transaction has them all."""
        each = outputs.each if isinstance(outputs, Together) else [outputs] * len(gathering.records)
        for record, result in zip(gathering.records, each, strict=True):
            self._finish(record, result)

    def _on_early_end(self, _: Call) -> None:
        """Of a call whose record has not come yet, or waits for its key's turn."""
        self._in_flight -= 1
        self._refill()

    def _refill(self) -> None:
        if self._backlog and self._in_flight < self._settings.in_flight_records_max:
            self._in_flight += 1
            self._backlog.popleft()()
        self._outbox.tell()

    def _finish(self, record: Record, outputs: Outputs) -> None:
        """The outputs are final: they go into the next transaction."""
        self.waiting -= 1
        self.waiting_bytes -= _size(record)
        self.done.records += 1
        self.done.waited.append(record.offset)
        self.tracker.finish(record.offset)
        if not isinstance(outputs, Rejected):
            outputs = self._refused.get(record.offset, outputs)
        self._outbox.add(record, self._outs(record, outputs))

    def _outs(self, record: Record, outputs: Outputs) -> Outs:
        match outputs:
            case Rejected():
                return self._rejected(record, outputs)
            case Parked():
                assert self._parked_topic is not None, "a stage that parks has a topic for it"
                metrics.PARKED.labels(self._stage_name).inc()
                return (parked.park(self._original(record), outputs, topic=self._parked_topic),)
            case _:
                return outputs

    def _rejected(self, record: Record, rejected: Rejected) -> Outs:
        metrics.REJECTED.labels(self._stage_name, rejected.reason).inc()
        out = self._dead_letter(self._original(record), rejected)
        refused = self._refused.get(record.offset)
        if refused is not None and refused.attempts > 1:
            out = out._replace(value=None)  # not even the dead letter fits; its headers name the record it is of
        return (out,)


def _size(record: Record) -> int:
    return 0 if record.value is None else len(record.value)
