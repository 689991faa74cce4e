"""Triage of a stream that may take a day, as a process of its own, which a test kills at a point:
`python -m tests.kafka.batch_worker POLICY POINT`.

`asked`: a job has its records, and none of them is parked yet. `parked`: they are parked, and their job is under way.
`answered`: answers are here, and no decision is written. Prints a line when it stands still there.
"""

import asyncio
import functools
import os
import random
import sys
from pathlib import Path
from typing import Any

from processors.clock import SystemClock
from processors.gateway.batch_lane import Pace
from processors.gateway.gateway import Gateway
from processors.policy import Policy
from streams import pipeline, settings
from streams.settings import Runtime
from streams.stages import TriageStage
from topics.messages import Parked

POINTS = ("asked", "parked", "answered")
PACE = Pace(
    linger_s=0.1,
    poll_s_min=0.1,
    poll_s_max=0.3,
    stale_s=0.0,
    again_s_min=0.2,
    again_s_max=0.4,
    orphan_s=2.0,  # files tell their age in whole seconds
    adopt_s=0.3,
)


def stop_at(point: str) -> None:
    """Makes triage stand still there, record by record."""
    ask = TriageStage._ask

    async def stand_still() -> None:
        sys.stdout.write(f"{point}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    async def asking(self: TriageStage, *about: Any) -> Any:
        outputs = await ask(self, *about)
        if point == ("asked" if isinstance(outputs, Parked) else "answered"):
            await stand_still()
        if point == "parked" and isinstance(outputs, Parked):
            sys.stdout.write(f"{point}\n")
            sys.stdout.flush()
        return outputs

    TriageStage._ask = asking  # type: ignore[method-assign]


async def main(policy: Policy) -> None:
    pipeline.Gateway = functools.partial(Gateway, pace=PACE)  # type: ignore[misc,assignment]
    await pipeline.run(
        policy,
        ("triage",),
        runtime=Runtime(http_port=0),
        env=os.environ,
        clock=SystemClock(),
        rng=random.SystemRandom(),
        stop=asyncio.Event(),
    )


if __name__ == "__main__":
    stop_at(sys.argv[2])
    asyncio.run(main(settings.load(Path(sys.argv[1]))))
