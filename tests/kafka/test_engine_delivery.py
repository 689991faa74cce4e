"""What the engine promises a reader of committed outputs while nothing fails but the worker itself."""

import asyncio
import functools
from collections import Counter

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions

from streams import topics_admin
from streams.engine.stage import Later, Outputs
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import FakeStage, Slow, committed, count, drained, engine, name, running, until
from topics.records import Out, Record


async def written(bus: Bus, topic: str) -> Counter[bytes | None]:
    """How often each value is there for a reader of committed records."""
    return Counter(await bus.values(topic))


def once_each(counts: dict[int, int]) -> Counter[bytes | None]:
    """The names of all records of a topic: `counts` by partition."""
    return Counter(b"%d/%d" % (p, offset) for p, count in counts.items() for offset in range(count))


async def test_every_record_is_written_once_whether_it_is_ready_or_waits(bus: Bus) -> None:
    topic, out = await bus.topic("in", 2), await bus.topic("out", 3)
    await bus.produce(topic, [Send(b"x", b"k%d" % i, i % 2) for i in range(1_000)])
    slow = Slow(out, every=3)
    async with running(engine(bus, FakeStage(out, slow))):
        await drained(bus, topic)
    assert await written(bus, out) == once_each({0: 500, 1: 500})
    assert max(slow.begun.values()) == 1


async def test_results_do_not_wait_for_slower_ones_before_them(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 10)
    slow = Slow(out)
    slow.held = lambda record: record.offset == 0
    async with running(engine(bus, FakeStage(out, slow))):
        await until(lambda: len(slow.ended) == 9)
        await count(bus, out, 9)
        assert (await committed(bus, topic))[0] == 0
        slow.gate.set()
        await drained(bus, topic)
    assert await written(bus, out) == once_each({0: 10})


async def test_a_restart_in_the_middle_repeats_nothing_that_is_done(bus: Bus) -> None:
    """Every 7th record is in flight when the worker dies; all others, before and behind, are done and committed."""
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 200)
    first, second = Slow(out, 0.05), Slow(out, 0.05)
    first.held = lambda record: record.offset % 7 == 3
    async with running(engine(bus, FakeStage(out, first))) as crash:
        await until(lambda: sum(first.ended.values()) == 171)
        await count(bus, out, 171)
        crash()
    stage = FakeStage(out, second)
    async with running(engine(bus, stage)):
        await drained(bus, topic)
    assert set(second.begun) == {b"0/%d" % offset for offset in range(3, 200, 7)}
    assert set(stage.recalled) == {b"0/%d" % offset for offset in range(3, 200) if offset % 7 != 3}
    assert await written(bus, out) == once_each({0: 200})


async def test_a_drained_topic_shows_lag_zero_although_transaction_markers_end_it(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    async with AIOKafkaProducer(bootstrap_servers=bus.bootstrap_servers, transactional_id=bus.prefix + "w") as writer:
        for end in ("commit", "abort", "commit", "abort"):
            await writer.begin_transaction()
            await writer.send_and_wait(topic, end.encode())
            await (writer.commit_transaction() if end == "commit" else writer.abort_transaction())
    async with running(engine(bus, FakeStage(out))):
        await drained(bus, topic)
    assert (await committed(bus, topic))[0] == 8  # two records, two aborted ones, four markers
    assert await written(bus, out) == {b"0/0": 1, b"0/4": 1}


async def test_tombstones_empty_values_and_missing_keys_pass_through(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")

    def copy(record: Record) -> Outputs:
        return (Out(out, record.key, record.value, [*record.headers, ("empty", b"")], record.timestamp),)

    sent = [Send(b"v", b"k"), Send(None, b"k"), Send(b"", b"k"), Send(b"", b""), Send(b"v")]
    await bus.produce(topic, sent)
    async with running(engine(bus, FakeStage(out, copy))):
        await drained(bus, topic)
    before, after = await bus.read(topic), await bus.read(out)
    assert [(r.key, r.value, r.timestamp) for r in after] == [(r.key, r.value, r.timestamp) for r in before]
    assert after[0].headers == (("empty", b""),)


async def test_a_record_may_lead_to_nothing_or_to_records_of_several_topics(bus: Bus) -> None:
    topic, one, two = await bus.topic("in"), await bus.topic("one"), await bus.topic("two")
    await bus.produce(topic, [b"x"] * 4)

    def several(record: Record) -> Outputs:
        return tuple(Out(to, None, name(record), ()) for to in (one, two, two)[: record.offset])

    async with running(engine(bus, FakeStage(one, several))):
        await drained(bus, topic)
    assert (await bus.values(one), await bus.values(two)) == (
        [b"0/1", b"0/2", b"0/3"],
        [b"0/2", b"0/3", b"0/3"],
    )


async def test_output_partitions_follow_from_the_key_as_in_java(bus: Bus) -> None:
    """Expected: Kafka's own producer's murmur2 of these keys over seven partitions (its UtilsTest has the hashes)."""
    topic, out = await bus.topic("in"), await bus.topic("out", 7)
    java = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    await bus.produce(topic, [Send(b"x", key) for key in java])
    async with running(engine(bus, FakeStage(out))):
        await drained(bus, topic)
    assert {r.key: r.partition for r in await bus.read(out)} == {k: (h & 0x7FFFFFFF) % 7 for k, h in java.items()}


async def test_records_far_larger_than_a_batch_or_a_fetch_are_read_and_written(bus: Bus) -> None:
    big = {"max.message.bytes": str(100 << 20)}
    topic, out = await bus.topic("in", config=big), await bus.topic("out", config=big)
    await bus.produce(topic, [b"s", b"m" * (3 << 20), b"s", b"l" * (64 << 20), b"s"])

    def copy(record: Record) -> Outputs:
        return (Out(out, b"k", record.value, ()),)

    async with running(engine(bus, FakeStage(out, copy))):
        await drained(bus, topic)
    assert [len(r.value) for r in await bus.read(out)] == [1, 3 << 20, 1, 64 << 20, 1]


async def test_work_of_one_key_keeps_its_order_although_attempts_fail_and_other_keys_go_on(bus: Bus) -> None:
    """Key `a` alternates between slow, failing and ready records; key `b` is ready at once, and done before `a` is."""
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [Send(b"x", b"ab"[i % 2 : i % 2 + 1]) for i in range(24)])
    failed: set[int] = set()

    async def later(record: Record) -> Outputs:
        await asyncio.sleep(0.01)
        if record.offset % 8 == 0 and record.offset not in failed:
            failed.add(record.offset)
            raise ValueError("the first attempt at this record")
        return (Out(out, record.key, name(record), ()),)

    def work(record: Record) -> Outputs | Later:
        if record.key == b"b" or record.offset % 6 == 4:
            return (Out(out, record.key, name(record), ()),)
        return functools.partial(later, record)

    async with running(engine(bus, FakeStage(out, work, order="key"))):
        await drained(bus, topic)
    seen = [record.value for record in await bus.read(out)]
    of_a = [b"0/%d" % i for i in range(0, 24, 2)]
    assert [value for value in seen if value in of_a] == of_a
    assert seen.index(b"0/23") < seen.index(b"0/22")
    assert failed == {0, 8}


async def test_a_new_owner_recalls_what_the_stage_looks_back_for(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 50)
    async with running(engine(bus, FakeStage(out))):
        await drained(bus, topic)
    await bus.produce(topic, [b"x"] * 5)
    stage = FakeStage(out, lookback=20)
    async with running(engine(bus, stage)):
        await drained(bus, topic)
    assert stage.recalled == [b"0/%d" % offset for offset in range(30, 50)]
    assert sorted(stage.taken) == [b"0/%d" % offset for offset in range(50, 55)]
    assert stage.forgotten == [0]
    assert await written(bus, out) == once_each({0: 55})


async def test_latest_begins_at_the_end_and_remembers_where_before_anything_is_written(bus: Bus) -> None:
    topic, out = await bus.topic("in", 2), await bus.topic("out")
    await bus.produce(topic, [Send(b"history", partition=i % 2) for i in range(20)])
    first = engine(bus, FakeStage(out), "latest")
    async with running(first):
        await until(lambda: first.health().joined)
    await bus.produce(topic, [Send(b"while nobody runs", partition=1)])
    async with running(engine(bus, FakeStage(out), "latest")):
        await drained(bus, topic)
    assert await written(bus, out) == {b"1/10": 1}


async def test_latest_reads_partitions_that_appear_later_from_their_beginning(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"history"])
    first = engine(bus, FakeStage(out), "latest")
    async with running(first):
        await until(lambda: first.health().joined)
    async with topics_admin.connected(bus.brokers) as admin:
        await admin.create_partitions({topic: NewPartitions(2)})
    await asyncio.sleep(0.5)
    await bus.produce(topic, [Send(b"before anyone looks", partition=1)])
    async with running(engine(bus, FakeStage(out), "latest")):
        await drained(bus, topic)
    assert await written(bus, out) == {b"1/0": 1}


async def test_several_workers_that_begin_a_latest_topic_together_agree_where(bus: Bus) -> None:
    topic, out = await bus.topic("in", 4), await bus.topic("out")
    await bus.produce(topic, [Send(b"history", partition=i % 4) for i in range(40)])
    engines = [engine(bus, FakeStage(out), "latest") for _ in range(3)]
    async with running(engines[0]), running(engines[1]), running(engines[2]):
        await until(
            lambda: sum(e.health().partitions for e in engines) == 4 and all(e.health().joined for e in engines)
        )
        await bus.produce(topic, [Send(b"news", partition=i % 4) for i in range(40)])
        await drained(bus, topic)
    assert await written(bus, out) == Counter(b"%d/%d" % (p, o) for p in range(4) for o in range(10, 20))
