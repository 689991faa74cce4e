"""One input partition's life in this worker: it starts, publishes, and starts anew after any failure.

A start is four steps; the engine has paused the partition before the first:
1. start the transactional producer: it fences the last owner and ends its transaction;
2. fetch the committed offset and metadata: only now do they hold still;
3. seek, as far before the offset as the stage looks back;
4. resume.
In any other order records are repeated for a reader of committed outputs, or handed out from a stale position.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors import metrics
from processors.clock import Clock
from streams.engine.calls import Calls
from streams.engine.in_hand import DeadLetter, InHand
from streams.engine.offsets import Offsets
from streams.engine.settings import EngineSettings
from streams.engine.stage import Stage
from streams.engine.tracker import Tracker
from streams.engine.transactions import Fenced, OutputRefused, Transactions
from topics import catalog
from topics.messages import Rejected
from topics.records import Record

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # an idle partition's position is looked at this often: a marker moves it, no record comes
_RETRY_SECONDS = 0.5
_RETRY_SECONDS_MAX = 10.0


class Partition:
    """One assignment of one partition. `start` begins its task; the poll loop calls `has_room` and `take`."""

    def __init__(
        self,
        partition: TopicPartition,
        *,
        stage: Stage,
        stage_name: catalog.Stage,
        consumer: AIOKafkaConsumer,
        offsets: Offsets,
        calls: Calls,
        transactions: Callable[[], Transactions],
        dead_letter: DeadLetter,
        on_fenced: Callable[[], None],
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self._partition = partition
        self._stage = stage
        self._stage_name: catalog.Stage = stage_name
        self._consumer = consumer
        self._offsets = offsets
        self._calls = calls
        self._transactions = transactions
        self._dead_letter = dead_letter
        self._on_fenced = on_fenced
        self._clock = clock
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._in_hand: InHand | None = None  # between `resume` and the next failure
        self._committed = (0, "")  # offset and metadata, as the group has them
        self._closing = asyncio.Event()
        self._failures = 0  # since the last commit
        self._lost_place: str | None = None
        self._refused: dict[int, Rejected] = {}  # by offset: records whose outputs cannot be written
        self._one_output_a_batch = False  # to find out which record leads to the output that is refused
        self._lag = metrics.LAG.labels(stage_name, partition.topic, str(partition.partition))

    # --- for the engine --------------------------------------------------------------------------

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begins the partition's life. It is paused."""
        self._task = tasks.create_task(self._run(), name=f"{self._stage_name} {self._partition}")

    @property
    def serving(self) -> bool:
        """Whether it has started and neither failed nor ended since."""
        return self._in_hand is not None

    @property
    def waiting(self) -> int:
        """Records that wait for a Later, or for another record of their key."""
        return 0 if self._in_hand is None else self._in_hand.waiting

    def has_room(self) -> bool:
        """Whether the partition may be asked for more."""
        ready_max = 1 if self._one_output_a_batch else self._settings.transaction_records_max
        return self._in_hand is not None and self._in_hand.has_room(ready_max)

    def take(self, records: Sequence[Record]) -> None:
        """Records from the consumer, in offset order. What comes while nothing is served will come again."""
        if self._in_hand is None or self._lost_place is not None:
            return
        if records[0].offset < self._in_hand.position:
            self._lose_place(self._in_hand, records[0].offset)
        else:
            self._in_hand.take(records)

    def report_lag(self) -> None:
        """Sets the gauge."""
        if self._in_hand is not None:
            end = self._consumer.highwater(self._partition)
            self._lag.set(0 if end is None else max(0, end - self._in_hand.position))

    async def close(self, seconds: float) -> None:
        """Takes nothing more, commits what is done if that takes at most `seconds`, lets go of the producer.

        Calls in flight go on; their results are for whoever attaches to them.
        """
        self._closing.set()
        if self._task is None:
            return
        if self._in_hand is None:
            self._task.cancel()  # it starts, or waits before it starts again: there is nothing to commit
        else:
            self._in_hand.results.set()
            self._in_hand.enough.set()
        await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()
        await asyncio.wait({self._task})  # a second or two at most: see Transactions.stop
        with suppress(KeyError):
            metrics.LAG.remove(self._stage_name, self._partition.topic, str(self._partition.partition))

    # --- its task --------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Ends when the partition is closed or fenced."""
        while not self._closing.is_set():
            transactions = self._transactions()
            try:
                self._in_hand = in_hand = await self._start(transactions)
                while not (self._closing.is_set() and not in_hand.results.is_set()):
                    await self._publish(transactions, in_hand)
            except Fenced:
                log.warning("%s: %s is fenced, the worker rejoins its group", self._stage_name, self._partition)
                self._on_fenced()
                return
            except OutputRefused as error:
                self._note(error)
            except Exception as error:  # noqa: BLE001 the worker's edge: the partition stays paused and is tried again
                self._failures += 1
                log.warning("%s: %s starts anew after %r", self._stage_name, self._partition, error)
            finally:
                self._let_go()
                await transactions.stop()
            if self._failures and not self._closing.is_set():
                await self._clock.sleep(min(_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 8), _RETRY_SECONDS_MAX))

    async def _start(self, transactions: Transactions) -> InHand:
        await transactions.start()  # 1
        self._committed = (offset, metadata) = await self._offsets.committed(self._partition)  # 2
        tracker = Tracker.resume(offset, metadata)
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        if end < tracker.inherited_end:  # what comes there next would be taken for done
            raise RuntimeError(_lost_place(tracker.inherited_end, end))
        in_hand = InHand(
            self._partition,
            tracker,
            max(0, offset - self._stage.lookback(self._partition.topic)),
            stage=self._stage,
            stage_name=self._stage_name,
            calls=self._calls,
            dead_letter=self._dead_letter,
            refused=self._refused,
            settings=self._settings,
        )
        self._consumer.seek(self._partition, in_hand.position)  # 3
        self._consumer.resume(self._partition)  # 4
        return in_hand

    def _let_go(self) -> None:
        """Takes nothing more; what is in hand is dropped, but for the calls in flight."""
        if self._in_hand is None:
            return
        if not self._closing.is_set() and self._partition in self._consumer.assignment():  # else it is being revoked
            self._consumer.pause(self._partition)
        self._in_hand.let_go()
        self._in_hand = None
        self._lost_place = None
        self._stage.forget(self._partition.topic, self._partition.partition)

    async def _publish(self, transactions: Transactions, in_hand: InHand) -> None:
        """One transaction, with whatever has come together."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await in_hand.results.wait()
            async with asyncio.timeout(self._settings.transaction_interval_s):
                await in_hand.enough.wait()
        if not self._closing.is_set():
            await self._look(in_hand)
        results, committed = in_hand.transaction()
        if not results and committed[0] == self._committed[0]:
            return  # the metadata may name more outstanding records: a successor finds them by itself
        began = self._clock.monotonic()
        outcome = "aborted"
        try:
            await transactions.commit(
                results, {self._partition: committed}, one_output_a_batch=self._one_output_a_batch
            )
            outcome = "committed"
        finally:
            metrics.TRANSACTIONS.labels(self._stage_name, outcome).inc()
            metrics.COMMIT_SECONDS.labels(self._stage_name).observe(self._clock.monotonic() - began)
        self._committed = committed
        self._failures = 0
        self._one_output_a_batch = False
        in_hand.committed(results)

    async def _look(self, in_hand: InHand) -> None:
        """Moves on past markers, where no record comes from; without that, lag would never be zero."""
        position = await self._consumer.position(self._partition)
        if position < in_hand.position:
            self._lose_place(in_hand, position)
        if self._lost_place is not None:
            raise RuntimeError(self._lost_place)
        in_hand.position = position
        in_hand.tracker.advance(position)

    def _lose_place(self, in_hand: InHand, offset: int) -> None:
        """The broker no longer has the offset that we stand at. To decide again is wrong, and so is to go on."""
        self._lost_place = _lost_place(in_hand.position, offset)
        in_hand.results.set()
        in_hand.enough.set()

    def _note(self, error: OutputRefused) -> None:
        """In its next life the partition writes a dead letter in place of what cannot be written."""
        record = error.record
        self._one_output_a_batch = record is None
        if record is None:
            log.warning("%s: an output of %s is refused (%s): looking which", self._stage_name, self._partition, error)
            return
        before = self._refused.get(record.offset)
        attempts = 1 if before is None else before.attempts + 1
        detail = f"an output of this record cannot be written: {error}"
        self._refused[record.offset] = Rejected(error.reason, detail, attempts)
        if attempts > 2:
            self._failures += 1  # not even a dead letter without a value is taken: wait, and more and more
        log.warning("%s: dead letter for offset %d of %s: %s", self._stage_name, record.offset, self._partition, detail)


def _lost_place(stood_at: int, offset: int) -> str:
    return (
        f"offset {stood_at} lies beyond the partition's end, {offset} is where it goes on: the broker lost records, or "
        "the topic was made anew; in the first case move the group's offset by hand"
    )
