"""The loop under the simulation: time that jumps, processes that freeze, and an end for everything."""

import asyncio
import random

import pytest

from tests.simulation.loop import Loop, Stuck


def loop(seed: int = 1, *, seconds_max: float = 100.0, steps_max: int = 10_000) -> Loop:
    return Loop(random.Random(seed), seconds_max=seconds_max, steps_max=steps_max)  # type: ignore[abstract]


def test_time_jumps_to_the_next_timer() -> None:
    an_hour = loop(seconds_max=4_000.0)
    an_hour.run_until_complete(an_hour.start("a", asyncio.sleep(3_600)))
    assert 3_600 <= an_hour.time() < 3_601


def test_handles_of_a_process_keep_their_order_and_those_of_two_are_interleaved_by_the_seed() -> None:
    def told(seed: int) -> str:
        of_seed, heard = loop(seed), list[str]()
        for process in "ab":
            for number in range(8):
                of_seed.call_soon(heard.append, f"{process}{number}", context=of_seed.context_of(process))
        of_seed.run_until_complete(of_seed.start("c", asyncio.sleep(1)))
        assert [each for each in heard if each[0] == "a"] == [f"a{number}" for number in range(8)]
        return " ".join(heard)

    assert told(1) == told(1)
    assert len({told(seed) for seed in range(10)}) > 5


def test_a_frozen_process_does_nothing_and_then_is_late() -> None:
    freezing, woke = loop(), list[float]()

    async def sleeper() -> None:
        await asyncio.sleep(1)
        woke.append(asyncio.get_running_loop().time())

    task = freezing.start("a", sleeper())
    freezing.freeze("a")
    freezing.call_later(5, freezing.thaw, "a")
    freezing.run_until_complete(task)
    assert 6 <= woke[0] < 6.01, "it had not even begun"


def test_what_never_ends_is_stuck_and_not_a_hang() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 that is the point
            await asyncio.sleep(0)

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    for coro, why in ((spin(), "0 steps before the bound"), (wait(), "nothing is left"), (asyncio.sleep(200), "200")):
        stuck = loop(seconds_max=100.0)
        task: asyncio.Task[None] = stuck.start("a", coro)
        with pytest.raises(Stuck, match=why):
            stuck.run_until_complete(task)
        stuck.bury()
        assert task.cancelled()


def test_a_burial_ends_frozen_tasks_that_have_work_to_do_at_their_end_and_tells_of_failures() -> None:
    burying, heard = loop(), list[str]()

    async def careful() -> None:
        try:
            await asyncio.sleep(50)
        finally:
            await asyncio.sleep(1)
            heard.append("done")

    async def fails() -> None:
        raise ValueError("nobody waits for this")

    burying.start("a", careful())
    burying.start("b", fails())
    burying.run_until_complete(burying.start("c", asyncio.sleep(1)))
    burying.freeze("a")
    burying.bury()
    assert heard == ["done"]
    assert len(burying.errors) == 1
    assert "nobody waits for this" in burying.errors[0]
