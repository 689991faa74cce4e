"""Records of one partition that are taken and not committed: they wait for a Later, for their key's turn, or are done.

No Kafka in here. One object from a partition's start to its next failure, rebalance or end.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from aiokafka.structs import TopicPartition

from processors import metrics
from streams.engine.calls import Call, Calls
from streams.engine.settings import EngineSettings
from streams.engine.stage import Later, Outputs, Stage
from streams.engine.tracker import Tracker
from streams.engine.transactions import Result
from topics import catalog
from topics.messages import Rejected
from topics.records import Out, Record

log = logging.getLogger(__name__)

_LOW_WATER = 0.5  # a full partition is asked again at this share of its limits: it must not flap


class DeadLetter(Protocol):
    """Makes the record for `dead-letters`. Must not raise."""

    def __call__(self, record: Record, rejected: Rejected) -> Out: ...


class InHand:
    """Takes records in offset order; gathers results in the order of their end."""

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
        refused: dict[int, Rejected],
        settings: EngineSettings,
    ) -> None:
        """`refused`: by offset, records whose outputs were tried and cannot be written."""
        self.position = position  # of the next record
        self.tracker = tracker
        self.results = asyncio.Event()  # some are ready
        self.enough = asyncio.Event()  # so many are ready that a transaction is full
        self.waiting = 0  # records taken whose result is not ready
        self._partition = partition
        self._stage = stage
        self._stage_name = stage_name
        self._calls = calls
        self._dead_letter = dead_letter
        self._refused = refused
        self._settings = settings
        self._ready: list[Result] = []
        self._bytes = 0  # values of records taken and not committed
        self._full = False
        self._in_flight = 0  # calls
        self._backlog: deque[tuple[Record, Later]] = deque()  # taken beyond the limit of calls in flight
        self._keyed = stage.order(partition.topic) == "key"
        self._lanes: dict[bytes, deque[tuple[Record, Outputs | Later | Call]]] = {}  # busy keys: what waits for them
        for offset in [offset for offset in calls.of(partition) if tracker.done_before(offset)]:
            calls.drop(partition, offset)
        self._survivors = dict(calls.of(partition))  # calls of an earlier life; attached when their record comes
        self._received = metrics.RECEIVED.labels(stage_name, partition.topic)
        self._committed = metrics.COMMITTED.labels(stage_name, partition.topic)

    def has_room(self, ready_max: int) -> bool:
        """Whether more may be taken, with at most `ready_max` results waiting for a transaction."""
        settings = self._settings
        share = _LOW_WATER if self._full else 1.0
        self._full = (
            self.waiting >= settings.in_flight_records_max * share
            or self._bytes >= settings.in_flight_bytes_max * share
            or len(self._ready) >= ready_max * share
            or (self.tracker.crowded and self.position >= self.tracker.inherited_end)
        )
        return not self._full

    def take(self, records: Sequence[Record]) -> None:
        """What an earlier owner has done is recalled, the rest is taken; ready results count as done at once."""
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
        self._tell()

    def transaction(self) -> tuple[list[Result], tuple[int, str]]:
        """The results that are ready, with the offset and metadata that go into their transaction.

        Where not all outstanding records can be named, what is done beyond the last named one stays for later.
        """
        self.results.clear()
        self.enough.clear()
        offset, metadata, end = self.tracker.commit()
        results, self._ready = self._ready, []
        if end < self.position:
            self._ready = [result for result in results if result[0].offset >= end]
            results = [result for result in results if result[0].offset < end]
        return results, (offset, metadata)

    def committed(self, results: Sequence[Result]) -> None:
        """The transaction with these results is committed."""
        self._committed.inc(len(results))
        calls = self._calls.of(self._partition)
        for record, _ in results:
            if record.value is not None:
                self._bytes -= len(record.value)
            if calls:
                self._calls.drop(self._partition, record.offset)
            if self._refused:
                self._refused.pop(record.offset, None)

    def let_go(self) -> None:
        """Nothing more is published from here. Calls in flight go on, for whoever attaches to them."""
        for call in self._calls.of(self._partition).values():
            call.on_end = None

    def _decide(self, records: Sequence[Record]) -> None:
        """Every record of the free path goes through this loop: no task, no future, no coroutine for it."""
        self._received.inc(len(records))
        tracker = self.tracker
        inherited_end = tracker.inherited_end
        ready = self._ready
        careful = self._keyed or self._survivors or self._refused
        taken_bytes = 0
        for record, result in zip(records, self._take(records), strict=True):
            if record.value is not None:
                taken_bytes += len(record.value)
            if callable(result) or careful:
                self._place(record, result)
            else:
                if record.offset < inherited_end:
                    tracker.finish(record.offset)
                ready.append((record, self._rejected(record, result) if isinstance(result, Rejected) else result))
        self._bytes += taken_bytes

    def _recall(self, records: Sequence[Record]) -> None:
        try:
            self._stage.recall(records)
        except Exception:
            log.exception("%s: %s is not fully recalled: the stage goes on without", self._stage_name, self._partition)

    def _take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        try:
            results = self._stage.take(records)
            if len(results) != len(records):
                raise ValueError(f"take gave {len(results)} results for {len(records)} records; it must give one each")
        except Exception as error:
            if len(records) > 1:  # which of them it is, each alone will show
                return [result for record in records for result in self._take([record])]
            log.exception("%s: %s offset %d is rejected", self._stage_name, self._partition, records[0].offset)
            return [Rejected("internal", f"{type(error).__name__}: {error}")]
        return results

    def _place(self, record: Record, result: Outputs | Later) -> None:
        """A result that waits, or may have to: for its Later, or for its key's turn."""
        attached: Outputs | Later | Call = self._survivors.pop(record.offset, None) or result
        self.tracker.begin(record.offset)
        self.waiting += 1
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
                    self._in_flight += 1
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
        if self._backlog and self._in_flight < self._settings.in_flight_records_max:
            self._go_on(*self._backlog.popleft())
        self._tell()

    def _finish(self, record: Record, outputs: Outputs) -> None:
        """The outputs are final: they go into the next transaction."""
        self.waiting -= 1
        self.tracker.finish(record.offset)
        if not isinstance(outputs, Rejected):
            outputs = self._refused.get(record.offset, outputs)
        self._ready.append((record, self._rejected(record, outputs) if isinstance(outputs, Rejected) else outputs))

    def _rejected(self, record: Record, rejected: Rejected) -> Sequence[Out]:
        metrics.REJECTED.labels(self._stage_name, rejected.reason).inc()
        out = self._dead_letter(record, rejected)
        refused = self._refused.get(record.offset)
        if refused is not None and refused.attempts > 1:
            out = out._replace(value=None)  # not even the dead letter fits; its headers name the record it is of
        return (out,)

    def _tell(self) -> None:
        if self._ready:
            self.results.set()
            if len(self._ready) >= self._settings.transaction_records_max:
                self.enough.set()
