"""What is in hand between taking and committing: order, limits, and what a second life finds of a first one."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from aiokafka.structs import TopicPartition

from streams.engine.attempts import Attempts
from streams.engine.calls import Calls
from streams.engine.in_hand import InHand
from streams.engine.intake import Intake
from streams.engine.outbox import Outbox, Sealed
from streams.engine.settings import EngineSettings
from streams.engine.stage import Forgotten, Later, Outputs
from streams.engine.tracker import Tracker
from tests.fakes import ManualClock, settle
from tests.unit.engine.fakes import FakeProducer
from topics.messages import Rejected
from topics.records import Headers, Out, Record

PARTITION = TopicPartition("in", 0)


@dataclass(frozen=True, slots=True)
class FakeRecord:
    offset: int
    key: bytes | None = None
    value: bytes | None = b"v"
    topic: str = "in"
    partition: int = 0
    timestamp: int = 0
    headers: Headers = ()


class FakeStage:
    """Offsets in `slow` wait until the test ends them; the others are ready."""

    def __init__(self, slow: Iterable[int], order: Literal["none", "key"] = "none") -> None:
        self.slow = {offset: asyncio.Event() for offset in slow}
        self.begun: list[int] = []
        self.taken: list[int] = []  # records in each call
        self.recalled: list[int] = []
        self._order: Literal["none", "key"] = order

    def order(self, topic: str) -> Literal["none", "key"]:
        return self._order

    def lookback(self, topic: str) -> int:
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        self.taken.append(len(records))
        return [self._later(r.offset) if r.offset in self.slow else outputs(r.offset) for r in records]

    def _later(self, offset: int) -> Later:
        async def later() -> Outputs:
            self.begun.append(offset)
            await self.slow[offset].wait()
            return outputs(offset)

        return later

    async def end(self, *offsets: int) -> None:
        for offset in offsets:
            self.slow[offset].set()
        await settle()

    def recall(self, records: Sequence[Record]) -> None:
        self.recalled += [record.offset for record in records]

    def forget(self, topic: str, partition: int) -> None:
        raise AssertionError("not asked for")


def outputs(offset: int) -> Outputs:
    return (Out("out", None, b"%d" % offset, ()),)


def records(*offsets: int, key: Callable[[int], bytes | None] = lambda _: None) -> list[Record]:
    return [FakeRecord(offset, key(offset)) for offset in offsets]


@dataclass(slots=True)
class Life:
    """One life of a partition, and where its outputs go."""

    in_hand: InHand
    outbox: Outbox

    async def batches(self) -> list[Sealed]:
        """The next transaction's, which is committed."""
        await self.outbox.resolve()
        batches = self.outbox.take()
        self.in_hand.published(self.in_hand.publishing())
        return batches

    async def published(self) -> list[int]:
        """Offsets in the next transaction, which is committed."""
        return [int(value) for sealed in await self.batches() for value in sealed.batch.values]  # type: ignore[attr-defined]


Make = Callable[..., Awaitable[Life]]


@asynccontextmanager
async def maker(stage: FakeStage) -> AsyncIterator[Make]:
    """Makes lives of one partition that share their calls."""
    async with asyncio.TaskGroup() as tasks:
        clock = ManualClock()
        attempts = Attempts(
            "triage", Intake("triage", clock), clock=clock, rng=random.Random(1), settings=EngineSettings()
        )
        calls = Calls("triage", tasks, attempts)

        async def make(tracker: Tracker | None = None, **settings: Any) -> "Life":
            outbox = Outbox(
                FakeProducer(), rng=random.Random(1), records_max=100, bytes_max=10**9, one_output_a_batch=False
            )
            in_hand = InHand(
                PARTITION,
                tracker or Tracker(0),
                0,
                stage=stage,
                stage_name="triage",
                calls=calls,
                dead_letter=lambda record, rejected: Out(  # noqa: ARG005
                    "dead-letters", record.key, record.value, ()
                ),
                outbox=outbox,
                refused={},
                parked_topic=None,
                settings=EngineSettings(**settings),
            )
            return Life(in_hand, outbox)

        yield make
        calls.keep_only(())


async def test_results_are_published_in_the_order_of_their_end() -> None:
    stage = FakeStage({0, 1})
    async with maker(stage) as make:
        life = await make()
        life.in_hand.take(records(0, 1, 2, 3))
        await settle()
        assert await life.published() == [2, 3]
        await stage.end(1)
        assert life.outbox.results.is_set()
        assert await life.published() == [1]
        await stage.end(0)
        assert await life.published() == [0]
        assert life.in_hand.tracker.commit() == (4, "")


async def test_records_of_a_key_wait_for_their_turn_and_other_keys_do_not() -> None:
    """Even offsets are of key a, odd ones of key b. 0 and 4 are slow, the rest is ready."""
    stage = FakeStage({0, 4}, "key")
    async with maker(stage) as make:
        life = await make()
        life.in_hand.take(records(*range(8), key=lambda offset: b"ab"[offset % 2 : offset % 2 + 1]))
        await settle()
        assert (await life.published(), stage.begun, life.in_hand.waiting) == ([1, 3, 5, 7], [0], 4)
        await stage.end(0)
        assert (await life.published(), stage.begun) == ([0, 2], [0, 4])
        await stage.end(4)
        assert await life.published() == [4, 6]
        life.in_hand.take(records(8, key=lambda _: b"a"))
        assert await life.published() == [8]


async def test_records_without_a_key_wait_for_nobody() -> None:
    stage = FakeStage({0}, "key")
    async with maker(stage) as make:
        life = await make()
        life.in_hand.take(records(0, 1))
        assert await life.published() == [1]


async def test_no_more_calls_are_in_flight_than_allowed_and_the_rest_waits() -> None:
    stage = FakeStage(range(10))
    async with maker(stage) as make:
        life = await make(in_flight_records_max=4)
        life.in_hand.take(records(*range(10)))
        await settle()
        assert (len(stage.begun), life.in_hand.waiting, life.in_hand.has_room()) == (4, 10, False)
        await stage.end(0, 1)
        assert len(stage.begun) == 6


async def test_a_quarter_more_is_taken_than_may_be_in_flight_and_a_full_partition_is_asked_again_at_the_limit() -> None:
    stage = FakeStage(range(20))
    async with maker(stage) as make:
        life = await make(in_flight_records_max=12)
        life.in_hand.take(records(*range(14)))
        assert life.in_hand.has_room()
        life.in_hand.take(records(14))
        room = []
        for offset in range(5):
            room.append(life.in_hand.has_room())
            await stage.end(offset)
        assert room == [False] * 4 + [True]


async def test_bytes_count_while_their_record_waits_and_then_as_outputs() -> None:
    stage = FakeStage({0})
    async with maker(stage) as make:
        life = await make(in_flight_bytes_max=1_000)
        life.in_hand.take([FakeRecord(0, value=b"!" * 5_000)])
        assert (life.in_hand.waiting_bytes, life.in_hand.has_room(), life.outbox.bytes) == (5_000, False, 0)
        await stage.end(0)
        await life.outbox.resolve()
        assert (life.in_hand.waiting_bytes, life.in_hand.has_room()) == (0, True)
        assert life.outbox.bytes > 0
        await life.batches()
        assert life.outbox.bytes == 0


async def test_a_second_life_attaches_to_the_calls_of_the_first_and_keeps_what_they_gave() -> None:
    """0 was in flight and 1 had ended when the first life failed; 2 was committed."""
    stage = FakeStage({0, 1, 2})
    async with maker(stage) as make:
        first = await make()
        first.in_hand.take(records(0, 1, 2))
        await stage.end(2)
        committed = first.in_hand.tracker.commit()
        assert committed is not None
        assert await first.published() == [2]
        await stage.end(1)
        first.in_hand.let_go()
        second = await make(Tracker.resume(*committed))
        second.in_hand.take(records(0, 1, 2))
        await settle()
        assert (await second.published(), stage.recalled) == ([1], [2])
        await stage.end(0)
        assert await second.published() == [0]
        assert stage.begun == [0, 1, 2], "none of them twice"
        assert await first.published() == [1], "what was ready when it failed, and nothing that ended later"


@pytest.mark.parametrize("is_slow_again", [True, False])
@pytest.mark.parametrize("wakes", ["before the record comes again", "after it"])
async def test_a_call_that_cannot_go_on_in_a_second_life_gives_what_the_record_comes_to_there(
    wakes: str, is_slow_again: bool
) -> None:
    class Forgetting(FakeStage):
        def _later(self, offset: int) -> Later:
            async def later() -> Outputs:
                self.begun.append(offset)
                if len(self.begun) > 1:
                    return outputs(offset)
                await self.slow[offset].wait()
                raise Forgotten

            return later

    stage = Forgetting({0})
    woken = stage.slow[0]
    async with maker(stage) as make:
        first = await make()
        first.in_hand.take(records(0))
        await settle()
        first.in_hand.let_go()
        if not is_slow_again:
            stage.slow.clear()
        if wakes != "after it":
            woken.set()
            await settle()
        second = await make()
        second.in_hand.take(records(0))
        woken.set()
        await settle()
        assert await second.published() == [0]
        assert len(stage.begun) == 1 + is_slow_again
        assert second.in_hand.waiting == 0


async def test_done_and_open_records_that_alternate_are_recalled_and_taken_in_their_order() -> None:
    stage = FakeStage({1, 3, 5})
    async with maker(stage) as make:
        life = await make(Tracker(1, 6, [1, 3, 5]))
        life.in_hand.take(records(*range(8)))
        await settle()
        assert (stage.recalled, stage.begun) == ([0, 2, 4], [1, 3, 5])
        assert await life.published() == [6, 7]


async def test_what_a_first_life_left_open_is_taken_record_by_record() -> None:
    """One output may stand for all that is ready in one batch: here some of it is ready and comes to nothing."""
    stage = FakeStage({1})
    async with maker(stage) as make:
        first = await make()
        first.in_hand.take(records(0, 1, 2))
        await settle()
        stage.taken.clear()
        second = await make()
        second.in_hand.take(records(0, 1, 2))
        second.in_hand.take(records(3, 4))
        assert stage.taken == [1, 1, 1, 2]


async def test_a_rejected_record_is_a_dead_letter() -> None:
    class Rejecting(FakeStage):
        def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
            return [Rejected("undecodable", "no text") for _ in records]

    async with maker(Rejecting(())) as make:
        life = await make()
        life.in_hand.take([FakeRecord(0, b"k", b"\xff")])
        (sealed,) = await life.batches()
        assert (sealed.topic, sealed.batch.values) == ("dead-letters", [b"\xff"])  # type: ignore[attr-defined]
        assert life.in_hand.tracker.commit() == (1, "")
