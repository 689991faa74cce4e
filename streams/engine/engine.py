"""The poll loop of one stage: gives records to partitions, follows rebalances, shuts down in order."""

import asyncio
import functools
import logging
import random
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.clock import Clock
from streams import topics_admin
from streams.engine.attempts import Attempts
from streams.engine.calls import Calls
from streams.engine.in_hand import DeadLetter
from streams.engine.intake import Intake
from streams.engine.offsets import Offsets, Start
from streams.engine.partition import Partition
from streams.engine.settings import EngineSettings, Health
from streams.engine.stage import Stage
from streams.engine.transactions import Transactions
from topics import catalog

__all__ = ["Engine", "EngineSettings", "Health"]

log = logging.getLogger(__name__)

_POLL_MS = 200
_POLL_SOON_MS = 20  # while a partition is full or starting: it may have room at any moment
_NOBODY = TopicPartition("", -1)  # asked when no partition has room: a poll must be, or the group takes us for dead
_LAG_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_METADATA_MS = 60_000  # new partitions of an input are noticed within a minute
_LEAVE_SECONDS_MAX = 3.0
_TOPIC_BEGINNING = -1  # in place of a partition's number, in the transactional id that begins a `latest` topic


class Engine(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs one stage as a member of its consumer group. Several may run in one event loop."""

    def __init__(
        self,
        stage: Stage,
        *,
        stage_name: catalog.Stage,
        topics: Mapping[str, Start],
        names: catalog.Names,
        bootstrap_servers: str,
        clock: Clock,
        rng: random.Random,
        dead_letter: DeadLetter,
        settings: EngineSettings = EngineSettings(),  # noqa: B008 frozen
    ) -> None:
        """`topics`: the inputs, and where a new group begins each."""
        self._stage = stage
        self._name: catalog.Stage = stage_name
        self._topics = dict(topics)
        self._names = names
        self._group = names.group(stage_name)
        self._bootstrap_servers = bootstrap_servers
        self._clock = clock
        self._rng = rng
        self._dead_letter = dead_letter
        self._settings = settings
        self._intake = Intake(stage_name, clock)
        self._partitions: dict[TopicPartition, Partition] = {}
        self._joined = False
        self._stopping = False
        self._polled_at = clock.monotonic()
        self._lag_reported_at = clock.monotonic()

    def health(self) -> Health:
        """For probes; cheap."""
        partitions = self._partitions.values()
        return Health(
            joined=self._joined and all(partition.serving for partition in partitions),
            partitions=len(partitions),
            in_flight=sum(partition.waiting for partition in partitions),
            held=self._intake.held,
            poll_age_s=self._clock.monotonic() - self._polled_at,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then ends within `shutdown_seconds`: intake first, then what is in flight.

        Raises BrokerUnreachable, and KafkaError where the group or a topic is refused; nothing is lost by either.
        """
        async with AsyncExitStack() as open_:
            self._consumer = AIOKafkaConsumer(
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",  # of an offset that has expired; where a group begins is ours to say
                isolation_level="read_committed",
                session_timeout_ms=self._settings.session_timeout_ms,
                heartbeat_interval_ms=self._settings.session_timeout_ms // 4,
                metadata_max_age_ms=_METADATA_MS,
                bootstrap_servers=self._bootstrap_servers,
            )
            open_.push_async_callback(self._leave)
            admin = await open_.enter_async_context(topics_admin.connected(self._bootstrap_servers))
            await self._consumer.start()
            self._offsets = Offsets(
                self._consumer,
                admin,
                group=self._group,
                starts=self._topics,
                starter=lambda topic: self._transactions(TopicPartition(topic, _TOPIC_BEGINNING)),
            )
            async with asyncio.TaskGroup() as tasks:
                await self._work(tasks, stop)

    async def _work(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        self._tasks = tasks
        self._attempts = Attempts(self._name, self._intake, clock=self._clock, rng=self._rng, settings=self._settings)
        self._calls = Calls(self._name, tasks, self._attempts)
        self._consumer.subscribe(list(self._topics), listener=self)
        polling = tasks.create_task(self._poll(), name=f"{self._name} poll")
        await stop.wait()
        log.info("%s: stopping", self._name)
        self._stopping = True
        polling.cancel()
        await self._drain()
        await self._close()
        self._calls.keep_only(())

    # --- intake ----------------------------------------------------------------------------------

    async def _poll(self) -> None:
        consumer = self._consumer
        while True:
            partitions = self._partitions
            asked: list[TopicPartition] = []
            calling = self._calls.in_flight - self._attempts.waiting_for_budget
            if self._intake.held is None or calling == 0:  # without a call nobody would ever find out
                asked = [partition for partition, state in partitions.items() if state.has_room()]
            # A partition without room is not paused but not asked: pausing would drop what is prefetched of it.
            try:
                polled = await consumer.getmany(
                    *asked or (_NOBODY,),
                    timeout_ms=_POLL_MS if len(asked) == len(partitions) else _POLL_SOON_MS,
                    max_records=self._settings.poll_records_max,
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("%s: the poll failed and is tried again: %r", self._name, error)
                self._polled_at = self._clock.monotonic()
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._polled_at = self._clock.monotonic()
            # Without an await from here on: what the consumer has given out must be taken before anyone can look.
            for partition, records in polled.items():
                if partition in self._partitions:  # else it was let go while we waited
                    self._partitions[partition].take(records)
            if self._polled_at - self._lag_reported_at >= _LAG_SECONDS:
                self._lag_reported_at = self._polled_at
                for state in self._partitions.values():
                    state.report_lag()
            await asyncio.sleep(0)  # getmany does not give way while it has records at hand: commits would starve

    # --- rebalance: called by aiokafka -----------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002
        """Everything is taken away, what comes back too: commit what is done, let go. Calls in flight go on."""
        self._joined = False
        await self._close()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Not a coroutine: nothing may run between the assignment and the pause, and the group must not wait."""
        self._consumer.pause(*assigned)
        if self._stopping:
            return
        try:
            self._calls.keep_only(assigned)
            for partition in sorted(assigned):
                self._partitions[partition] = self._partition(partition)
                self._partitions[partition].start(self._tasks)
        except Exception as error:  # noqa: BLE001 aiokafka would go on without these partitions
            self._tasks.create_task(_raise(error))
        self._joined = True

    def _partition(self, partition: TopicPartition) -> Partition:
        return Partition(
            partition,
            stage=self._stage,
            stage_name=self._name,
            consumer=self._consumer,
            offsets=self._offsets,
            calls=self._calls,
            transactions=functools.partial(self._transactions, partition),
            dead_letter=self._dead_letter,
            on_fenced=self._rejoin,
            clock=self._clock,
            settings=self._settings,
        )

    def _transactions(self, partition: TopicPartition) -> Transactions:
        return Transactions(
            transactional_id=self._names.transactional_id(self._name, partition.topic, partition.partition),
            group=self._group,
            timeout_ms=self._settings.transaction_timeout_ms,
            rng=self._rng,
            bootstrap_servers=self._bootstrap_servers,
        )

    def _rejoin(self) -> None:
        """A partition is fenced: whether it is still ours only the group can tell."""
        if self._joined and not self._stopping:
            self._joined = False
            self._tasks.create_task(self._subscribe_again(), name=f"{self._name} rejoin")

    async def _subscribe_again(self) -> None:
        await self._close()
        if not self._stopping:
            self._consumer.subscribe(list(self._topics), listener=self)

    # --- ending ----------------------------------------------------------------------------------

    async def _close(self) -> None:
        partitions = list(self._partitions.values())
        self._partitions = {}
        await asyncio.gather(*(partition.close(self._settings.revoke_seconds_max) for partition in partitions))

    async def _drain(self) -> None:
        """Waits for what is in flight, but not for what cannot end before an operator acts."""
        seconds = self._settings.shutdown_seconds
        ends_at = self._clock.monotonic() + max(seconds / 2, seconds - 2 * _LEAVE_SECONDS_MAX)
        while self._clock.monotonic() < ends_at and self._intake.held is None:
            if not any(partition.waiting for partition in self._partitions.values()):
                return
            await self._clock.sleep(0.02)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS_MAX):
                await self._consumer.stop()
        except Exception as error:  # noqa: BLE001 the process ends; the group misses it after the session's timeout
            log.warning("%s: the group was not left in order: %r", self._name, error)


async def _raise(error: Exception) -> None:
    raise error
