"""The poll loop of one stage: gives records to partitions, follows rebalances, shuts down in order."""

import asyncio
import logging
import random
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.clock import Clock
from processors.metrics import expect_rejections
from streams.engine.attempts import Attempts
from streams.engine.broker import Broker, Membership, Producer
from streams.engine.calls import Calls
from streams.engine.delivery import AtLeastOnce, Delivery, ExactlyOnce
from streams.engine.in_hand import DeadLetter
from streams.engine.intake import Intake
from streams.engine.offsets import Offsets, Start
from streams.engine.partition import Partition
from streams.engine.publisher import Publisher
from streams.engine.room import Room
from streams.engine.settings import EngineSettings, Health
from streams.engine.stage import Stage
from streams.engine.tasks import spawn
from topics import catalog

__all__ = ["Engine", "EngineSettings", "Health"]

log = logging.getLogger(__name__)

_POLL_MS = 200
_POLL_SOON_MS = 20  # while a partition is full or starting: it may have room at any moment
_LAG_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_LEAVE_SECONDS_MAX = 3.0
_TOPIC_BEGINNING = -1  # in place of a partition's number, in the transactional id that begins a `latest` topic


class Engine:
    """Runs one stage as a member of its consumer group. Several may run in one event loop."""

    def __init__(
        self,
        stage: Stage,
        *,
        stage_name: catalog.Stage,
        topics: Mapping[str, Start],
        names: catalog.Names,
        broker: Broker,
        clock: Clock,
        rng: random.Random,
        dead_letter: DeadLetter,
        settings: EngineSettings = EngineSettings(),  # noqa: B008 frozen
        room: Room | None = None,
        parked_topic: str | None = None,
    ) -> None:
        """`topics`: the inputs, and where a new group begins each. `room`: shared with the process's other engines.
        `parked_topic`: where the stage's Parked records wait, and are taken up again."""
        self._stage = stage
        self._name: catalog.Stage = stage_name
        self._topics = dict(topics) if parked_topic is None else {**topics, parked_topic: "earliest"}
        self._parked_topic = parked_topic
        self._names = names
        self._group = names.group(stage_name)
        self._broker = broker
        self._clock = clock
        self._rng = rng
        self._dead_letter = dead_letter
        self._settings = settings
        self._room = room or Room()
        self._shared_id = settings.instance_id or f"{rng.getrandbits(64):016x}"  # of a producer for many partitions
        self._intake = Intake(stage_name, clock)
        self._partitions: dict[TopicPartition, tuple[Partition, Publisher]] = {}
        self._publishers: list[Publisher] = []
        self._attempts = Attempts(stage_name, self._intake, clock=clock, rng=rng, settings=settings)
        self._joined = False
        self._stopping = False
        self._polled_at = clock.monotonic()
        self._lag_reported_at = clock.monotonic()
        expect_rejections(stage_name)

    def health(self) -> Health:
        """For probes; cheap."""
        return Health(
            joined=self._joined and all(publisher.serving for publisher in self._publishers),
            partitions=len(self._partitions),
            in_flight=self._waiting,
            held=self._intake.held,
            poll_age_s=self._clock.monotonic() - self._polled_at,
        )

    def look_again(self) -> None:
        """Another policy holds, and budgets may be larger: what waits for one is tried again soon."""
        self._attempts.look_again()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then ends within `shutdown_seconds`: intake first, then what is in flight.

        Raises KafkaError where no broker answers, or the group or a topic is refused; nothing is lost by either.
        """
        async with AsyncExitStack() as open_:
            self._member = self._broker.member(
                self._group,
                session_timeout_ms=self._settings.session_timeout_ms,
                instance_id=self._settings.instance_id,
            )
            open_.push_async_callback(self._leave)
            await self._member.start()
            self._offsets = Offsets(
                self._member,
                starts=self._topics,
                beginner=lambda topic: self._exactly_once(
                    self._names.transactional_id(self._name, topic, _TOPIC_BEGINNING), self._member.membership()
                ),
            )
            async with asyncio.TaskGroup() as tasks:
                await self._work(tasks, stop)

    async def _work(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        self._tasks = tasks
        self._calls = Calls(self._name, tasks, self._attempts)
        self._member.subscribe(list(self._topics), self)
        polling = tasks.create_task(self._poll(), name=f"{self._name} poll")
        await stop.wait()
        log.info("%s: stopping", self._name)
        self._stopping = True
        polling.cancel()
        await self._drain()
        await self._close(self._detach())
        self._calls.keep_only(())

    # --- intake ----------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            asked, generation = self._with_room(), self._member.membership().generation
            try:
                polled = await self._member.poll(
                    asked,
                    timeout_ms=_POLL_MS if len(asked) == len(self._partitions) else _POLL_SOON_MS,
                    records_max=self._settings.poll_records_max,
                )
            except KafkaError as error:
                if not error.retriable:
                    raise
                log.warning("%s: the poll failed and is tried again: %r", self._name, error)
                self._polled_at = self._clock.monotonic()
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            before, self._polled_at = self._polled_at, self._clock.monotonic()
            silent_s, rebalanced = self._polled_at - before, generation != self._member.membership().generation
            if silent_s * 1000 > self._settings.session_timeout_ms and not rebalanced:
                # Stopped, or held up, beyond the session: others have these partitions now. Ask nothing, pay nothing.
                log.warning("%s: nothing ran here for %.0f s, the worker rejoins its group", self._name, silent_s)
                self._rejoin()
                continue
            # Without an await from here on: what the consumer has given out must be taken before anyone can look.
            for at, records in polled.items():
                if at in self._partitions:  # else it was let go while we waited
                    self._partitions[at][0].take(records)
            if self._polled_at - self._lag_reported_at >= _LAG_SECONDS:
                self._lag_reported_at = self._polled_at
                for partition, _ in self._partitions.values():
                    partition.report_lag()
            await asyncio.sleep(0)  # a poll does not give way while it has records at hand: commits would starve

    def _with_room(self) -> Sequence[TopicPartition]:
        """Partitions that may be asked for more. One without room is not paused but not asked: pausing would drop
        what is prefetched of it."""
        calling = self._calls.in_flight - self._attempts.waiting_for_budget
        if self._intake.held is not None and calling > 0:
            return ()  # with no call under way nobody would ever find out that it is over
        if not self._room.left(self, sum(publisher.bytes for publisher in self._publishers)):
            for each, _ in self._partitions.values():
                each.relieve()
            return ()
        return [at for at, (each, publisher) in self._partitions.items() if publisher.has_room() and each.has_room()]

    @property
    def _waiting(self) -> int:
        return sum(partition.waiting for partition, _ in self._partitions.values())

    # --- rebalance: called by the member -----------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002
        """Everything is taken away, what comes back too: commit what is done, let go. Calls in flight go on."""
        self._joined = False
        await self._close(self._detach())

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Not a coroutine: nothing may run between the assignment and the pause, and the group must not wait."""
        self._member.pause(*assigned)
        if self._stopping:
            return
        try:
            self._calls.keep_only(assigned)
            self._begin(sorted(assigned), self._member.membership())
        except Exception as error:  # noqa: BLE001 the client would go on without these partitions
            spawn(self._tasks, _raise(error))
        self._joined = True

    def _begin(self, assigned: Sequence[TopicPartition], membership: Membership) -> None:
        """A producer for each partition, or a few that share them where they are many."""
        partitions = [self._partition(at) for at in assigned]
        if self._settings.delivery == "at_least_once" or len(partitions) > self._settings.producers_max:
            few = min(len(partitions), max(1, self._settings.producers_max))
            ids = [self._names.shared_transactional_id(self._name, f"{self._shared_id}.{turn}") for turn in range(few)]
            self._publishers = [
                self._publisher(partitions[turn::few], shared_id, membership) for turn, shared_id in enumerate(ids)
            ]
        else:
            self._publishers = [
                self._publisher([each], self._names.transactional_id(self._name, *each.at), membership)
                for each in partitions
            ]
        for publisher in self._publishers:
            self._partitions |= {partition.at: (partition, publisher) for partition in publisher.partitions}
            publisher.start(self._tasks)

    def _partition(self, at: TopicPartition) -> Partition:
        return Partition(
            at,
            stage=self._stage,
            stage_name=self._name,
            member=self._member,
            calls=self._calls,
            dead_letter=self._dead_letter,
            parked_topic=self._parked_topic,
            clock=self._clock,
            settings=self._settings,
        )

    def _publisher(self, partitions: Sequence[Partition], transactional_id: str, membership: Membership) -> Publisher:
        def delivery() -> Delivery:
            if self._settings.delivery == "at_least_once":
                return AtLeastOnce(self._producer(None), self._member, timeout_ms=self._settings.transaction_timeout_ms)
            return self._exactly_once(transactional_id, membership)

        return Publisher(
            partitions,
            stage_name=self._name,
            member=self._member,
            offsets=self._offsets,
            delivery=delivery,
            on_fenced=self._rejoin,
            clock=self._clock,
            rng=self._rng,
            settings=self._settings,
        )

    def _exactly_once(self, transactional_id: str, membership: Membership) -> Delivery:
        producer = self._producer(transactional_id)
        return ExactlyOnce(producer, membership, timeout_ms=self._settings.transaction_timeout_ms)

    def _producer(self, transactional_id: str | None) -> Producer:
        return self._broker.producer(transactional_id, timeout_ms=self._settings.transaction_timeout_ms)

    def _rejoin(self) -> None:
        """A partition is fenced: whether it is still ours only the group can tell."""
        if self._joined and not self._stopping:
            self._joined = False
            publishers = self._detach()  # at once: what the next poll gives out must not be taken
            spawn(self._tasks, self._subscribe_again(publishers), f"{self._name} rejoin")

    async def _subscribe_again(self, publishers: Sequence[Publisher]) -> None:
        await self._close(publishers)
        if not self._stopping:
            self._member.subscribe(list(self._topics), self)

    # --- ending ----------------------------------------------------------------------------------

    def _detach(self) -> Sequence[Publisher]:
        """Nothing is taken from here on."""
        publishers, self._publishers, self._partitions = self._publishers, [], {}
        for publisher in publishers:
            publisher.detach()
        return publishers

    async def _close(self, publishers: Sequence[Publisher]) -> None:
        await asyncio.gather(*(publisher.close(self._settings.revoke_seconds_max) for publisher in publishers))

    async def _drain(self) -> None:
        """Waits for what is in flight, but not for what cannot end before an operator acts, nor for what is open, nor
        where all that is left waits for a budget: nothing is asked for it, and whoever takes it up waits as well."""
        seconds = self._settings.shutdown_seconds
        ends_at = self._clock.monotonic() + max(seconds / 2, seconds - 2 * _LEAVE_SECONDS_MAX)
        while self._clock.monotonic() < ends_at and self._intake.held is None:
            if self._waiting == 0 or 0 < self._calls.in_flight == self._attempts.waiting_for_budget:
                return
            await self._clock.sleep(0.02)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS_MAX):
                await self._member.stop()
        except Exception as error:  # noqa: BLE001 the process ends; the group misses it after the session's timeout
            log.warning("%s: the group was not left in order: %r", self._name, error)


async def _raise(error: Exception) -> None:
    raise error
