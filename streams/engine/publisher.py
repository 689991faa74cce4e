"""Some input partitions and the one producer that publishes for them: a start, transactions, a start after a failure.

A start is four steps; the engine has paused the partitions before the first:
1. start the producer: with a transactional id it fences the last owner and ends its transaction;
2. fetch the committed offsets and metadata: only now do they hold still;
3. seek, as far before the offset as the stage looks back;
4. resume.
In any other order records are repeated for a reader of committed outputs, or handed out from a stale position.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from processors import metrics
from processors.clock import Clock
from streams.engine.broker import Committed, Fenced, Member
from streams.engine.delivery import Delivery
from streams.engine.offsets import Offsets
from streams.engine.outbox import Outbox, OutputRefused
from streams.engine.partition import Partition
from streams.engine.settings import EngineSettings
from streams.engine.tasks import spawn
from topics import catalog

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # an idle partition's position is looked at this often: a marker moves it, no record comes
_RETRY_SECONDS = 0.5
_RETRY_SECONDS_MAX = 2.0  # a broker that restarts is back in seconds
_REFUSALS_MAX = 2  # of one record's outputs; then not even its dead letter is taken, and the publisher waits


class Publisher:
    """`start` begins its task, `close` ends it."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        *,
        stage_name: catalog.Stage,
        member: Member,
        offsets: Offsets,
        delivery: Callable[[], Delivery],
        on_fenced: Callable[[], None],
        clock: Clock,
        rng: random.Random,
        settings: EngineSettings,
    ) -> None:
        """`delivery` makes a new one for each life."""
        self.partitions = partitions
        self._stage_name: catalog.Stage = stage_name
        self._name = f"{stage_name} {', '.join(f'{p.at.topic}/{p.at.partition}' for p in partitions)}"
        self._member = member
        self._offsets = offsets
        self._delivery = delivery
        self._on_fenced = on_fenced
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._outbox: Outbox | None = None  # while it serves
        self._on_the_way = 0  # bytes that are being published
        self._closing = False
        self._looked_at = self._began = clock.monotonic()  # `began`: the last transaction
        self._failures = 0  # since the last commit
        self._one_output_a_batch = False  # to find out which record leads to the output that is refused

    # --- for the engine --------------------------------------------------------------------------

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begins its life. The partitions are paused."""
        self._task = spawn(tasks, self._run(), self._name)

    @property
    def serving(self) -> bool:
        """Whether it has started and neither failed nor ended since."""
        return self._outbox is not None

    @property
    def bytes(self) -> int:
        """In hand: of records that wait, and of outputs that are not committed."""
        ready = 0 if self._outbox is None else self._outbox.bytes
        return ready + self._on_the_way + sum(partition.waiting_bytes for partition in self.partitions)

    def has_room(self) -> bool:
        """Whether its partitions may be asked for more."""
        return self._outbox is not None and not self._outbox.full

    def detach(self) -> None:
        """Nothing is given to its partitions any more: what the consumer gives out from here on is not theirs, and its
        position says nothing about what they have taken."""
        self._closing = True
        for partition in self.partitions:
            partition.detached = True

    async def close(self, seconds: float) -> None:
        """Takes nothing more, commits what is done if that takes at most `seconds`, lets go of the producer.

        Calls in flight go on; their results are for whoever attaches to them.
        """
        self.detach()
        if self._task is None:
            return
        if self._outbox is None:
            self._task.cancel()  # it starts, or waits before it starts again: there is nothing to commit
        else:
            self._outbox.results.set()
            self._outbox.enough.set()
        await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()
        await asyncio.wait({self._task})  # a second or two at most: see Producer.stop
        for partition in self.partitions:
            partition.close()

    # --- its task --------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Ends when it is closed or fenced."""
        while not self._closing:
            delivery = self._delivery()
            try:
                self._outbox = outbox = await self._start(delivery)
                more = True
                while more or not self._closing:
                    await self._gather(outbox)
                    more = await self._publish(delivery, outbox)
            except Fenced:
                log.warning("%s is fenced, the worker rejoins its group", self._name)
                self._on_fenced()
                return
            except OutputRefused as error:
                self._note(error)
            except Exception as error:  # noqa: BLE001 the worker's edge: the partitions stay paused, it is tried again
                self._failures += 1
                log.warning("%s starts anew after %r", self._name, error)
            finally:
                self._let_go()
                await delivery.stop()
            if self._failures and not self._closing:
                await self._clock.sleep(min(_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 8), _RETRY_SECONDS_MAX))

    async def _start(self, delivery: Delivery) -> Outbox:
        await delivery.start()  # 1
        places = [partition.at for partition in self.partitions]
        committed = await self._offsets.committed(places)  # 2
        ends = await self._member.end_offsets(places)
        outbox = Outbox(
            delivery.producer,
            rng=self._rng,
            records_max=self._settings.transaction_records_max,
            bytes_max=self._settings.transaction_bytes_max,
            one_output_a_batch=self._one_output_a_batch,
        )
        for partition in self.partitions:
            partition.begin(committed[partition.at], ends[partition.at], outbox)  # 3, 4
        return outbox

    def _let_go(self) -> None:
        if not self._closing:  # else they are being revoked
            self._member.pause(*({partition.at for partition in self.partitions} & self._member.assignment()))
        for partition in self.partitions:
            partition.let_go()
        self._outbox = None

    async def _gather(self, outbox: Outbox) -> None:
        """Returns when a transaction is worth it, or after a while in which nothing came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await outbox.results.wait()
            async with asyncio.timeout(self._began + self._settings.transaction_interval_s - self._clock.monotonic()):
                await outbox.enough.wait()
        now = self._clock.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS and not self._closing:
            self._looked_at = now
            for partition in self.partitions:
                await partition.look()

    async def _publish(self, delivery: Delivery, outbox: Outbox) -> bool:
        """One transaction, with whatever has come together. True: there is more already."""
        await outbox.resolve()
        # Without an await up to `publish`: the offsets must say what the batches hold, no more and no less.
        offsets: dict[Partition, Committed] = {}
        for partition in self.partitions:
            if partition.lost_place is not None:
                raise RuntimeError(partition.lost_place)
            assert partition.in_hand is not None
            committed = partition.in_hand.tracker.commit()
            if committed is None:  # more records wait than can be named: what is done has to wait as well
                await self._clock.sleep(self._settings.transaction_interval_s)
                return False
            if partition.in_hand.done.records or committed.offset != partition.committed.offset:
                offsets[partition] = committed  # else it names more that waits: a successor finds that by itself
        if not offsets:
            return False
        self._on_the_way = outbox.bytes
        batches = outbox.take()
        done = [partition.publishing() for partition in offsets]
        self._began = self._clock.monotonic()
        outcome = "aborted"
        try:
            await delivery.publish(batches, {partition.at: committed for partition, committed in offsets.items()})
            outcome = "committed"
        finally:
            self._on_the_way = 0
            metrics.TRANSACTIONS.labels(self._stage_name, outcome).inc()
            metrics.COMMIT_SECONDS.labels(self._stage_name).observe(self._clock.monotonic() - self._began)
        for (partition, committed), records in zip(offsets.items(), done, strict=True):
            partition.published(committed, records)
        self._failures = 0
        self._one_output_a_batch = False
        return outbox.records > 0

    def _note(self, error: OutputRefused) -> None:
        record = error.record
        self._one_output_a_batch = record is None
        if record is None:
            log.warning("%s: an output is refused (%s): looking which", self._name, error)
            return
        (partition,) = (p for p in self.partitions if (p.at.topic, p.at.partition) == (record.topic, record.partition))
        if partition.refuse(record, error) > _REFUSALS_MAX:
            self._failures += 1
