"""What only the real Kafka can show of `streams/engine/kafka.py`; what any broker must do is in tests/contract."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import TopicPartition

from streams.brokers import Brokers
from streams.engine.broker import NOTHING_COMMITTED, Committed, Fenced, Membership
from streams.engine.kafka import KafkaBroker, KafkaMember
from streams.engine.kafka_producer import KafkaProducer
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import until
from topics.limits import FETCH_BYTES_MAX
from topics.records import Record

TIMEOUT_MS = 60_000  # longer than any test waits: what ends a transaction here is never its timeout


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.revoked: list[frozenset[TopicPartition]] = []
        self.assigned: list[frozenset[TopicPartition]] = []

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.revoked.append(frozenset(revoked))

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self.assigned.append(frozenset(assigned))


@contextlib.asynccontextmanager
async def joined(
    bus: Bus, *topics: str, instance_id: str | None = None, session_timeout_ms: int = 6_000
) -> AsyncIterator[tuple[KafkaMember, Heard]]:
    """A member of the bus's one group, that polls nothing until a test does."""
    member = KafkaBroker(bus.brokers).member(
        bus.prefix + "group", session_timeout_ms=session_timeout_ms, instance_id=instance_id
    )
    heard = Heard()
    try:
        await member.start()
        member.subscribe(topics, heard)
        await until(lambda: heard.assigned, "an assignment")
        yield member, heard
    finally:
        await member.stop()


@contextlib.asynccontextmanager
async def producing(bus: Bus, transactional_id: str | None = "id") -> AsyncIterator[KafkaProducer]:
    producer = KafkaProducer(bus.brokers, transactional_id and bus.prefix + transactional_id, timeout_ms=TIMEOUT_MS)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def write(producer: KafkaProducer, topic: str, *values: bytes) -> None:
    batch = producer.create_batch()
    for value in values:
        batch.append(timestamp=None, key=None, value=value, headers=[])
    await (await producer.send_batch(batch, topic, partition=0))


async def seen(bus: Bus, topic: str, values: set[bytes]) -> None:
    """Waits until a reader of committed records sees these and no others: a commit's markers come after its answer."""

    async def all_of_them() -> bool:
        found = await bus.values(topic)
        assert set(found) <= values
        return len(found) == len(values)

    await until(all_of_them, f"{values} in {topic}")


async def poll_all(member: KafkaMember, partition: TopicPartition, count: int, records_max: int = 500) -> list[Record]:
    """So many records from the beginning."""
    member.seek(partition, 0)
    found: list[Record] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            for records in (await member.poll([partition], timeout_ms=200, records_max=records_max)).values():
                found += records
    return found


# --- offsets ---------------------------------------------------------------------------------------


async def test_a_stable_fetch_ends_where_no_transaction_does(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.engine.kafka.STABLE_OFFSETS_SECONDS_MAX", 0.5)
    at = TopicPartition(await bus.topic("in"), 0)
    async with joined(bus, at.topic) as (member, _), producing(bus) as producer:
        await producer.begin()
        await producer.send_offsets({at: Committed(7, "")}, member.membership())
        with pytest.raises(KafkaError, match=r"no stable offsets of group .*: UnstableOffsetCommit"):
            await member.committed([at])
        await producer.abort()
        assert await member.committed([at]) == {at: Committed(NOTHING_COMMITTED, "")}


@pytest.mark.parametrize(
    "gone", [lambda now: now._replace(generation=now.generation - 1), lambda now: now._replace(member_id="another")]
)
async def test_offsets_of_another_generation_are_fenced_and_the_abort_reaches_the_broker(bus: Bus, gone: Any) -> None:
    at, out = TopicPartition(await bus.topic("in"), 0), await bus.topic("out")
    async with joined(bus, at.topic) as (member, _), producing(bus) as producer:
        await producer.begin()
        await write(producer, out, b"must not be seen")
        with pytest.raises(Fenced):
            await producer.send_offsets({at: Committed(7, "")}, gone(member.membership()))
        assert not await producer.abort()
        await bus.produce(out, [b"not hidden by an open transaction"])
        await seen(bus, out, {b"not hidden by an open transaction"})
        assert await member.committed([at]) == {at: Committed(NOTHING_COMMITTED, "")}


async def test_who_is_in_no_generation_commits_nothing(bus: Bus) -> None:
    """Kafka would take generation -1 for a client without a group, and let it."""
    at = TopicPartition(await bus.topic("in"), 0)
    async with producing(bus) as producer:
        await producer.begin()
        with pytest.raises(Fenced):
            await producer.send_offsets({at: Committed(7, "")}, Membership(bus.prefix + "group", -1, "", None))


async def test_an_instance_id_that_another_worker_has_taken_is_fenced(bus: Bus) -> None:
    at = TopicPartition(await bus.topic("in"), 0)
    async with joined(bus, at.topic, instance_id="one") as (first, _):
        before = first.membership()
        async with joined(bus, at.topic, instance_id="one"), producing(bus) as producer:
            await producer.begin()
            with pytest.raises(Fenced, match="instance id"):
                await producer.send_offsets({at: Committed(7, "")}, before)


async def test_a_commit_without_a_transaction_by_a_member_that_is_out_is_fenced(bus: Bus) -> None:
    at = TopicPartition(await bus.topic("in"), 0)
    async with joined(bus, at.topic, session_timeout_ms=1_000) as (member, _):
        await member.commit({at: Committed(3, "three")})
        assert await member.committed([at]) == {at: Committed(3, "three")}
        member._consumer._coordinator.generation -= 1
        with pytest.raises(Fenced):
            await member.commit({at: Committed(4, "")})


# --- producers ---------------------------------------------------------------------------------------


async def test_32_producers_start_at_once(bus: Bus) -> None:
    out = await bus.topic("out")

    async def one(number: int) -> None:
        async with producing(bus, f"id{number}") as producer:
            await producer.begin()
            await write(producer, out, b"%d" % number)
            await producer.commit()

    await asyncio.gather(*map(one, range(32)))
    await seen(bus, out, {b"%d" % number for number in range(32)})


# --- records -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", range(5), ids=["none", "gzip", "snappy", "lz4", "zstd"])
async def test_a_header_name_that_is_not_utf8_is_read_with_all_its_neighbours_once(bus: Bus, codec: int) -> None:
    at = TopicPartition(await bus.topic("in"), 0)
    names = ["name", "näme", "name", "näme", "name"]
    async with AIOKafkaProducer(bootstrap_servers=bus.bootstrap_servers) as producer:
        for first in (0, 5, 10):
            named = enumerate(names if first == 5 else ["name"] * 5, first)
            await (await producer.send_batch(latin_1(named, codec), at.topic, partition=0))
    async with joined(bus, at.topic) as (member, _):
        for records_max in (500, 2):
            found = await poll_all(member, at, 15, records_max)
            assert [(each.offset, each.key, each.value) for each in found] == [(n, b"k", b"%d" % n) for n in range(15)]
            assert [each.headers[0][0] for each in found[4:10]] == ["name", *("name", "n\ufffdme") * 2, "name"]
            assert await member.position(at) == 15


async def test_a_record_larger_than_any_fetch_is_read(bus: Bus) -> None:
    at = TopicPartition(await bus.topic("in", config={"max.message.bytes": str(64 << 20)}), 0)
    large = bytes(FETCH_BYTES_MAX + 1)
    await bus.produce(at.topic, [b"before", large, b"after"])
    async with joined(bus, at.topic) as (member, _):
        assert [each.value for each in await poll_all(member, at, 3)] == [b"before", large, b"after"]


async def test_what_is_prefetched_is_bounded_and_nothing_is_lost_by_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_max, fetch_bytes = 100_000, 60_000
    monkeypatch.setattr("streams.engine.kafka_records.PREFETCH_BYTES_MAX", bytes_max)
    monkeypatch.setattr("streams.engine.kafka.FETCH_BYTES_MAX", fetch_bytes)
    monkeypatch.setattr("streams.engine.kafka.PARTITION_FETCH_BYTES_MAX", fetch_bytes)
    topic = await bus.topic("in", partitions=4)
    places = [TopicPartition(topic, number) for number in range(4)]
    await bus.produce(topic, [Send(bytes(1_000), partition=n % 4) for n in range(800)])
    async with joined(bus, topic) as (member, _):
        fetcher = member._consumer._fetcher
        for at in places:
            member.seek(at, 0)
        seen: dict[TopicPartition, list[int]] = {at: [] for at in places}
        for asked in (places, places[:1], places[1:2], places[2:]):  # first all of them, and then for long not
            fewest = 1 if asked is places else 200
            async with asyncio.timeout(30):
                while sum(len(seen[at]) for at in asked) < fewest * len(asked):
                    for at, records in (await member.poll(asked, timeout_ms=100, records_max=20)).items():
                        seen[at] += [record.offset for record in records]
                    assert fetcher._prefetched_bytes <= bytes_max + fetch_bytes
    assert seen == {at: list(range(200)) for at in places}


# --- the group ---------------------------------------------------------------------------------------


async def test_a_poll_for_nothing_is_a_poll(bus: Bus) -> None:
    """Else the group would take a worker without room for dead."""
    at = TopicPartition(await bus.topic("in"), 0)
    await bus.produce(at.topic, [b"one"])
    async with joined(bus, at.topic) as (member, _):
        member.seek(at, 0)
        subscription = member._consumer._subscription
        subscription._last_fetch_ended -= 1_000
        assert await member.poll([], timeout_ms=20, records_max=10) == {}
        assert subscription.fetcher_idle_time < 1_000


async def test_no_broker_is_said_at_the_start() -> None:
    member = KafkaBroker(Brokers("127.0.0.1:1")).member("group", session_timeout_ms=6_000, instance_id=None)
    with pytest.raises(KafkaError, match="Unable to bootstrap"):
        await member.start()
    await member.stop()


class Latin1(str):
    """A header name as a producer in another language may send it."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


def latin_1(named: Iterable[tuple[int, str]], codec: int) -> BatchBuilder:
    """One record a name, with its number for a value."""
    batch = BatchBuilder(1 << 20, codec)
    batch._builder = _DefaultRecordBatchBuilderPy(
        2, codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=1 << 20
    )
    for number, name in named:
        batch.append(timestamp=None, key=b"k", value=b"%d" % number, headers=[(Latin1(name), b"v")])
    return batch
