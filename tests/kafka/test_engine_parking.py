"""What waits for hours waits on a topic: the others go on, and it comes back once, under its own name."""

import functools
import math
import time
from collections import Counter

from streams.engine.stage import Later, Outputs
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import FakeStage, count, drained, engine, lag, name, running
from topics.catalog import DEAD_LETTERS, PARKED
from topics.messages import Parked, Rejected
from topics.records import Out, Record

PARKED_SECONDS = 0.5


class Parking:
    """Parks the records of `offsets`, from a Later, for a moment each time until `open`."""

    def __init__(self, output: str, offsets: set[int]) -> None:
        self._output = output
        self._offsets = offsets
        self.open = False
        self.due: dict[bytes, float] = {}  # seconds since the epoch
        self.early: list[bytes] = []  # came back before that

    def __call__(self, record: Record) -> Outputs | Later:
        return functools.partial(self._later, record)

    async def _later(self, record: Record) -> Outputs:
        at, now = name(record), time.time()
        if now < self.due.get(at, 0):
            self.early.append(at)
        if record.offset in self._offsets and not self.open:
            due_ms = math.ceil((now + PARKED_SECONDS) * 1000)
            self.due[at] = due_ms / 1000
            return Parked(due_ms, "the budget is spent")
        return (Out(self._output, record.key, at, list(record.headers)),)


async def _prepared(bus: Bus) -> tuple[str, str]:
    topic, out = await bus.topic("in", 2), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.topic("parked")
    headers = (("traceparent", b"00-1"),)
    await bus.produce(topic, [Send(b"v%d" % i, b"k%d" % i, i % 2, headers) for i in range(20)])
    return topic, out


async def test_others_go_on_and_parked_records_come_back_once_under_their_own_names(bus: Bus) -> None:
    topic, out = await _prepared(bus)
    parking = Parking(out, {3, 4, 7})
    async with running(engine(bus, FakeStage(out, parking), parks=True)):
        await drained(bus, topic)
        early = Counter(await bus.values(out))
        assert early == Counter(b"%d/%d" % (p, o) for p in (0, 1) for o in range(10) if o not in (3, 4, 7))
        waiting = await bus.read(bus.names.topic(PARKED))
        assert {(r.key, r.value) for r in waiting} == {(b"k%d" % i, b"v%d" % i) for i in (6, 7, 8, 9, 14, 15)}
        parking.open = True
        await count(bus, out, 20)
        await drained(bus, bus.names.topic(PARKED))
    assert parking.early == []
    records = await bus.read(out)
    assert Counter(r.value for r in records) == Counter(b"%d/%d" % (p, o) for p in (0, 1) for o in range(10))
    assert {r.headers for r in records} == {(("traceparent", b"00-1"),)}, "as it came, without what parking added"


async def test_a_parked_record_survives_its_worker_and_waits_for_its_time_whoever_reads_it(bus: Bus) -> None:
    topic, out = await _prepared(bus)
    parking = Parking(out, {5})
    async with running(engine(bus, FakeStage(out, parking), parks=True)) as crash:
        await drained(bus, topic)
        crash()
    parking.open = True
    successor = FakeStage(out, parking)
    async with running(engine(bus, successor, parks=True)):
        await count(bus, out, 20)
        await drained(bus, bus.names.topic(PARKED))
    assert Counter(await bus.values(out)) == Counter(b"%d/%d" % (p, o) for p in (0, 1) for o in range(10))
    assert successor.taken == Counter([b"0/5", b"1/5"])
    assert parking.early == []


async def test_a_parked_record_that_is_rejected_is_a_dead_letter_of_where_it_was_read_first(bus: Bus) -> None:
    topic, out = await _prepared(bus)
    parking = Parking(out, {6})

    async def later(record: Record) -> Outputs:
        outputs = await parking._later(record)
        if record.offset == 6 and not isinstance(outputs, Parked):
            return Rejected("model_refused", "no")
        return outputs

    async with running(engine(bus, FakeStage(out, lambda record: functools.partial(later, record)), parks=True)):
        await drained(bus, topic)
        assert parking.due.keys() == {b"0/6", b"1/6"}
        parking.open = True
        await count(bus, bus.names.topic(DEAD_LETTERS), 2)
        assert await lag(bus, topic) == 0
    for letter in await bus.read(bus.names.topic(DEAD_LETTERS)):
        headers = dict(letter.headers)
        assert (headers["sluice.origin.topic"], headers["sluice.origin.offset"]) == (topic.encode(), b"6")
        assert not any(header.startswith("sluice.parked") for header in headers)
