"""A real Kafka, by aiokafka: its half of `broker.py`."""

import asyncio
from collections.abc import Collection, Mapping, Sequence, Set

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    IllegalStateError,
    IncompatibleBrokerVersion,
    KafkaError,
    KafkaTimeoutError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.structs import TopicPartition

from streams.brokers import Brokers
from streams.engine import kafka_protocol
from streams.engine.broker import Committed, Fenced, Listener, Membership, Producer
from streams.engine.kafka_producer import KafkaProducer
from streams.engine.kafka_records import KafkaRecord, RecordFetcher
from topics.limits import FETCH_BYTES_MAX, FETCH_WAIT_MS_MAX, PARTITION_FETCH_BYTES_MAX, STABLE_OFFSETS_SECONDS_MAX

_START_SECONDS_MAX = 30.0  # with a broker that is there it takes milliseconds
_METADATA_MS = 60_000  # new partitions of an input are noticed within a minute
_NOBODY = (TopicPartition("", -1),)  # asked for where nothing is: a poll must be, or the group takes us for dead
_HEARTBEAT_MS_MAX = 2_500  # a member hears of a rebalance by its heartbeat, however long its session
_COMMITTED_AGAIN_SECONDS = 0.05  # a transaction's end takes milliseconds


class KafkaBroker:
    """A `broker.Broker`. Needs Kafka 2.5 or later, or what speaks its protocol."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers

    def member(self, group: str, *, session_timeout_ms: int, instance_id: str | None) -> "KafkaMember":
        return KafkaMember(self._brokers, group, session_timeout_ms, instance_id)

    def producer(self, transactional_id: str | None, *, timeout_ms: int) -> Producer:
        return KafkaProducer(self._brokers, transactional_id, timeout_ms=timeout_ms)


class KafkaMember:
    """A `broker.Member`."""

    def __init__(self, brokers: Brokers, group: str, session_timeout_ms: int, instance_id: str | None) -> None:
        self._group = group
        self._instance_id = instance_id
        self._consumer = AIOKafkaConsumer(
            **brokers.client_options,
            group_id=group,
            group_instance_id=instance_id,
            enable_auto_commit=False,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=min(session_timeout_ms // 4, _HEARTBEAT_MS_MAX),
            metadata_max_age_ms=_METADATA_MS,
        )

    async def start(self) -> None:
        """Raises KafkaError where no broker answers."""
        consumer = self._consumer
        try:
            async with asyncio.timeout(_START_SECONDS_MAX):
                await consumer.start()
        except TimeoutError:
            raise KafkaTimeoutError(f"no broker answered in {_START_SECONDS_MAX:.0f} s") from None
        await consumer._fetcher.close()  # nothing is subscribed yet: it can be exchanged
        consumer._fetcher = RecordFetcher(
            consumer._client,
            consumer._subscription,
            isolation_level="read_committed",
            auto_offset_reset="earliest",  # of an offset that has expired; where a group begins is the engine's to say
            fetch_max_bytes=FETCH_BYTES_MAX,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS_MAX,
        )

    async def stop(self) -> None:
        consumer = self._consumer
        try:
            await consumer.stop()
        except BaseException:  # its coordinator does not answer
            await consumer._client.close()
            if consumer._coordinator is not None:
                await consumer._coordinator._stop_heartbeat_task()
            if consumer._fetcher is not None:
                await consumer._fetcher.close()
            raise

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        self._consumer.subscribe(list(topics), listener=_Rebalances(listener))

    def membership(self) -> Membership:
        coordinator = self._consumer._coordinator
        return Membership(self._group, coordinator.generation, coordinator.member_id, self._instance_id)

    def assignment(self) -> Set[TopicPartition]:
        assigned: Set[TopicPartition] = self._consumer.assignment()
        return assigned

    def partitions_for_topic(self, topic: str) -> Set[int] | None:
        partitions: Set[int] | None = self._consumer.partitions_for_topic(topic)
        return partitions

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_ms: int, records_max: int
    ) -> Mapping[TopicPartition, Sequence[KafkaRecord]]:
        found: Mapping[TopicPartition, Sequence[KafkaRecord]] = await self._consumer.getmany(
            *partitions or _NOBODY, timeout_ms=timeout_ms, max_records=records_max
        )
        return found

    def pause(self, *partitions: TopicPartition) -> None:
        self._consumer.pause(*partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._consumer.resume(*partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._consumer.seek(partition, offset)

    async def position(self, partition: TopicPartition) -> int:
        return int(await self._consumer.position(partition))

    def highwater(self, partition: TopicPartition) -> int | None:
        end: int | None = self._consumer.highwater(partition)
        return end

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return ends

    async def committed(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        coordinator = self._consumer._coordinator
        request = kafka_protocol.StableOffsetFetch(self._group, list(partitions))
        why: object = "no coordinator"
        try:
            async with asyncio.timeout(STABLE_OFFSETS_SECONDS_MAX):
                while True:
                    await coordinator.ensure_coordinator_known()
                    try:
                        found = _committed(await coordinator._send_req(request))
                    except NotImplementedError as error:
                        raise IncompatibleBrokerVersion(f"Kafka 2.5 or later is needed: {error}") from error
                    except KafkaError as error:
                        if not error.retriable:
                            raise
                        if isinstance(error, NotCoordinatorForGroupError | GroupCoordinatorNotAvailableError):
                            coordinator.coordinator_dead()
                        why = repr(error)
                    else:
                        if missing := set(partitions) - found.keys():
                            raise KafkaError(f"the broker tells no offset of {missing}")
                        return found
                    await asyncio.sleep(_COMMITTED_AGAIN_SECONDS)
        except TimeoutError:
            raise KafkaTimeoutError(
                f"no stable offsets of group {self._group} in {STABLE_OFFSETS_SECONDS_MAX:.0f} s: {why}"
                " (brokers end every open transaction sooner; `kafka-transactions.sh find-hanging` tells of one that "
                "lost its end, and `abort` ends it)"
            ) from None

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        try:
            await self._consumer.commit(dict(offsets))
        except (CommitFailedError, IllegalStateError) as error:  # the second: of a partition that is gone
            raise Fenced(str(error)) from error


class UnstableOffsetCommit(KafkaError):  # type: ignore[misc]
    """A transaction that changes the offset is open or ending."""

    retriable = True


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka's kind of listener. It logs what a listener raises, and goes on."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._listener.on_partitions_revoked(revoked)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._listener.on_partitions_assigned(assigned)


def _committed(response: kafka_protocol.OffsetFetchResponse_v7) -> dict[TopicPartition, Committed]:
    """Raises KafkaError: an error of one partition or of the group is never taken for "nothing committed"."""
    _check(response.error_code)
    found = {}
    for topic, partitions, _ in response.topics:
        for partition, offset, _, metadata, error_code, _ in partitions:
            _check(error_code)
            found[TopicPartition(topic, partition)] = Committed(offset, metadata or "")
    return found


def _check(error_code: int) -> None:
    if error_code == kafka_protocol.UNSTABLE_OFFSET_COMMIT:
        raise UnstableOffsetCommit("a transaction that changes it is open")
    if error_code != kafka_protocol.NO_ERROR:
        raise for_code(error_code)(f"Kafka's error {error_code}")
