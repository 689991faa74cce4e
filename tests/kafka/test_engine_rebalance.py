"""Workers that come, go and take over from each other, as a reader of committed outputs sees it."""

import asyncio
from collections import Counter

from tests.kafka.bus import Bus, Send
from tests.kafka.engines import FakeStage, Slow, committed, count, drained, engine, running, until


async def test_workers_that_come_and_go_under_load_lose_and_repeat_nothing(bus: Bus) -> None:
    topic, out = await bus.topic("in", 4), await bus.topic("out", 2)
    slow = Slow(out, 0.3, every=4)
    sent = 0

    async def send(seconds: float) -> None:
        nonlocal sent
        ends = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < ends:
            await bus.produce(topic, [Send(b"x", b"%d" % (sent + i), (sent + i) % 4) for i in range(100)])
            sent += 100

    async with running(engine(bus, FakeStage(out, slow))):
        await send(1.0)
        async with running(engine(bus, FakeStage(out, slow))):
            await send(1.5)
            async with running(engine(bus, FakeStage(out, slow))) as crash:
                await send(1.5)
                crash()
            await send(1.0)
        await send(1.0)
        await drained(bus, topic)
    assert Counter(await bus.values(out)) == Counter(b"%d/%d" % (p, o) for p in range(4) for o in range(sent // 4))


async def test_calls_in_flight_survive_a_rebalance_and_are_not_made_again(bus: Bus) -> None:
    """Two partitions wait for their calls; a second worker takes one of them, and leaves again."""
    topic, out = await bus.topic("in", 2), await bus.topic("out")
    await bus.produce(topic, [Send(b"x", partition=i % 2) for i in range(20)])
    first, second = Slow(out), Slow(out)
    first.held = second.held = lambda _: True
    one, two = engine(bus, FakeStage(out, first)), engine(bus, FakeStage(out, second))
    async with running(one):
        await until(lambda: sum(first.begun.values()) == 20)
        async with running(two):
            await until(lambda: one.health().partitions == 1 and two.health().in_flight == 10)
            await until(lambda: one.health().in_flight == 10, "the calls of the partition that stayed")
            second.gate.set()
            await count(bus, out, 10)
        first.gate.set()
        await drained(bus, topic)
    assert set(first.begun.values()) == {1}
    assert len(first.ended) == 10, "calls of the partition that went to the other worker were cancelled"
    assert Counter(await bus.values(out)) == Counter(b"%d/%d" % (p, o) for p in (0, 1) for o in range(10))


async def test_a_stop_lets_what_is_in_flight_finish_and_hands_over_at_once(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 50)
    slow = Slow(out, 1.0)
    async with running(engine(bus, FakeStage(out, slow))):
        await until(lambda: sum(slow.begun.values()) == 50)
    assert sum(slow.ended.values()) == 50
    assert (await committed(bus, topic))[0] == 50
    successor = engine(bus, FakeStage(out))
    async with asyncio.timeout(5), running(successor):  # the group was left: its session would take ten seconds
        await until(lambda: successor.health().joined)
    assert Counter(await bus.values(out)) == Counter(b"0/%d" % o for o in range(50))


async def test_a_stop_abandons_what_takes_too_long_and_the_next_worker_does_it(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 10)
    endless = Slow(out, 0.01)
    endless.held = lambda record: record.offset == 4
    async with running(engine(bus, FakeStage(out, endless), shutdown_seconds=2.0)):
        await until(lambda: sum(endless.ended.values()) == 9)
    slow = Slow(out, 0.01)
    async with running(engine(bus, FakeStage(out, slow))):
        await drained(bus, topic)
    assert slow.begun == {b"0/4": 1}
    assert Counter(await bus.values(out)) == Counter(b"0/%d" % o for o in range(10))
