"""The simulated broker's group member: follows rebalances as aiokafka does, and fetches ahead."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Collection, Mapping, Sequence, Set

from aiokafka.errors import IllegalStateError, KafkaError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import TopicPartition

from streams.engine.broker import NOTHING_COMMITTED, Committed, Listener, Membership
from tests.simulation.cluster import Cluster
from tests.simulation.group import Joined
from tests.simulation.log import StoredRecord
from tests.simulation.network import Connection
from topics.records import Record

_FETCH_RECORDS_MAX = 50
_BACKOFF_SECONDS = 0.1
_HEARTBEATS_A_SESSION = 4

_Fetched = tuple[deque[StoredRecord], int, int]  # records, where to go on, the partition's end


class _Place:
    """One assigned partition: where its reader stands, and what is fetched ahead of it."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.placed = asyncio.Event()  # it has a position
        self.paused = False
        self.fetched: _Fetched | None = None
        self.fetch: asyncio.Future[_Fetched] | None = None  # under way
        self.highwater: int | None = None

    def stand_at(self, position: int) -> None:
        """There, or anew there: what is fetched, or under way, is for another position."""
        self.position = position
        self.placed.set()
        self.drop()

    def drop(self) -> None:
        """Forgets what is fetched, or under way."""
        self.fetched = self.fetch = None


class SimulatedMember:
    """Made where it is used: its callbacks belong to that process."""

    def __init__(self, cluster: Cluster, group: str, *, session_s: float, instance_id: str | None) -> None:
        self._cluster = cluster
        self._group = cluster.group(group)
        self._session_s = session_s
        self._instance_id = instance_id
        self._context = contextvars.copy_context()
        self._connection = Connection(cluster.network)
        self._fetches = Connection(cluster.network)  # beside the other requests: one may wait for records
        self._topics: Sequence[str] = ()
        self._listener: Listener | None = None
        self._rejoin = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None  # the listener, of what is revoked
        self._heart: asyncio.Task[None] | None = None
        self._member_id = ""
        self._generation = -1
        self._places: dict[TopicPartition, _Place] = {}
        self._revoked: Collection[TopicPartition] = ()  # next
        self._reassigning = False
        self._error: KafkaError | None = None  # for the next poll
        self._news: asyncio.Future[None] | None = None  # somebody polls and waits

    async def start(self) -> None:
        await self._connection.send(lambda: None)

    async def stop(self) -> None:
        for task in (self._following, self._heart):
            if task is not None:
                task.cancel()
        if self._telling is not None:
            await asyncio.wait([self._telling])
        member_id, self._member_id = self._member_id, ""
        if member_id and self._instance_id is None:
            await self._connection.send(lambda: self._group.leave(member_id))

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        self._topics, self._listener = tuple(topics), listener
        self._reassigning = True
        if self._places:
            self._revoked, self._places = tuple(self._places), {}
        self._rejoin.set()
        if self._following is None:
            self._following = asyncio.create_task(self._follow())

    def membership(self) -> Membership:
        return Membership(self._group.name, self._generation, self._member_id, self._instance_id)

    def assignment(self) -> Set[TopicPartition]:
        return self._places.keys()

    def partitions_for_topic(self, topic: str) -> Set[int] | None:
        logs = self._cluster.topics.get(topic)
        return None if logs is None else set(range(len(logs)))

    # --- reading ---------------------------------------------------------------------------------

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_ms: int, records_max: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_ms / 1000
        while True:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if not self._reassigning:
                given = self._give(partitions, records_max)
                if given or loop.time() >= ends_at:
                    return given
            self._news = loop.create_future()
            timer = None if self._reassigning else loop.call_at(ends_at, self._tell)
            try:
                await self._news
            finally:
                self._news = None
                if timer is not None:
                    timer.cancel()

    def pause(self, *partitions: TopicPartition) -> None:
        """What is fetched of them is dropped."""
        for partition in partitions:
            place = self._place(partition)
            place.paused = True
            place.drop()

    def resume(self, *partitions: TopicPartition) -> None:
        for partition in partitions:
            place = self._place(partition)
            place.paused = False
            self._fetch(partition, place)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        place = self._place(partition)
        self._cluster.history.note("seek", partition, offset)
        place.stand_at(offset)
        self._fetch(partition, place)

    async def position(self, partition: TopicPartition) -> int:
        place = self._place(partition)
        await place.placed.wait()
        assert place.position is not None
        return place.position

    def highwater(self, partition: TopicPartition) -> int | None:
        return self._place(partition).highwater

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return await self._connection.send(lambda: {p: self._cluster.log(p).stable_end for p in partitions})

    def _give(self, partitions: Sequence[TopicPartition], records_max: int) -> dict[TopicPartition, list[StoredRecord]]:
        given = {}
        for partition in partitions:
            place = self._places.get(partition)
            if place is None or place.paused or place.fetched is None:
                continue
            records, next_position, _ = place.fetched
            taken = [records.popleft() for _ in range(min(len(records), records_max))]
            if records:
                place.position = taken[-1].offset + 1 if taken else place.position
            else:
                place.position = next_position
                place.fetched = None
                self._fetch(partition, place)
            if taken:
                given[partition] = taken
                records_max -= len(taken)
            if records_max == 0:
                break
        return given

    def _fetch(self, partition: TopicPartition, place: _Place) -> None:
        """Asks for what comes next, unless that is under way, at hand or not wanted."""
        if place.paused or place.position is None or place.fetched is not None or place.fetch is not None:
            return
        position = place.position
        fetch = place.fetch = self._fetches.send(lambda: self._read(partition, position))

        def fetched(done: asyncio.Future[_Fetched]) -> None:
            if place.fetch is not fetch or self._places.get(partition) is not place:
                return
            place.fetch = None
            if done.exception() is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(_BACKOFF_SECONDS, self._fetch, partition, place)
                return
            place.fetched = done.result()
            place.highwater = place.fetched[2]
            self._tell()

        fetch.add_done_callback(fetched, context=self._context)

    def _read(self, partition: TopicPartition, position: int) -> _Fetched | asyncio.Future[_Fetched]:
        """On the broker's side: waits until there is something to tell."""
        log = self._cluster.log(partition)
        if log.stable_end > position:
            records, next_position = log.read(position, _FETCH_RECORDS_MAX)
            return deque(records), next_position, log.end
        answer: asyncio.Future[_Fetched] = asyncio.get_running_loop().create_future()

        def look() -> None:
            if log.stable_end > position:
                records, next_position = log.read(position, _FETCH_RECORDS_MAX)
                answer.set_result((deque(records), next_position, log.end))
            else:
                log.watch(look)

        log.watch(look)
        return answer

    def _place(self, partition: TopicPartition) -> _Place:
        place = self._places.get(partition)
        if place is None:
            raise IllegalStateError(f"no current assignment for {partition}")
        return place

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # --- offsets ---------------------------------------------------------------------------------

    async def committed(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        self._cluster.history.note("fetch", *partitions)
        return await self._connection.send(lambda: self._group.fetch(partitions))

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        membership = self.membership()
        await self._connection.send(lambda: self._group.commit(offsets, membership))

    # --- the group -------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """One turn a rebalance."""
        assert self._listener is not None
        while True:
            await self._rejoin.wait()
            self._rejoin.clear()
            self._reassigning = True
            revoked = self._revoked or tuple(self._places)
            self._revoked = ()
            self._cluster.history.note("revoked", *revoked)
            self._telling = asyncio.create_task(self._listener.on_partitions_revoked(revoked))
            await asyncio.shield(self._telling)
            await self._stop_heart()
            self._generation, self._member_id, assignment = await self._join()
            if self._rejoin.is_set():  # subscribed again meanwhile: what is given is given back unseen
                continue
            self._places = {partition: _Place() for partition in assignment}
            self._reassigning = False
            self._cluster.history.note("assigned", *assignment)
            self._listener.on_partitions_assigned(assignment)
            for partition, place in self._places.items():
                self._begin_where_committed(partition, place)
            self._heart = asyncio.create_task(self._beat())
            self._tell()

    async def _join(self) -> Joined:
        while True:
            member_id = self._member_id
            try:
                return await self._connection.send(
                    lambda: self._group.join(member_id, self._instance_id, self._topics, self._session_s)  # noqa: B023
                )
            except UnknownMemberIdError:
                self._member_id = ""
            except KafkaError as error:
                self._error = error
                self._tell()
                await asyncio.sleep(_BACKOFF_SECONDS)

    def _begin_where_committed(self, partition: TopicPartition, place: _Place) -> None:
        """As aiokafka does by itself, and with an offset that need not hold still; a seek comes before it or after."""
        answer = self._connection.send(lambda: self._group.fetch_unstable([partition])[partition])

        def fetched(done: asyncio.Future[Committed]) -> None:
            if done.exception() is None and place.position is None and self._places.get(partition) is place:
                offset = done.result().offset
                place.stand_at(0 if offset == NOTHING_COMMITTED else offset)
                self._fetch(partition, place)

        answer.add_done_callback(fetched, context=self._context)

    async def _beat(self) -> None:
        """Heartbeats, also while the listener is told of what is revoked."""
        while True:
            await asyncio.sleep(self._session_s / _HEARTBEATS_A_SESSION)
            generation, member_id = self._generation, self._member_id
            try:
                await self._connection.send(lambda: self._group.heartbeat(generation, member_id))  # noqa: B023
            except RebalanceInProgressError:
                self._ask_to_rejoin()
            except UnknownMemberIdError:
                self._member_id, self._generation = "", -1
                self._ask_to_rejoin()
                return
            except KafkaError:
                pass

    async def _stop_heart(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait([self._heart])
            self._heart = None

    def _ask_to_rejoin(self) -> None:
        if not self._reassigning:
            self._rejoin.set()
