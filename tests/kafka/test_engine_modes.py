"""One producer for many partitions, delivery at least once, and bounds that hold for all partitions together."""

from collections import Counter

import pytest

from streams.engine.stage import Outputs
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import FakeStage, Slow, committed, count, drained, engine, name, running, until
from topics.records import Out, Record

PARTITIONS = 12


async def _filled(bus: Bus, records: int = 1_200) -> tuple[str, str]:
    topic, out = await bus.topic("in", PARTITIONS), await bus.topic("out", 3)
    await bus.topic("dead-letters")
    await bus.produce(topic, [Send(b"v%d" % i, b"k%d" % i, i % PARTITIONS) for i in range(records)])
    return topic, out


def _names(records: int) -> Counter[bytes | None]:
    return Counter(b"%d/%d" % (i % PARTITIONS, i // PARTITIONS) for i in range(records))


async def test_one_producer_for_many_partitions_publishes_them_together_and_once(bus: Bus) -> None:
    topic, out = await _filled(bus)
    stage = FakeStage(out, Slow(out, 0.1, every=5))
    async with running(engine(bus, stage, producers_max=PARTITIONS - 1)):
        await drained(bus, topic)
    assert Counter(await bus.values(out)) == _names(1_200)
    ends = [record.offset + 1 for record in await bus.read(out) if record.partition == 0]
    markers = max(ends) + 1 - len(ends)
    assert markers < PARTITIONS * 3, "a transaction is not of one partition: each would have left a marker here"


@pytest.mark.parametrize("producers_max", [PARTITIONS, PARTITIONS - 1])
async def test_a_successor_of_a_crashed_worker_repeats_nothing_that_was_published(bus: Bus, producers_max: int) -> None:
    """Whether both have a producer a partition or share a few."""
    topic, out = await _filled(bus)
    slow = Slow(out, 0.05, every=5)
    slow.held = lambda record: record.offset % 10 == 0
    async with running(engine(bus, FakeStage(out, slow), producers_max=producers_max)) as crash:
        await count(bus, out, 1_000)
        crash()
    successor = FakeStage(out)
    async with running(engine(bus, successor, producers_max=producers_max)):
        await drained(bus, topic)
    assert Counter(await bus.values(out)) == _names(1_200)
    assert sum(successor.taken.values()) < 400, "what the first had published is not decided again"


async def test_workers_with_few_and_with_many_partitions_take_over_from_each_other(bus: Bus) -> None:
    """Offsets go with the group's generation in both ways, so that neither commits behind the other's back."""
    topic, out = await _filled(bus)
    slow = Slow(out, 0.2)
    async with running(engine(bus, FakeStage(out, slow), producers_max=8)):
        await until(lambda: sum(slow.ended.values()) > 100)
        async with running(engine(bus, FakeStage(out, Slow(out, 0.2)), producers_max=8)):
            await until(lambda: sum(slow.ended.values()) > 300)
        await drained(bus, topic)
    assert Counter(await bus.values(out)) == _names(1_200)


async def test_at_least_once_uses_no_transaction_and_loses_nothing_in_a_crash(bus: Bus) -> None:
    topic, out = await _filled(bus)
    slow = Slow(out, 0.05, every=5)
    async with running(engine(bus, FakeStage(out, slow), delivery="at_least_once")) as crash:
        await count(bus, out, 400)
        crash()
    async with running(engine(bus, FakeStage(out), delivery="at_least_once")):
        await drained(bus, topic)
    published = Counter(await bus.values(out))
    assert published.keys() == _names(1_200).keys()
    for partition in range(3):
        offsets = [record.offset for record in await bus.read(out) if record.partition == partition]
        assert offsets == list(range(len(offsets))), "a marker would have left a gap"


async def test_at_least_once_names_what_waits_beyond_the_offset_too(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v%d" % i for i in range(20)])
    slow = Slow(out)
    slow.held = lambda record: record.offset == 3
    async with running(engine(bus, FakeStage(out, slow), delivery="at_least_once")) as crash:
        await count(bus, out, 19)
        await until(lambda: _named(bus, topic))
        crash()
    successor = FakeStage(out)
    async with running(engine(bus, successor, delivery="at_least_once")):
        await drained(bus, topic)
    assert successor.taken == Counter([b"0/3"])


async def _named(bus: Bus, topic: str) -> bool:
    offset, metadata = await committed(bus, topic)
    return offset == 3 and metadata != ""


async def test_more_bytes_than_a_transaction_may_hold_go_in_several(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"!" * 10_000 for _ in range(100)])

    def large(record: Record) -> Outputs:
        return (Out(out, None, name(record) + b" " * 100_000, ()),)

    stage = FakeStage(out, large)
    async with running(engine(bus, stage, transaction_bytes_max=300_000, poll_records_max=2)):
        await drained(bus, topic)
    records = await bus.read(out)
    assert Counter(record.value.split()[0] for record in records) == Counter(b"0/%d" % i for i in range(100))
    markers = records[-1].offset + 1 - len(records)
    assert markers >= 100 * 100_000 // (300_000 + 2 * 110_000) - 1
