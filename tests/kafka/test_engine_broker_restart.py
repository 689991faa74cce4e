"""The broker dies and comes back under load, for a moment and for longer than a transaction may last."""

import asyncio
from collections import Counter

import pytest

from local.kafka import LocalKafka
from tests.kafka.bus import SOON_BACK, Bus, Send
from tests.kafka.engines import FakeStage, Slow, drained, engine, running


@pytest.mark.slow
async def test_a_broker_that_is_killed_and_comes_back_loses_and_repeats_nothing() -> None:
    async with LocalKafka(settings=SOON_BACK) as kafka:
        bus = Bus(kafka.brokers, "t.")
        topic, out = await bus.topic("in", 4), await bus.topic("out", 2)
        slow = Slow(out, 0.3, every=4)
        async with running(engine(bus, FakeStage(out, slow))):
            for seconds_away in (0.2, 12.0):
                await bus.produce(topic, [Send(b"x", b"k", i % 4) for i in range(2_000)])
                await asyncio.to_thread(kafka.kill)
                await asyncio.sleep(seconds_away)
                await asyncio.to_thread(kafka.restart)
            await drained(bus, topic)
        assert Counter(await bus.values(out)) == Counter(b"%d/%d" % (p, o) for p in range(4) for o in range(1_000))
        assert max(slow.begun.values()) == 1, "no call was made twice"
