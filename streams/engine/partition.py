"""One input partition in this worker: what is in hand of it, where it stands, and what of it cannot be written."""

import logging
from collections.abc import Sequence
from contextlib import suppress

from aiokafka.structs import TopicPartition

from processors import metrics
from processors.clock import Clock
from streams.engine.broker import Committed, Member
from streams.engine.calls import Calls
from streams.engine.in_hand import DeadLetter, Done, InHand
from streams.engine.outbox import Outbox, OutputRefused, Place
from streams.engine.settings import EngineSettings
from streams.engine.stage import Stage
from streams.engine.tracker import Tracker
from topics import catalog, parked
from topics.messages import Rejected
from topics.records import Record

log = logging.getLogger(__name__)


class Partition:
    """One assignment of one partition. Its publisher begins it and lets go of it, perhaps several times; between the
    two the poll loop calls `has_room` and `take`."""

    def __init__(
        self,
        partition: TopicPartition,
        *,
        stage: Stage,
        stage_name: catalog.Stage,
        member: Member,
        calls: Calls,
        dead_letter: DeadLetter,
        parked_topic: str | None,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self.at = partition
        self.in_hand: InHand | None = None  # between `begin` and `let_go`
        self.committed = Committed(0, "")  # as the group has it
        self.lost_place: str | None = None  # why it cannot go on from where it stands
        self.detached = False  # the poll loop gives it nothing any more
        self._stage = stage
        self._stage_name: catalog.Stage = stage_name
        self._member = member
        self._calls = calls
        self._dead_letter = dead_letter
        self._parked_topic = parked_topic
        self._clock = clock
        self._due_ms = 0  # parked records: the next one must not be taken before
        self._settings = settings
        self._lookback = 0 if partition.topic == parked_topic else stage.lookback(partition.topic)
        self._outbox: Outbox | None = None
        self._refused: dict[int, Rejected] = {}  # by offset: records whose outputs cannot be written
        self._lag = metrics.LAG.labels(stage_name, partition.topic, str(partition.partition))

    # --- for the poll loop -----------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Records that wait for a Later, or for another record of their key; not what is open, which may take hours."""
        return 0 if self.in_hand is None else self.in_hand.waiting - self.in_hand.open

    @property
    def waiting_bytes(self) -> int:
        """Of their values."""
        return 0 if self.in_hand is None else self.in_hand.waiting_bytes

    def has_room(self) -> bool:
        """Whether the partition may be asked for more."""
        due = self._due_ms == 0 or self._due_ms <= self._clock.time() * 1000
        return due and self.in_hand is not None and self.in_hand.has_room()

    def relieve(self) -> None:
        """There is no room for what is open here to go on."""
        if self.in_hand is not None:
            self.in_hand.relieve()

    def take(self, records: Sequence[Record]) -> None:
        """Records from the consumer, in offset order. What comes while nothing is served will come again."""
        if self.in_hand is None or self.lost_place is not None:
            return
        if records[0].offset < self.in_hand.position:
            self._lose_place(records[0].offset)
        elif due := records if self.at.topic != self._parked_topic else self._due(records):
            self.in_hand.take(due)

    def _due(self, records: Sequence[Record]) -> Sequence[Record]:
        """Parked records up to the first that is not due. They are due in about the order in which they were parked."""
        now_ms = self._clock.time() * 1000
        for position, record in enumerate(records):
            self._due_ms = parked.due_ms(record)
            if self._due_ms > now_ms:
                self._member.seek(self.at, record.offset)
                return records[:position]
        self._due_ms = 0
        return records

    def report_lag(self) -> None:
        """Sets the gauge."""
        if self.in_hand is not None:
            end = self._member.highwater(self.at)
            self._lag.set(0 if end is None else max(0, end - self.in_hand.position))

    # --- for its publisher -----------------------------------------------------------------------

    def begin(self, committed: Committed, end: int, outbox: Outbox) -> None:
        """Takes up where the group's offset says, as far before it as the stage looks back; seeks, resumes.

        `end` is the partition's. Raises RuntimeError where the offset lies beyond it.
        """
        self.committed = committed
        tracker = Tracker.resume(*committed)
        if end < tracker.inherited_end:  # what comes there next would be taken for done
            raise RuntimeError(_lost_place(tracker.inherited_end, end))
        self._outbox = outbox
        self.in_hand = InHand(
            self.at,
            tracker,
            max(0, committed.offset - self._lookback),
            stage=self._stage,
            stage_name=self._stage_name,
            calls=self._calls,
            dead_letter=self._dead_letter,
            outbox=outbox,
            refused=self._refused,
            parked_topic=self._parked_topic,
            settings=self._settings,
        )
        self._member.seek(self.at, self.in_hand.position)
        self._member.resume(self.at)

    async def look(self) -> None:
        """Moves on past markers, where no record comes from; without that, lag would never be zero."""
        position = await self._member.position(self.at)
        if self.in_hand is None or self.detached:
            return
        if position < self.in_hand.position:
            self._lose_place(position)
        else:
            self.in_hand.position = position
            self.in_hand.tracker.advance(position)
            self.in_hand.look()

    def publishing(self) -> Done:
        """What is done goes out now."""
        assert self.in_hand is not None
        return self.in_hand.publishing()

    def published(self, committed: Committed, done: Done) -> None:
        """It is out, and the group's offset says so."""
        self.committed = committed
        if self.in_hand is not None:
            self.in_hand.published(done)

    def let_go(self) -> None:
        """Takes nothing more; what is in hand is dropped, but for the calls in flight."""
        if self.in_hand is None:
            return
        self.in_hand.let_go()
        self.in_hand = None
        self.lost_place = None
        if self.at.topic != self._parked_topic:
            self._stage.forget(self.at.topic, self.at.partition)

    def refuse(self, record: Place, error: OutputRefused) -> int:
        """In its next life the partition writes a dead letter in place of what cannot be written. How often by now."""
        before = self._refused.get(record.offset)
        attempts = 1 if before is None else before.attempts + 1
        detail = f"an output of this record cannot be written: {error}"
        self._refused[record.offset] = Rejected(error.reason, detail, attempts)
        log.warning("%s: dead letter for offset %d of %s: %s", self._stage_name, record.offset, self.at, detail)
        return attempts

    def close(self) -> None:
        """Its publisher has ended."""
        with suppress(KeyError):
            metrics.LAG.remove(self._stage_name, self.at.topic, str(self.at.partition))

    def _lose_place(self, offset: int) -> None:
        """The broker no longer has the offset that we stand at. To decide again is wrong, and so is to go on."""
        assert self.in_hand is not None
        assert self._outbox is not None
        self.lost_place = _lost_place(self.in_hand.position, offset)
        self._outbox.results.set()
        self._outbox.enough.set()


def _lost_place(stood_at: int, offset: int) -> str:
    return (
        f"offset {stood_at} lies beyond the partition's end, {offset} is where it goes on: the broker lost records, or "
        "the topic was made anew; in the first case move the group's offset by hand"
    )
