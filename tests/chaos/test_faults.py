"""What a team does to its workers without meaning to, done on purpose, on a real Kafka with real processes.

Every trial ends with the same verdict: each record has exactly one decision or dead letter, keys keep their order where
the trial asks for it, the lag is zero, and no call was made again but those in flight.
"""

import asyncio
import time

import pytest

from local.kafka import LocalKafka
from tests.chaos import journal
from tests.chaos.conftest import Begin, Judge
from tests.chaos.trial import TRANSACTION_TIMEOUT_S, Plan

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]

ONE_A_PARTITION = {"producers_max": 8}  # else a worker's partitions share a few


async def test_twenty_kills(begin: Begin, judge: Judge) -> None:
    async with begin(Plan(records=80_000, seconds=60, order="key", settings=ONE_A_PARTITION)) as trial:
        fleet = trial.fleet
        for _ in range(3):
            await fleet.start()
        for number in range(20):
            if number % 2:  # else it may meet a group that is still busy with the last one
                await fleet.serving()
            await trial.pause(0.0, 3.0)
            await fleet.kill(trial.rng.choice(fleet.running))
            await fleet.start()
        counts = await trial.verdict()
    judge(counts)
    assert counts.faults["killed"] == 20


async def test_a_worker_that_wakes_up_while_its_successor_works(begin: Begin, judge: Judge) -> None:
    async with begin(Plan(records=40_000, seconds=45, order="key", settings=ONE_A_PARTITION)) as trial:
        fleet = trial.fleet
        for _ in range(2):
            await fleet.start()
        for number in range(6):
            await fleet.serving()
            await trial.pause(0.5, 1.0)
            if number % 2:
                async with fleet.transaction_held() as zombie:
                    await fleet.freeze(zombie)
            else:
                zombie = trial.rng.choice(fleet.running)
                await fleet.freeze(zombie)
            await fleet.serving()  # the other has all its partitions
            await trial.pause(0.2, 1.0)
            fleet.wake(zombie)
        await fleet.serving()
        counts = await trial.verdict()
    judge(counts)
    assert counts.faults["frozen"] == 6
    assert counts.faults["in a transaction"] >= 3


async def test_a_broker_that_dies_in_the_middle_of_a_transaction(begin: Begin, judge: Judge, kafka: LocalKafka) -> None:
    async with begin(Plan(records=30_000, seconds=35)) as trial:
        fleet = trial.fleet
        for _ in range(2):
            await fleet.start()
        await fleet.serving()
        async with fleet.transaction_held():
            await asyncio.to_thread(kafka.kill)
        await asyncio.sleep(TRANSACTION_TIMEOUT_S)  # no session and no transaction lasts so long
        await asyncio.to_thread(kafka.restart)
        await fleet.serving()
        async with fleet.transaction_held():
            await asyncio.to_thread(kafka.restart)  # in order
        counts = await trial.verdict()
    judge(counts, "broker killed for 5 s in a transaction, and restarted in one")


async def test_workers_that_come_and_go(begin: Begin, judge: Judge) -> None:
    async with begin(Plan(records=50_000, seconds=40, order="key")) as trial:
        fleet = trial.fleet
        await fleet.start()
        ended = 0
        for _ in range(16):
            await trial.pause(1.0, 3.0)
            if len(fleet.running) == 1 or (len(fleet.running) < 4 and trial.rng.random() < 0.4):
                await fleet.start()
            elif trial.rng.random() < 0.5:
                await fleet.kill(trial.rng.choice(fleet.running))
            else:
                await fleet.end(trial.rng.choice(fleet.running))
                ended += 1
        counts = await trial.verdict()
    judge(counts, f"{ended} ended")
    assert min(counts.faults["killed"], ended) > 0


async def test_a_model_that_is_down_for_a_minute(begin: Begin, judge: Judge) -> None:
    async with begin(Plan(records=20_000, seconds=60)) as trial:
        fleet = trial.fleet
        for _ in range(2):
            await fleet.start()
        await fleet.serving()
        with fleet.model_down():
            await asyncio.sleep(60)
            held = [journal.last(fleet.folder, name, "health") for name in fleet.running]
        back = time.monotonic()
        counts = await trial.verdict()
        seconds = time.monotonic() - back
    judge(counts, f"model down for 60 s, all done {seconds:.0f} s after")
    assert {entry.call for entry in held if entry is not None} == {"provider_unavailable"}, "intake was held"


async def test_at_least_once_loses_nothing(begin: Begin, judge: Judge) -> None:
    plan = Plan(records=20_000, seconds=15, settings={"delivery": "at_least_once"}, exactly_once=False)
    async with begin(plan) as trial:
        fleet = trial.fleet
        for _ in range(2):
            await fleet.start()
        for _ in range(4):
            await fleet.serving()
            await trial.pause(0.5, 2.0)
            await fleet.kill(trial.rng.choice(fleet.running))
            await fleet.start()
        counts = await trial.verdict()
    judge(counts)


async def test_many_partitions_that_share_a_producer(begin: Begin, judge: Judge) -> None:
    async with begin(Plan(records=40_000, seconds=90, partitions=24, order="key")) as trial:
        fleet = trial.fleet
        for _ in range(2):
            await fleet.start()
        for number in range(8):
            await fleet.serving()
            await trial.pause(0.5, 1.5)
            if number % 2:
                await fleet.kill(trial.rng.choice(fleet.running))
                await fleet.start()
            else:
                async with fleet.transaction_held() as zombie:
                    await fleet.freeze(zombie)
                await fleet.serving()
                fleet.wake(zombie)
        counts = await trial.verdict()
    judge(counts)
    assert (counts.faults["killed"], counts.faults["frozen"]) == (4, 4)
