"""A group that ends takes no more work, and nobody is left to await it."""

import asyncio
import gc
import warnings

import pytest

from streams.engine.tasks import spawn


async def test_what_is_started_in_a_group_is_awaited_by_it() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("done")

    async with asyncio.TaskGroup() as tasks:
        assert spawn(tasks, work(), "work") is not None
    assert done == ["done"]


async def test_a_group_that_aborts_takes_nothing_and_leaves_no_coroutine_behind() -> None:
    async def work() -> None:
        raise AssertionError("it must not run")

    async def fail_and_rebalance(tasks: asyncio.TaskGroup) -> None:
        try:
            await asyncio.sleep(60)
        finally:  # the group is aborting now, as when a worker is cancelled in the middle of a rebalance
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert spawn(tasks, work()) is None
                gc.collect()

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail_and_rebalance(tasks))
            await asyncio.sleep(0)
            raise ValueError

    with pytest.raises(ExceptionGroup):
        await run()
