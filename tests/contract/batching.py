"""The batch lane before the stand-in: what its tests share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from processors.asking import Answer, Ask, Waiting
from processors.gateway.batch_lane import Pace
from processors.gateway.gateway import Gateway
from tests.unit.gateway.provider import Serving, ask, gateway, laned
from topics.messages import Spend

if TYPE_CHECKING:
    from local.standin import StandIn

DAY_S = 24 * 3600.0
QUICK = Pace(
    linger_s=0.05,
    poll_s_min=0.05,
    poll_s_max=0.2,
    stale_s=0.0,
    again_s_min=0.05,
    again_s_max=0.1,
    orphan_s=2.0,  # files tell their age in whole seconds
    adopt_s=0.3,
    cancel_s=1800.0,
)


def batching(server: Serving, spends: list[Spend], **more: Any) -> Gateway:
    return gateway(server, spends, **({"pace": QUICK} | laned(server, "realtime", "flex", "batch") | more))


def line(number: int, **more: Any) -> Ask:
    """One log line's ask, the same for the same number."""
    return ask(f"line {number}", **({"deadline_s": DAY_S, "key": f"logs.in/0/{number}"} | more))


async def answered(models: Gateway, asked: Ask, seconds: float = 20.0) -> Answer:
    """Asks again and again, as parked records do."""
    async with asyncio.timeout(seconds):
        while True:
            match await models.later(asked):
                case Answer() as answer:
                    return answer
                case Waiting(again_s=again_s):
                    await asyncio.sleep(again_s)


def jobs(standin: StandIn) -> list[dict[str, Any]]:
    """As the provider has them, the newest first."""
    return list(standin._service.batches.page({})["data"])
