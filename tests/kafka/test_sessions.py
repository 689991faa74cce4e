"""Log lines that are judged by session, on a real broker: one Decision a line, one question a session, whoever dies."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.kafka import free_port
from local.standin import StandIn
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import SECONDS_MAX, drained, lag, until
from tests.kafka.pipelines import SLUICE, decisions, outside, read, stand_in
from topics.catalog import ESCALATIONS_MINI, SIGNALS, SPEND

LINES = 4  # of a whole session

_POLICY = """
[kafka]
prefix = "{prefix}"

[streams.logs]
kind = "log"
topics = ["{prefix}logs"]
batch = 1  # in company some are asked about twice, and the tests count
[streams.logs.session]
key = '(blk_\\d+)'
lines = {lines}
idle = "{idle}"
[streams.logs.labels.alert]
means = "A disk failure that an operator must see now"
severity = "critical"
escalate = "mini"
[streams.logs.labels.routine]
means = "Anything else: normal operation"
escalate = "never"
"""


def lines(block: int, numbers: Iterable[int], *, failing: bool = False) -> list[Send]:
    """Lines of a block that differ in their words, so that no two sessions are the same to memory."""
    said = "disk failure" if failing else "normal operation"
    word = "abcdefghij"[block % 10]
    return [
        Send(b"INFO node: %s %s of blk_%d" % (word.encode() * (n + 1), said.encode(), block), b"blk_%d" % block, 0)
        for n in numbers
    ]


async def prepared(bus: Bus) -> str:
    topic = bus.prefix + "logs"
    await bus.owned(inputs=[topic])
    return topic


@asynccontextmanager
async def worker(
    bus: Bus, provider: StandIn, folder: Path, *, idle: str = "1h"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`sluice run triage` as a process of its own, which the test ends."""
    (folder / "sluice.toml").write_text(_POLICY.format(prefix=bus.prefix, lines=LINES, idle=idle))
    env = outside(bus, provider.base_url) | {"SLUICE_HTTP_PORT": str(free_port())}
    log = folder / "worker.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            SLUICE, "run", "triage", cwd=folder, env=os.environ | env, stderr=stderr
        )
        try:
            await until(lambda: b'"running"' in log.read_bytes(), "the worker's start")
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), SECONDS_MAX)


async def decided(bus: Bus, count: int) -> dict[str, dict[str, object]]:
    async def there() -> bool:
        return len(await decisions(bus)) >= count

    await until(there, f"{count} decisions")
    return await decisions(bus)


async def test_each_line_has_its_decision_with_the_verdict_of_its_session(bus: Bus, tmp_path: Path) -> None:
    topic = await prepared(bus)
    async with stand_in() as provider, worker(bus, provider, tmp_path, idle="1s"):
        whole, failing, quiet = lines(1, range(4)), lines(2, range(4), failing=True), lines(3, range(2))
        mixed = [each for three in zip(whole, failing, strict=True) for each in three]
        await bus.produce(topic, [*mixed, *quiet, Send(b"normal operation of nothing", None, 0)])
        by_id = await decided(bus, 11)
        assert Counter((d["session"], d["label"]) for d in by_id.values()) == {
            ("blk_1", "routine"): 4,
            ("blk_2", "alert"): 4,
            ("blk_3", "routine"): 2,
            (None, "routine"): 1,
        }
        for session in ("blk_1", "blk_2", "blk_3"):
            said = [d for d in by_id.values() if d["session"] == session]
            assert len({(d["confidence"], d["severity"], d["decided_by"]) for d in said}) == 1
        (escalation,) = await read(bus, ESCALATIONS_MINI)
        assert (escalation["id"], escalation["session"]) == (f"{topic}/0/7", "blk_2"), "of its last line"
        assert [d["id"] for d in by_id.values() if d["escalated_to"]] == [f"{topic}/0/7"]
        (signal,) = await read(bus, SIGNALS)
        assert signal["count"] == 1

        async def paid() -> bool:
            return sum(each["messages"] for each in await read(bus, SPEND)) >= 4

        await until(paid, "the spend records")
        spend = await read(bus, SPEND)
        assert sum(each["messages"] for each in spend) == 4, "three sessions and a line alone"
        total = sum(each["usd_micros"] for each in spend)
        assert abs(sum(d["cost_usd_micros"] for d in by_id.values()) - total) < 1


@pytest.mark.slow
async def test_a_kill_repeats_nothing_and_loses_nothing_and_a_session_climbs_once(bus: Bus, tmp_path: Path) -> None:
    topic = await prepared(bus)
    async with stand_in() as provider:
        async with worker(bus, provider, tmp_path) as killed:
            begun = [*lines(5, range(2), failing=True), *lines(6, range(1))]
            await bus.produce(topic, [*begun[:1], *lines(4, range(4), failing=True), *begun[1:]])
            await decided(bus, 4)
            killed.kill()
        assert await lag(bus, topic) == 7, "what is open holds the offset back"
        async with worker(bus, provider, tmp_path):
            await bus.produce(topic, [*lines(5, range(2, 4), failing=True), *lines(6, range(1, 4))])
            by_id = await decided(bus, 12)
            await drained(bus, topic)
    assert Counter((d["session"], d["label"]) for d in by_id.values()) == {
        ("blk_4", "alert"): 4,
        ("blk_5", "alert"): 4,
        ("blk_6", "routine"): 4,
    }
    assert Counter(e["session"] for e in await read(bus, ESCALATIONS_MINI)) == {"blk_4": 1, "blk_5": 1}
    assert Counter(s["id"] for s in await read(bus, SIGNALS)).total() == 2
    spend = await read(bus, SPEND)
    assert sum(each["messages"] for each in spend) == 3, "no session was asked about twice"


async def test_a_worker_that_stops_leaves_open_sessions_to_the_next(bus: Bus, tmp_path: Path) -> None:
    topic = await prepared(bus)
    async with stand_in() as provider:
        async with worker(bus, provider, tmp_path) as stopped:
            await bus.produce(topic, [*lines(7, range(4)), *lines(8, range(3))])
            await decided(bus, 4)
            stopped.terminate()
            assert await asyncio.wait_for(stopped.wait(), SECONDS_MAX) == 0
        assert await lag(bus, topic) == 3
        async with worker(bus, provider, tmp_path):
            await bus.produce(topic, lines(8, range(3, 4)))
            by_id = await decided(bus, 8)
    assert Counter(d["session"] for d in by_id.values()) == {"blk_7": 4, "blk_8": 4}
