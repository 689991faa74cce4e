"""The contract of `streams/engine/broker.py`, held by Kafka and by the broker that the simulation runs on.

What the engine's guarantees rest on, and the traps that it has to step around, each as a test: whoever changes one of
the two brokers, or moves to another Kafka or aiokafka, learns here what no longer holds.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.structs import TopicPartition

from streams.engine.broker import NOTHING_COMMITTED, Broker, Committed, Fenced, Member, Membership, Producer
from streams.engine.kafka import KafkaBroker
from tests.kafka.bus import Bus
from tests.kafka.engines import until
from tests.simulation.broker import SimulatedBroker
from tests.simulation.cluster import BATCH_BYTES_MAX, Cluster
from tests.simulation.history import History
from topics.records import Record

TIMEOUT_MS = 10_000
SESSION_MS = 3_000
BATCH_BYTES = 2_000  # that one topic takes
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Ground:
    """A broker, and a corner of it that is the test's own."""

    broker: Broker
    topic: Callable[..., Awaitable[str]]  # name, partitions, batch_bytes_max: creates it, gives its full name
    group: str


@pytest.fixture(params=["simulated", pytest.param("kafka", marks=pytest.mark.kafka)])
def ground(request: pytest.FixtureRequest) -> Ground:
    if request.param == "simulated":
        return simulated()
    bus: Bus = request.getfixturevalue("bus")

    async def topic(name: str, partitions: int = 1, batch_bytes_max: int = BATCH_BYTES_MAX) -> str:
        return await bus.topic(name, partitions, {"max.message.bytes": str(batch_bytes_max)})

    return Ground(KafkaBroker(bus.brokers), topic, f"{bus.prefix}group")


def simulated() -> Ground:
    cluster = Cluster(random.Random(1), History(), latency_s=0.001)

    async def topic(name: str, partitions: int = 1, batch_bytes_max: int = BATCH_BYTES_MAX) -> str:
        cluster.create_topic(name, partitions, batch_bytes_max)
        return name

    return Ground(SimulatedBroker(cluster), topic, "group")


@dataclass(slots=True)
class Heard:
    """A listener that keeps what it hears. Its partitions stay paused where it is told so."""

    member: Member
    paused: bool = False
    revoked: list[frozenset[TopicPartition]] = field(default_factory=list)
    assigned: list[frozenset[TopicPartition]] = field(default_factory=list)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)  # before that, a revoke is not done

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.revoked.append(frozenset(revoked))
        await self.may_go.wait()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if self.paused:
            self.member.pause(*assigned)
        self.assigned.append(frozenset(assigned))


@contextlib.asynccontextmanager
async def joining(
    ground: Ground, *topics: str, group: str | None = None, instance_id: str | None = None, paused: bool = False
) -> AsyncIterator[tuple[Member, Heard]]:
    member = ground.broker.member(group or ground.group, session_timeout_ms=SESSION_MS, instance_id=instance_id)
    heard = Heard(member, paused)
    heard.may_go.set()
    await member.start()
    try:
        member.subscribe(topics, heard)
        yield member, heard
    finally:
        heard.may_go.set()
        await member.stop()


@contextlib.asynccontextmanager
async def joined(ground: Ground, *topics: str, paused: bool = False) -> AsyncIterator[Member]:
    """The only member of its group, with its first assignment."""
    async with joining(ground, *topics, paused=paused) as (member, heard):
        await until(lambda: heard.assigned, "an assignment")
        yield member


@contextlib.asynccontextmanager
async def producing(ground: Ground, transactional_id: str | None = "id") -> AsyncIterator[Producer]:
    full = None if transactional_id is None else f"{ground.group}.{transactional_id}"
    producer = ground.broker.producer(full, timeout_ms=TIMEOUT_MS)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


async def send(producer: Producer, topic: str, *values: bytes | None, partition: int = 0) -> Awaitable[object]:
    """One batch; gives the broker's answer."""
    batch = producer.create_batch()
    for value in values:
        assert batch.append(timestamp=None, key=None, value=value, headers=[]) is not None
    return await producer.send_batch(batch, topic, partition=partition)


async def write(ground: Ground, topic: str, *values: bytes, partition: int = 0) -> None:
    """A transaction of somebody else's."""
    async with producing(ground, f"writer{next(_numbers)}") as producer:
        await producer.begin()
        await (await send(producer, topic, *values, partition=partition))
        await producer.commit()


async def poll(member: Member, at: TopicPartition, at_least: int, records_max: int = 500) -> list[Record]:
    """Records of one partition, as they come."""
    found: list[Record] = []
    async with asyncio.timeout(30):
        while len(found) < at_least:
            found += (await member.poll([at], timeout_ms=100, records_max=records_max)).get(at, ())
    return found


async def values(ground: Ground, topic: str) -> list[bytes | None]:
    """What a new reader of committed records finds in partition 0."""
    at = TopicPartition(topic, 0)
    found: Sequence[Record] = ()
    async with joining(ground, topic, group=f"{ground.group}.reader{next(_numbers)}") as (member, heard):
        await until(lambda: heard.assigned, "an assignment")
        member.seek(at, 0)
        end = (await member.end_offsets([at]))[at]
        while await member.position(at) < end:
            found = [*found, *(await member.poll([at], timeout_ms=50, records_max=500)).get(at, ())]
    return [record.value for record in found]


# --- transactions ----------------------------------------------------------------------------------------


async def test_outputs_and_offsets_are_seen_together_and_not_before_the_commit(ground: Ground) -> None:
    at, out = TopicPartition(await ground.topic("in"), 0), await ground.topic("out")
    async with joined(ground, at.topic) as member, producing(ground) as producer:
        await producer.begin()
        await (await send(producer, out, b"one", b"two"))
        assert await values(ground, out) == []
        assert await member.committed([at]) == {at: Committed(NOTHING_COMMITTED, "")}
        await producer.send_offsets({at: Committed(7, "seven")}, member.membership())
        await producer.commit()
        assert await member.committed([at]) == {at: Committed(7, "seven")}
        await until(lambda: _seen(ground, out, [b"one", b"two"]))


async def _seen(ground: Ground, topic: str, expected: list[bytes]) -> bool:
    """Markers are written a moment after the commit is answered."""
    return await values(ground, topic) == expected


async def test_after_an_abort_neither_is_there(ground: Ground) -> None:
    at, out = TopicPartition(await ground.topic("in"), 0), await ground.topic("out")
    async with joined(ground, at.topic) as member, producing(ground) as producer:
        await producer.begin()
        await (await send(producer, out, b"one"))
        await producer.send_offsets({at: Committed(7, "")}, member.membership())
        assert not await producer.abort(), "nobody has fenced it"
        assert await member.committed([at]) == {at: Committed(NOTHING_COMMITTED, "")}
        await write(ground, out, b"another's")
        await until(lambda: _seen(ground, out, [b"another's"]))


async def test_an_open_transaction_hides_what_others_write_behind_it(ground: Ground) -> None:
    out = await ground.topic("out")
    async with producing(ground) as producer:
        await producer.begin()
        await (await send(producer, out, b"open"))
        await write(ground, out, b"another's")
        assert await values(ground, out) == []
        await producer.commit()
        await until(lambda: _seen(ground, out, [b"open", b"another's"]))


async def test_an_empty_transaction_may_be_committed_and_another_begun(ground: Ground) -> None:
    out = await ground.topic("out")
    async with producing(ground) as producer:
        for ends in (producer.commit, producer.abort):
            await producer.begin()
            await ends()
        for value in (b"one", b"two"):
            await producer.begin()
            await (await send(producer, out, value))
            await producer.commit()
    await until(lambda: _seen(ground, out, [b"one", b"two"]))


async def test_a_second_producer_of_an_id_fences_the_first_and_ends_its_transaction(ground: Ground) -> None:
    at, out = TopicPartition(await ground.topic("in"), 0), await ground.topic("out")
    async with joined(ground, at.topic) as member, producing(ground) as first:
        await first.begin()
        await (await send(first, out, b"of the first"))
        await first.send_offsets({at: Committed(7, "")}, member.membership())
        async with producing(ground) as second:
            assert await member.committed([at]) == {at: Committed(NOTHING_COMMITTED, "")}
            with pytest.raises(Fenced):
                await first.commit()
            assert await first.abort(), "it says that it is fenced"
            with pytest.raises(Fenced):
                await first.begin()
            await second.begin()
            await (await send(second, out, b"of the second"))
            await second.commit()
        await until(lambda: _seen(ground, out, [b"of the second"]))


async def test_a_fenced_producer_learns_it_from_the_answer_to_a_batch(ground: Ground) -> None:
    out = await ground.topic("out")
    async with producing(ground) as first:
        await first.begin()
        await (await send(first, out, b"of the first"))
        async with producing(ground):
            with pytest.raises(Fenced):
                await (await send(first, out, b"too late"))
            assert await first.abort()
    assert await values(ground, out) == []


async def test_a_fenced_producer_learns_it_from_its_offsets(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    async with joined(ground, at.topic) as member, producing(ground) as first, producing(ground):
        await first.begin()
        with pytest.raises(Fenced):
            await first.send_offsets({at: Committed(7, "")}, member.membership())
        assert await first.abort()


async def test_what_a_successor_finds_after_its_start_holds_still(ground: Ground) -> None:
    """Right after a commit is answered its offsets may not be there yet; after the start of the next producer they
    are: fetched before it, they would be repeated."""
    at, out = TopicPartition(await ground.topic("in"), 0), await ground.topic("out")
    async with joined(ground, at.topic) as member:
        for offset in range(1, 20):
            async with producing(ground) as producer:
                await producer.begin()
                await (await send(producer, out, b"%d" % offset))
                await producer.send_offsets({at: Committed(offset, "")}, member.membership())
                await producer.commit()
            async with producing(ground):
                assert await member.committed([at]) == {at: Committed(offset, "")}


@pytest.mark.slow
async def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(ground: Ground) -> None:
    """Kafka looks every ten seconds."""
    out = await ground.topic("out")
    producer = ground.broker.producer(f"{ground.group}.id", timeout_ms=1_000)
    await producer.start()
    try:
        await producer.begin()
        await (await send(producer, out, b"too long"))
        await write(ground, out, b"another's")
        await until(lambda: _seen(ground, out, [b"another's"]))
        with pytest.raises(Fenced):
            await (await send(producer, out, b"still here"))
    finally:
        await producer.stop()


# --- offsets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["commit", "abort"])
async def test_a_fetch_of_offsets_waits_for_a_transaction_that_would_change_them(ground: Ground, ends: str) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    async with joined(ground, at.topic) as member, producing(ground) as producer:
        await member.commit({at: Committed(3, "three")})
        await producer.begin()
        await producer.send_offsets({at: Committed(7, "seven")}, member.membership())
        asked = asyncio.create_task(_committed(member, at))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await (producer.commit() if ends == "commit" else producer.abort())
        assert await asked == (Committed(7, "seven") if ends == "commit" else Committed(3, "three"))


async def _committed(member: Member, at: TopicPartition) -> Committed:
    return (await member.committed([at]))[at]


async def test_a_commit_without_a_transaction_is_there_at_once(ground: Ground) -> None:
    topic = await ground.topic("in", 2)
    one, two = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with joined(ground, topic) as member:
        await member.commit({one: Committed(3, "three")})
        assert await member.committed([one, two]) == {
            one: Committed(3, "three"),
            two: Committed(NOTHING_COMMITTED, ""),
        }


@pytest.mark.parametrize(
    "gone",
    [
        lambda now: now._replace(generation=now.generation - 1),
        lambda now: now._replace(member_id="another"),
        lambda now: Membership(now.group, -1, "", None),
    ],
    ids=["generation", "member", "nobody"],
)
async def test_offsets_of_who_is_not_in_the_generation_are_fenced_and_the_rest_is_aborted(
    ground: Ground, gone: Callable[[Membership], Membership]
) -> None:
    at, out = TopicPartition(await ground.topic("in"), 0), await ground.topic("out")
    async with joined(ground, at.topic) as member, producing(ground) as producer:
        await producer.begin()
        await (await send(producer, out, b"must not be seen"))
        with pytest.raises(Fenced):
            await producer.send_offsets({at: Committed(7, "")}, gone(member.membership()))
        assert not await producer.abort(), "the producer itself is not fenced"
        await write(ground, out, b"seen at once")  # behind an open transaction it would not be
        await until(lambda: _seen(ground, out, [b"seen at once"]))
        assert await _committed(member, at) == Committed(NOTHING_COMMITTED, "")


async def test_offsets_name_the_generation_even_after_their_member_has_gone_on(ground: Ground) -> None:
    """A membership is of the moment it was taken: what belongs to the last assignment is not written in this one."""
    at = TopicPartition(await ground.topic("in"), 0)
    async with joining(ground, at.topic) as (first, heard), producing(ground) as producer:
        await until(lambda: heard.assigned)
        before = first.membership()
        async with joining(ground, at.topic):
            await until(lambda: len(heard.assigned) == 2)
            await producer.begin()
            with pytest.raises(Fenced):
                await producer.send_offsets({at: Committed(7, "")}, before)


async def test_metadata_has_4096_characters_and_one_more_is_refused(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    async with joined(ground, at.topic) as member:
        async with producing(ground) as producer:
            await producer.begin()
            await producer.send_offsets({at: Committed(1, "x" * 4_096)}, member.membership())
            await producer.commit()
        assert await _committed(member, at) == Committed(1, "x" * 4_096)
        async with producing(ground) as producer:
            await producer.begin()
            with pytest.raises(KafkaError):
                await producer.send_offsets({at: Committed(2, "x" * 4_097)}, member.membership())
            await producer.abort()
        async with producing(ground):
            assert (await _committed(member, at)).offset == 1


# --- batches ---------------------------------------------------------------------------------------------


async def test_a_refused_batch_says_so_but_the_commit_does_not(ground: Ground) -> None:
    """Who commits without a look at every answer loses the output and moves the offset on."""
    at, out = TopicPartition(await ground.topic("in"), 0), await ground.topic("out", 2, BATCH_BYTES)
    async with joined(ground, at.topic) as member, producing(ground) as producer:
        await producer.begin()
        refused = await send(producer, out, b"x" * (BATCH_BYTES + 1), partition=1)
        await (await send(producer, out, b"small"))
        await producer.send_offsets({at: Committed(2, "")}, member.membership())
        with pytest.raises(MessageSizeTooLargeError):
            await refused
        await producer.commit()
        assert await _committed(member, at) == Committed(2, "")
    await until(lambda: _seen(ground, out, [b"small"]))


async def test_a_batch_behind_a_refused_one_fails_too(ground: Ground) -> None:
    out = await ground.topic("out", 1, BATCH_BYTES)
    async with producing(ground) as producer:
        await producer.begin()
        refused = await send(producer, out, b"x" * (BATCH_BYTES + 1))
        with pytest.raises(MessageSizeTooLargeError):
            await refused
        with pytest.raises(KafkaError):
            await (await send(producer, out, b"small"))
        await producer.abort()
    async with producing(ground) as producer:
        await producer.begin()
        await (await send(producer, out, b"anew"))
        await producer.commit()
    await until(lambda: _seen(ground, out, [b"anew"]))


async def test_batches_of_a_partition_keep_their_order(ground: Ground) -> None:
    out = await ground.topic("out")
    async with producing(ground) as producer:
        await producer.begin()
        for number in range(20):
            await send(producer, out, b"%d a" % number, b"%d b" % number)
        await producer.commit()
    expected = [b"%d %s" % (number, part) for number in range(20) for part in (b"a", b"b")]
    await until(lambda: _seen(ground, out, expected))


async def test_a_batch_takes_its_first_record_whatever_its_size_and_then_until_it_is_full(ground: Ground) -> None:
    async with producing(ground) as producer:
        large = producer.create_batch()
        assert large.append(timestamp=None, key=None, value=b"x" * 3_000_000, headers=[]) is not None
        assert large.append(timestamp=None, key=None, value=b"x", headers=[]) is None
        assert large.record_count() == 1
        assert large.size() > 3_000_000
        batch = producer.create_batch()
        while batch.append(timestamp=None, key=b"key", value=b"x" * 1_000, headers=[("a", b"b")]) is not None:
            pass
        assert 1_000 * batch.record_count() < batch.size() < 1_000_000, "far below what a topic takes"


@pytest.mark.parametrize("wrong", [{"value": "text"}, {"key": 1}, {"headers": [("a", "text")]}], ids=str)
async def test_what_is_not_bytes_is_refused_as_it_is_appended(ground: Ground, wrong: dict[str, object]) -> None:
    record: dict[str, object] = {"timestamp": None, "key": None, "value": None, "headers": []}
    async with producing(ground) as producer:
        with pytest.raises((TypeError, ValueError, AttributeError)):
            producer.create_batch().append(**(record | wrong))  # type: ignore[arg-type]


async def test_records_arrive_as_they_were_appended(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("out"), 0)
    sent = [
        (1_700_000_000_000, b"k", b"v", [("h", b"1"), ("h", b"2")]),
        (1_700_000_000_001, None, None, []),
        (1_700_000_000_002, b"", b"", [("empty", b"")]),
    ]
    async with producing(ground) as producer, joined(ground, at.topic) as member:
        await producer.begin()
        batch = producer.create_batch()
        for timestamp, key, value, headers in sent:
            batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
        await (await producer.send_batch(batch, at.topic, partition=0))
        await producer.commit()
        member.seek(at, 0)
        found = await poll(member, at, 3)
    assert [(r.timestamp, r.key, r.value, list(r.headers)) for r in found] == sent
    assert [(r.topic, r.partition, r.offset) for r in found] == [(*at, offset) for offset in range(3)]


async def test_a_producer_without_a_transactional_id_is_plain(ground: Ground) -> None:
    out = await ground.topic("out")
    async with producing(ground, None) as producer:
        await (await send(producer, out, b"one", b"two"))
        await (await send(producer, out, b"three"))
    assert await values(ground, out) == [b"one", b"two", b"three"]


async def test_a_producer_may_be_stopped_in_the_middle_of_anything(ground: Ground) -> None:
    out = await ground.topic("out")
    async with producing(ground) as producer:
        await producer.begin()
        await send(producer, out, b"nobody awaits it")
    async with producing(ground):
        pass
    assert await values(ground, out) == []


async def test_a_topic_tells_how_many_partitions_it_has_if_there_is_one(ground: Ground) -> None:
    out = await ground.topic("out", 3)
    async with producing(ground) as producer:
        assert await producer.partitions_for(out) == 3
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.partitions_for(f"{ground.group}.nothing")


# --- reading ---------------------------------------------------------------------------------------------


async def test_aborted_records_and_markers_are_not_seen_and_are_passed(ground: Ground) -> None:
    """Each takes an offset: a group that has read everything stands at the end only if it commits its position."""
    at = TopicPartition(await ground.topic("in"), 0)
    async with producing(ground) as producer:
        for ends in (producer.commit, producer.abort) * 2:
            await producer.begin()
            await (await send(producer, at.topic, b"one", b"two"))
            await ends()
    async with joined(ground, at.topic) as member:
        assert member.highwater(at) in (None, 12)
        member.seek(at, 0)
        assert [record.offset for record in await poll(member, at, 4)] == [0, 1, 6, 7]

        async def passed() -> bool:
            await member.poll([at], timeout_ms=20, records_max=10)
            return await member.position(at) == 12

        await until(passed, "the position behind the last marker")
        assert member.highwater(at) == 12
        assert await member.end_offsets([at]) == {at: 12}


async def test_ends_are_those_of_what_is_committed(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    await write(ground, at.topic, b"one")
    async with joined(ground, at.topic) as member, producing(ground) as producer:

        async def ends(expected: int) -> bool:
            return await member.end_offsets([at]) == {at: expected}

        await until(lambda: ends(2))
        await producer.begin()
        await (await send(producer, at.topic, b"open"))
        assert await ends(2)
        await producer.commit()
        await until(lambda: ends(4))


async def test_a_poll_gives_what_is_asked_for_in_order_and_no_more_than_that(ground: Ground) -> None:
    topic = await ground.topic("in", 2)
    one, two = TopicPartition(topic, 0), TopicPartition(topic, 1)
    for partition in (0, 1):
        await write(ground, topic, *(b"%d" % n for n in range(50)), partition=partition)
    async with joined(ground, topic) as member:
        for at in (one, two):
            member.seek(at, 0)
        assert await member.poll([], timeout_ms=20, records_max=10) == {}
        given = await member.poll([two], timeout_ms=5_000, records_max=7)
        assert {at: len(records) for at, records in given.items()} == {two: 7}
        assert await member.position(two) == 7
        assert [record.offset for record in await poll(member, one, 50, 20)] == list(range(50))
        assert await member.poll([], timeout_ms=20, records_max=10) == {}
        assert [record.offset for record in await poll(member, two, 43)] == list(range(7, 50))


async def test_a_paused_partition_gives_nothing_and_goes_on_where_it_stood(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    await write(ground, at.topic, *(b"%d" % n for n in range(20)))
    async with joined(ground, at.topic) as member:
        member.seek(at, 0)
        assert len(await poll(member, at, 5, records_max=5)) == 5
        member.pause(at)
        assert await member.poll([at], timeout_ms=200, records_max=10) == {}
        member.resume(at)
        assert [record.offset for record in await poll(member, at, 15)] == list(range(5, 20))


async def test_a_seek_goes_anywhere_whatever_is_fetched_already(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    await write(ground, at.topic, *(b"%d" % n for n in range(20)))
    async with joined(ground, at.topic) as member:
        for offset in (10, 0, 19, 5):
            member.seek(at, offset)
            assert [record.offset for record in await poll(member, at, 1, records_max=1)] == [offset]


async def test_what_comes_while_a_poll_waits_ends_it(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    async with joined(ground, at.topic) as member:
        polling = asyncio.create_task(poll(member, at, 1))
        await asyncio.sleep(0.1)
        await write(ground, at.topic, b"late")
        assert [record.value for record in await polling] == [b"late"]


# --- the group -------------------------------------------------------------------------------------------


async def test_nothing_is_given_out_before_the_listener_has_paused_what_it_is_assigned(ground: Ground) -> None:
    """Else records would come from a position that the last owner has gone beyond."""
    at = TopicPartition(await ground.topic("in"), 0)
    await write(ground, at.topic, b"0", b"1", b"2")
    async with joined(ground, at.topic, paused=True) as member:
        assert member.assignment() == {at}
        assert await member.poll([at], timeout_ms=300, records_max=10) == {}
        member.seek(at, 1)
        member.resume(at)
        assert [record.offset for record in await poll(member, at, 2)] == [1, 2]


async def test_a_second_member_takes_everything_away_and_waits_until_all_let_go(ground: Ground) -> None:
    topic = await ground.topic("in", 2)
    both = frozenset({TopicPartition(topic, 0), TopicPartition(topic, 1)})
    async with joining(ground, topic) as (first, of_first):
        await until(lambda: of_first.assigned)
        assert of_first.assigned == [both]
        generation = first.membership().generation
        of_first.may_go.clear()
        async with joining(ground, topic) as (second, of_second):
            await until(lambda: both in of_first.revoked, "what comes back is revoked too")
            await asyncio.sleep(0.2)
            assert of_second.assigned == []
            assert first.membership().generation == generation, "what is done can still be committed"
            of_first.may_go.set()
            await until(lambda: len(of_first.assigned) == 2 and of_second.assigned)
            assert first.membership().generation == second.membership().generation > generation
            assert first.assignment() | second.assignment() == both
            assert len(first.assignment()) == len(second.assignment()) == 1
        await until(lambda: of_first.assigned[-1] == both, "what the second had, soon after it left")


async def test_a_static_member_comes_back_to_what_it_had_without_a_rebalance(ground: Ground) -> None:
    topic = await ground.topic("in", 2)
    async with joining(ground, topic, instance_id="two") as (other, heard):
        async with joining(ground, topic, instance_id="one") as (member, _):
            await until(lambda: len(member.assignment()) == len(other.assignment()) == 1, "a partition each")
            had, before = set(member.assignment()), member.membership()
        rebalances = len(heard.assigned)
        async with joining(ground, topic, instance_id="one") as (member, of_member):
            await until(lambda: of_member.assigned)
            assert member.assignment() == had
            assert member.membership().generation == other.membership().generation == before.generation
            async with producing(ground) as producer:
                await producer.begin()
                with pytest.raises(Fenced):  # the process that had the name before
                    await producer.send_offsets({at: Committed(7, "") for at in had}, before)
        assert len(heard.assigned) == rebalances


async def test_a_subscription_made_again_is_an_assignment_made_again(ground: Ground) -> None:
    at = TopicPartition(await ground.topic("in"), 0)
    async with joining(ground, at.topic) as (member, heard):
        await until(lambda: heard.assigned)
        member.subscribe([at.topic], heard)
        await until(lambda: len(heard.assigned) == 2)
        assert heard.revoked[-1] == {at}
        await member.commit({at: Committed(3, "")})


async def test_a_member_knows_the_partitions_of_its_topics(ground: Ground) -> None:
    topic = await ground.topic("in", 3)
    async with joined(ground, topic) as member:
        assert member.partitions_for_topic(topic) == {0, 1, 2}
        assert not member.partitions_for_topic(f"{ground.group}.nothing")
