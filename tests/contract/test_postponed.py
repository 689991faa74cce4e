"""Triage with the batch lane before the stand-in, over HTTP: messages of a day get their answers, whatever becomes of
their job."""

import asyncio
import random
import time
from collections import Counter

import pytest

from local.standin import Fault, StandIn, StandInSettings
from local.standin.faults import FaultKind
from processors.clock import SystemClock
from processors.errors import AnswerLater
from processors.gateway.gateway import Gateway
from processors.memory import Memory
from processors.policy import Policy
from processors.triage import Triage
from tests.contract.batching import batching
from tests.kafka import pipelines
from tests.unit.triage.build import item, stream
from topics.messages import Decision, Source, Spend


async def decided(models: Gateway, count: int) -> list[Decision]:
    """Of so many messages, each taken up again and again, as parked records are."""
    logs = stream(deadline="24h")
    policy = Policy(streams={"logs": logs})
    clock, rng = SystemClock(), random.Random(3)
    triage = Triage("logs", logs, policy, models, clock=clock, rng=rng, memory=Memory(), jobs=models)
    now_ms = round(time.time() * 1000)

    async def one(number: int) -> Decision:
        source = Source("syslog", 0, number, None, now_ms)
        message = item(f"worker {chr(97 + number)} is done", source=source, offset=number)
        while True:
            try:
                return (await triage.ask(message)).decision
            except AnswerLater as later:
                await asyncio.sleep(later.again_s)

    async with asyncio.timeout(30):
        decisions = await asyncio.gather(*map(one, range(count)))
    await triage.close()
    return decisions


@pytest.mark.parametrize(
    ("kind", "count", "lanes"),
    [
        (None, 0, {"batch": 16}),
        ("batch_line_error", 1, {"batch": 12, "flex": 4}),  # one request of four
        ("batch_expired", 1, {"batch": 8, "flex": 8}),  # half of its requests are done by then
        ("batch_refused", 1, {"batch": 16}),  # and made anew
        ("batch_invalid", None, {"flex": 16}),
    ],
)
async def test_each_message_is_answered_whatever_becomes_of_its_job(
    kind: FaultKind | None, count: int | None, lanes: dict[str, int]
) -> None:
    spends: list[Spend] = []
    with pipelines.errors() as errors:
        standin = StandIn(StandInSettings(latency_scale=0, flex_unavailable=0.0, errors=errors))
    async with standin, batching(standin, spends) as models:
        if kind is not None:
            standin.fault(Fault(kind=kind, count=count, status=400))
        decisions = await decided(models, 16)
        paid, cost = standin.paid(), standin.stats()["usd"] * 1e6
    assert Counter(decision.lane for decision in decisions) == lanes
    assert set(paid.values()) <= {1}
    assert sum(decision.cost_usd_micros for decision in decisions) == pytest.approx(cost, abs=len(decisions))
    assert sum(spend.usd_micros for spend in spends) == pytest.approx(cost, abs=len(spends))
