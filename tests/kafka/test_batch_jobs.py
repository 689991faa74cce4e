"""A stream that may take a day is decided through Batch jobs, many messages a request, and nothing is paid twice."""

import asyncio
import functools
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.standin import StandIn, StandInSettings
from processors import batching
from processors.gateway.batch_lane import Pace
from processors.gateway.gateway import Gateway
from processors.gateway.prices import BUILT_IN
from processors.policy import Policy
from streams import pipeline, settings
from tests.contract.batching import jobs
from tests.kafka import batch_worker, pipelines
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import drained, until
from topics.catalog import PARKED, SPEND
from topics.messages import Tokens

QUICK = Pace(  # of the quick clock, but for what is told in the provider's or Kafka's own time
    linger_s=3.0,
    poll_s_min=3.0,
    poll_s_max=10.0,
    stale_s=0.0,
    again_s_min=0.2,
    again_s_max=0.4,
    orphan_s=2.0,
    adopt_s=0.3,
)
_POLICY = """
[kafka]
prefix = "{prefix}"
[providers.openai]
lanes = ["realtime", "flex", "batch"]
[streams.logs]
kind = "log"
topics = ["{prefix}logs"]
deadline = "24h"
batch = 16
[streams.logs.labels.alert]
means = "A disk failure that an operator must see now"
[streams.logs.labels.delay]
means = "Slow replication or a long queue"
[streams.logs.labels.routine]
means = "Anything else: normal operation"
"""


def policy(bus: Bus, folder: Path) -> tuple[Policy, Path]:
    path = folder / "sluice.toml"
    path.write_text(_POLICY.format(prefix=bus.prefix))
    return settings.parse(path.read_text(), path), path


@asynccontextmanager
async def provider(batch_seconds: float, clock: pipelines.QuickClock | None = None) -> AsyncIterator[StandIn]:
    """Whose answers never err, and whose flex always has room."""
    with pipelines.errors() as errors:
        told = StandInSettings(errors=errors, batch_seconds=batch_seconds, flex_unavailable=0.0, key=pipelines.KEY)
        async with StandIn(told, clock) if clock is not None else StandIn(told) as standin:
            yield standin


async def lines(bus: Bus, count: int) -> dict[int, str]:
    """As many different lines, two thirds of them routine, on the topic of `logs`; gives the label of each."""
    await bus.owned(partitions=2, inputs=[bus.prefix + "logs"])
    words = {"alert": "disk failure on node%s", "delay": "queue of worker %s is long", "routine": "user %s signed in"}
    labels = ("routine", "alert", "routine", "delay", "routine", "routine")
    told = {number: labels[number % 6] for number in range(count)}
    names = ["".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in told]
    texts = [words[label] % name for label, name in zip(told.values(), names, strict=True)]
    await bus.produce(bus.prefix + "logs", [Send(text.encode(), partition=0) for text in texts])
    return told


async def test_a_days_messages_are_decided_through_jobs_at_half_the_price(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "Gateway", functools.partial(Gateway, pace=QUICK))
    monkeypatch.setattr(batching, "BATCH_LINGER_SECONDS_MAX", 600.0)  # the quick clock's: a slow broker splits no batch
    wanted, (rules, _) = await lines(bus, 160), policy(bus, tmp_path)
    async with provider(60.0, pipelines.QuickClock()) as standin:
        async with pipelines.running(bus, standin.base_url, rules=rules):
            await until(lambda: jobs(standin), "a job")
            await drained(bus, bus.prefix + "logs")
            assert await bus.values(bus.names.topic(PARKED)), "what waits for a job waits on the topic"

            async def all_decided() -> bool:
                return len(await pipelines.decisions(bus)) == len(wanted)

            await until(all_decided, "all decisions")
        paid, made, cost = standin.paid(), jobs(standin), standin.stats()["usd"] * 1e6
    decisions = await pipelines.decisions(bus)
    assert {one["source"]["offset"]: one["label"] for one in decisions.values()} == wanted
    assert Counter((one["decided_by"], one["lane"]) for one in decisions.values()) == {("nano", "batch"): 160}
    assert {one["source"]["topic"] for one in decisions.values()} == {bus.prefix + "logs"}, "under their own names"
    assert Counter(one["batch_size"] for one in decisions.values()) == {16: 160}
    assert Counter(paid.values()) == {1: 10}, "ten requests, each answered once"
    assert sum(job["request_counts"]["total"] for job in made) == 10
    spent = await pipelines.read(bus, SPEND)
    by_job = [one for one in spent if one["lane"] == "batch"]
    assert {one["call_id"]: one["messages"] for one in by_job} == dict.fromkeys(paid, 16)
    price = BUILT_IN["gpt-5.4-nano"]
    for one in by_job:
        assert one["usd_micros"] == pytest.approx(price.cost_micros(Tokens(**one["tokens"])) / 2, abs=1)
    assert {one["lane"] for one in spent} <= {"batch", "flex"}, "the least sure get a second vote by flex"
    assert sum(one["cost_usd_micros"] for one in decisions.values()) == pytest.approx(
        sum(one["usd_micros"] for one in spent), rel=0.01
    )
    assert sum(one["usd_micros"] for one in spent) == pytest.approx(cost, abs=len(spent))
    assert await pipelines.dead_letters(bus) == {}


async def killed_at(point: str, path: Path, env: dict[str, str]) -> None:
    """Runs a worker until it stands still there, or its job is under way; kills it."""
    with (path.parent / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.kafka.batch_worker", path, point),
            env=os.environ | env,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (told := (await process.stdout.readline()).decode().strip()) != point:
                assert process.returncode is None and told, (path.parent / "worker.log").read_text()  # noqa: PT018
            await asyncio.sleep(1.0)  # more than the lane's linger: the job is made, and what is parked committed
    finally:
        process.kill()
        await process.wait()


@pytest.mark.slow
async def test_workers_killed_at_every_point_pay_no_request_twice(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each next one waits until the broker has given up the killed one, ten seconds."""
    wanted, (rules, path) = await lines(bus, 96), policy(bus, tmp_path)
    monkeypatch.setattr(pipeline, "Gateway", functools.partial(Gateway, pace=QUICK))
    async with provider(20.0) as standin:
        env = pipelines.outside(bus, standin.base_url)
        for point in batch_worker.POINTS:
            await killed_at(point, path, env)
            assert sum(job["request_counts"]["total"] for job in jobs(standin)) == 6, point
            parked = await bus.values(bus.names.topic(PARKED))
            assert bool(parked) == (point != "asked")
            assert await pipelines.decisions(bus) == {}
        async with pipelines.running(bus, standin.base_url, rules=rules):

            async def all_decided() -> bool:
                return len(await pipelines.decisions(bus)) == len(wanted)

            await until(all_decided, "all decisions")
            await drained(bus, bus.names.topic(PARKED))
        paid = standin.paid()
    decisions = await pipelines.decisions(bus)
    assert {one["source"]["offset"]: one["label"] for one in decisions.values()} == wanted
    assert Counter(paid.values()) == {1: 6}
    # What the last of them had learnt when it was killed is known to the next, for nothing.
    assert {(one["decided_by"], one["lane"]) for one in decisions.values()} <= {("nano", "batch"), ("memory", None)}
