"""Records of one partition that are taken and not done: they wait for a Later, or for their key's turn.

What is done goes to the outbox at once. No Kafka in here. One object from a partition's start to its next failure,
rebalance or end.
"""

import itertools
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka.structs import TopicPartition

from processors import metrics
from streams.engine.calls import Call, Calls
from streams.engine.outbox import Outbox
from streams.engine.settings import EngineSettings
from streams.engine.stage import Later, Outputs, Outs, Stage
from streams.engine.tracker import Tracker
from topics import catalog, parked
from topics.messages import Parked, Rejected
from topics.records import Out, Record

log = logging.getLogger(__name__)

_LOW_WATER = 0.5  # a full partition is asked again at this share of its bytes: it must not flap
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
        self._backlog: deque[tuple[Record, Later]] = deque()  # taken beyond the limit of calls in flight
        self._parked_topic = parked_topic
        self._unparks = partition.topic == parked_topic
        self._keyed = not self._unparks and stage.order(partition.topic) == "key"
        self._lanes: dict[bytes | None, deque[tuple[Record, Outputs | Later | Call]]] = {}  # busy keys: what waits
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
        """Whether more may be taken. A full partition is not asked for a while: it must not flap."""
        settings = self._settings
        records_max = settings.in_flight_records_max * (1.0 if self._full else 1.0 + _AHEAD)
        bytes_max = settings.in_flight_bytes_max * (_LOW_WATER if self._full else 1.0)
        self._full = (
            self.waiting >= records_max
            or self.waiting_bytes >= bytes_max
            or (self.tracker.crowded and self.position >= self.tracker.inherited_end)
        )
        return not self._full

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
            self._refused.pop(offset, None)

    def let_go(self) -> None:
        """Nothing more is published from here. Calls in flight go on, for whoever attaches to them."""
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
            if callable(result) or careful or (lanes and record.key in lanes):
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

    def _take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        """The stage's results, one a record."""
        if not self._unparks:
            return self._taken(records)
        runs = itertools.groupby(map(parked.original, records), lambda record: record.topic)
        return [result for _, run in runs for result in self._taken(list(run))]

    def _taken(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
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

    def _place(self, record: Record, result: Outputs | Later) -> None:
        """A result that waits, or may have to: for its Later, or for its key's turn."""
        attached: Outputs | Later | Call = self._survivors.pop(record.offset, None) or result
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

    def _go_on(self, record: Record, result: Outputs | Later | Call) -> None:
        """It is the record's turn, and after it that of its key's next records, as far as these are ready."""
        while True:
            if isinstance(result, Call):
                if result.outputs is None:
                    result.on_end = self._on_end
                    return
                result = result.outputs
            elif callable(result):
                if self._in_flight < self._settings.in_flight_records_max:
                    self._in_flight += 1
                    self._calls.start(self._partition, record, result, self._on_end)
                else:
                    self._backlog.append((record, result))
                return
            self._finish(record, result)
            if not self._keyed or record.key is None:
                return
            if not (lane := self._lanes[record.key]):
                del self._lanes[record.key]
                return
            record, result = lane.popleft()

    def _on_end(self, call: Call) -> None:
        assert call.outputs is not None
        self._in_flight -= 1
        self._go_on(call.record, call.outputs)
        self._refill()

    def _on_early_end(self, _: Call) -> None:
        """Of a call whose record has not come yet, or waits for its key's turn."""
        self._in_flight -= 1
        self._refill()

    def _refill(self) -> None:
        if self._backlog and self._in_flight < self._settings.in_flight_records_max:
            self._go_on(*self._backlog.popleft())
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
