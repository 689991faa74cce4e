"""Clocks for tests: time that passes only when a test says so, or when nobody has anything else to do."""

import asyncio
import heapq
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

FULL_HOUR_S = 1_800_000_000.0


class TickingClock:
    """Every sleep ends at once and moves the time on."""

    def __init__(self, time_s: float = FULL_HOUR_S) -> None:
        self._began_s = time_s
        self._now_s = 0.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self._began_s + self._now_s

    def monotonic(self) -> float:
        return self._now_s

    def move(self, seconds: float) -> None:
        self._now_s += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.slept.append(seconds)
        self.move(seconds)


class VirtualClock(TickingClock):
    """Sleepers wake in the order of their time; it jumps to the next one once every task waits."""

    def __init__(self, time_s: float = FULL_HOUR_S) -> None:
        super().__init__(time_s)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    async def sleep(self, seconds: float) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._order), wake))
        await wake

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` to its end. Fails where everybody waits and nobody for the time."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.sleep(0)
            if asyncio.get_running_loop()._ready:  # type: ignore[attr-defined]
                continue
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)  # cancelled
            if task.done():
                break
            assert self._sleepers, "everybody waits for somebody else"
            wake_s, _, wake = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, wake_s)
            wake.set_result(None)
        return await task
