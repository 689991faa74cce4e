"""Records that get their results together: all in one transaction or none, and none of it outlives an assignment."""

import asyncio
from collections.abc import Sequence

from streams.engine.stage import Gathering, Together
from streams.engine.tracker import Tracker
from tests.fakes import settle
from tests.unit.engine.test_in_hand import FakeStage, Life, maker, outputs, records
from topics import limits
from topics.messages import Rejected
from topics.records import Record


class Sessions(FakeStage):
    """Even offsets gather, odd ones are ready. The test closes what is open."""

    def __init__(self) -> None:
        super().__init__(())
        self.open = Gathering(self)
        self.joined: list[int] = []
        self.answered = asyncio.Event()
        self.asked = self.looked = self.relieved = 0

    def take(self, records: Sequence[Record]) -> Sequence[object]:  # type: ignore[override]
        self.joined += [r.offset for r in records if r.offset % 2 == 0]
        return [self.open if r.offset % 2 == 0 else outputs(r.offset) for r in records]

    def close(self, *, free: bool = False) -> None:
        closed, self.open = self.open, Gathering(self)
        joined, self.joined = self.joined, []
        together = Together([outputs(offset) for offset in joined])  # type: ignore[misc]

        async def ask() -> Together:
            self.asked += 1
            await self.answered.wait()
            return together

        closed.close(together if free else ask, len(joined))

    def look(self) -> None:
        self.looked += 1

    def relieve(self) -> None:
        self.relieved += 1
        if self.joined:
            self.close()


async def test_nothing_is_done_until_it_is_closed_and_then_one_question_answers_for_all() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        life = await make()
        life.in_hand.take(records(0, 1, 2, 3, 4))
        assert await life.published() == [1, 3]
        assert life.in_hand.tracker.commit() == (0, Tracker(0, 5, [0, 2, 4]).commit()[1])  # type: ignore[index]
        assert (life.in_hand.waiting, life.in_hand.open) == (3, 3)
        stage.close()
        await settle()
        assert (stage.asked, life.in_hand.open, await life.published()) == (1, 0, [])
        stage.answered.set()
        await settle()
        assert await life.published() == [0, 2, 4], "in one transaction"
        assert life.in_hand.tracker.commit() == (5, "")
        assert life.in_hand.waiting == 0


async def test_what_is_known_already_is_published_at_once_also_for_records_that_are_just_taken() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        life = await make()
        life.in_hand.take(records(0))
        stage.joined.append(2)
        closed = stage.open
        closed.close(Together([outputs(0), outputs(2)]), 2)  # type: ignore[list-item]
        assert await life.published() == [], "one of its records has not come"
        life.in_hand.take(records(1, 2))
        assert await life.published() == [1, 0, 2]
        assert life.in_hand.tracker.commit() == (3, "")


async def test_a_new_life_takes_all_of_it_again_and_nothing_of_the_old_question_comes() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        first = await make()
        first.in_hand.take(records(0, 1, 2))
        stage.close()
        await settle()
        assert await first.published() == [1]
        commit = first.in_hand.tracker.commit()
        assert commit is not None
        first.in_hand.let_go()
        second = await make(Tracker.resume(*commit))
        second.in_hand.take(records(0, 1, 2))
        stage.answered.set()
        await settle()
        assert await second.published() == []
        assert (stage.joined, stage.recalled) == ([0, 2], [1])
        stage.close()
        await settle()
        assert (await second.published(), stage.asked) == ([0, 2], 2)


async def test_what_was_answered_and_not_committed_is_asked_again() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        first = await make()
        first.in_hand.take(records(0, 1, 2))
        stage.close()
        stage.answered.set()
        await settle()
        first.in_hand.let_go()  # its transaction failed
        second = await make()
        second.in_hand.take(records(0, 1, 2))
        await settle()
        assert await second.published() == [1]
        stage.close()
        await settle()
        assert await second.published() == [0, 2]


async def test_a_question_that_fails_for_good_rejects_every_record() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        life = await make()
        life.in_hand.take(records(0, 1, 2))
        rejected = Rejected("internal", "no")
        stage.open.close(Together([rejected, rejected]), 2)
        await life.outbox.resolve()
        topics = [sealed.topic for sealed in life.outbox.take()]
        assert sorted(topics) == ["dead-letters", "out"]
        assert life.in_hand.tracker.commit() == (3, "")


async def test_open_records_take_no_place_of_calls() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        life = await make(in_flight_records_max=4)
        life.in_hand.take(records(*range(0, 40, 2)))
        assert life.in_hand.has_room()
        assert stage.relieved == 0


async def test_where_no_commit_could_name_more_the_stage_has_to_close_some() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        life = await make()
        while life.in_hand.has_room() and not stage.relieved:
            start = life.in_hand.position + life.in_hand.position % 2
            life.in_hand.take(records(*range(start, start + 2 * limits.POLL_RECORDS_MAX, 2)))
        assert stage.relieved == 1
        assert life.in_hand.tracker.commit() is not None
        await settle()
        stage.answered.set()
        await settle()
        assert life.in_hand.has_room()


async def test_time_is_told_to_who_keeps_something_open() -> None:
    stage = Sessions()
    async with maker(stage) as make:
        life: Life = await make()
        life.in_hand.look()
        assert stage.looked == 0
        life.in_hand.take(records(0))
        life.in_hand.look()
        assert stage.looked == 1
