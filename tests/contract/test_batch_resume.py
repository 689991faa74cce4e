"""A worker killed at any point repeats no paid Batch job: the next one finds what is at the provider.

The worker is a process of its own and is killed with SIGKILL where it stands still. The provider, which counts what it
answers, goes on. Not shown here: a provider whose list of jobs lags behind what it has taken.
"""

import asyncio
import sys
from collections import Counter
from typing import Any

import orjson
import pytest

from local.standin import StandIn, StandInSettings
from tests.contract.batch_worker import POINTS
from tests.contract.batching import jobs

LINES = 12
SECONDS_MAX = 60.0


async def worker(standin: StandIn, point: str) -> list[dict[str, Any]]:
    """Runs one until it stands still at `point`, or to its end; kills it. What it told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.contract.batch_worker", standin.base_url, str(LINES), point),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    told: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(SECONDS_MAX):
            async for text in process.stdout:
                told.append(orjson.loads(text))
                if "at" in told[-1]:
                    break
    finally:
        process.kill()
        await process.wait()
    assert told, "it has said why on its standard error"
    return told


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_worker_is_followed_by_one_that_pays_nothing_twice(point: str) -> None:
    async with StandIn(StandInSettings(latency_scale=1, batch_seconds=1.5, flex_unavailable=0)) as standin:
        first = await worker(standin, point)
        assert first[-1] == {"at": point}
        second = await worker(standin, "none")
        paid, made = standin.paid(), jobs(standin)
        calls, cost = standin.stats()["calls"], standin.stats()["usd"] * 1e6
    assert second[-1] == {"at": "end"}
    assert {told["answer"]: told["lane"] for told in second if "answer" in told} == dict.fromkeys(range(LINES), "batch")
    assert Counter(paid.values()) == {1: LINES}
    assert calls == LINES  # nor by another lane
    assert len([job for job in made if job["request_counts"]["completed"]]) == 1
    entered = {told["spend"]: told["usd_micros"] for told in first + second if "spend" in told}
    assert len([told for told in first + second if "spend" in told]) == len(entered)  # nothing twice in the ledger
    if point in ("uploaded", "answered"):  # else the second worker's end may come before it takes the entry over
        assert sum(entered.values()) == pytest.approx(cost, abs=LINES)


@pytest.mark.slow
async def test_workers_killed_again_and_again_pay_nothing_twice() -> None:
    async with StandIn(StandInSettings(latency_scale=1, batch_seconds=1.5, flex_unavailable=0)) as standin:
        for point in ("uploaded", "sent", "polling", "completed", "answered"):
            await worker(standin, point)
        assert (await worker(standin, "none"))[-1] == {"at": "end"}
        assert Counter(standin.paid().values()) == {1: LINES}
        assert standin.stats()["calls"] == LINES
