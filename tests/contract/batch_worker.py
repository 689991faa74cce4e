"""A worker of the batch lane as a process of its own, which a test kills: `python -m tests.contract.batch_worker`.

Asks for every line until all are answered. Prints a JSON line for each thing that happens: where it stands still, each
spend record, each answer.
"""

import asyncio
import random
import sys
from dataclasses import dataclass
from typing import Any

import orjson

from processors.asking import Answer, Waiting
from processors.gateway.batch_api import BatchApi
from tests.contract.batching import batching, line
from topics.messages import Spend

POINTS = ("uploaded", "sent", "created", "polling", "completed", "settled", "answered")


@dataclass(frozen=True, slots=True)
class Server:
    base_url: str


def tell(**told: Any) -> None:
    sys.stdout.write(orjson.dumps(told).decode() + "\n")
    sys.stdout.flush()


async def stand_still(point: str) -> None:
    """Until somebody kills this process."""
    tell(at=point)
    await asyncio.Event().wait()


def stop_at(point: str) -> None:
    """Makes the lane stand still there."""
    upload, create, delete, jobs = BatchApi.upload, BatchApi.create, BatchApi.delete, BatchApi.jobs

    async def uploading(self: BatchApi, name: str, data: bytes) -> Any:
        uploaded = await upload(self, name, data)
        if point == "uploaded":
            await stand_still(point)
        return uploaded

    async def creating(self: BatchApi, file_id: str, metadata: Any) -> Any:
        if point == "sent":  # the request is on its way when the process dies
            asyncio.get_running_loop().create_task(create(self, file_id, metadata))
            await asyncio.sleep(0.002)
            await stand_still(point)
        job = await create(self, file_id, metadata)
        if point == "created":
            await stand_still(point)
        return job

    async def looking(self: BatchApi, since_s: float) -> Any:
        found = await jobs(self, since_s)
        if point == "polling" and any(job.status == "in_progress" for job in found):
            await stand_still(point)
        if point == "completed" and any(job.status == "completed" for job in found):
            await stand_still(point)
        return found

    async def deleting(self: BatchApi, file_id: str) -> bool:
        done = await delete(self, file_id)
        if point == "settled":
            await stand_still(point)
        return done

    BatchApi.upload, BatchApi.create = uploading, creating  # type: ignore[method-assign]
    BatchApi.delete, BatchApi.jobs = deleting, looking  # type: ignore[method-assign]


async def main(base_url: str, lines: int, point: str) -> None:
    stop_at(point)

    class Told(list[Spend]):
        def append(self, spend: Spend) -> None:
            tell(spend=spend.call_id, lane=spend.lane, usd_micros=spend.usd_micros)

    async def one(number: int) -> None:
        while isinstance(got := await models.later(line(number)), Waiting):  # noqa: ASYNC110 - as parked records do
            await asyncio.sleep(got.again_s)
        assert isinstance(got, Answer)
        if point == "answered":
            await stand_still(point)  # the answer is here and nobody has used it
        tell(answer=number, lane=got.lane)

    async with batching(Server(base_url), Told(), seed=random.SystemRandom().getrandbits(32)) as models:
        await asyncio.gather(*map(one, range(lines)))
        tell(at="end")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
