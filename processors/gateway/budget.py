"""Hard budgets: integer micro-dollars of one stream and clock hour, reserved before a call and settled after.

An hour's spending is that of the calls begun in it. It is counted in this process and starts anew with it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from processors.clock import Clock
from processors.errors import BudgetSpent, ProviderUnavailable
from processors.policy import Stream
from topics.limits import GATEWAY_QUEUE_MAX

HOUR_S = 3_600


class Budget:
    """One stream's money. No burst of concurrent calls can pass it: what is spent and reserved never exceeds it."""

    def __init__(self, stream: str, usd_per_hour: float, clock: Clock) -> None:
        self.limit_micros = int(usd_per_hour * 1_000_000)
        self.spent_micros = 0  # of the present hour
        self.reserved_micros = 0  # of the present hour
        self._stream = stream
        self._clock = clock
        self._hour = self._now_hour()
        self._turn = asyncio.Lock()  # waiters go in order
        self._waiting = 0
        self._settled = asyncio.Event()

    async def reserve(self, worst_micros: int) -> "Reservation":
        """The worst case of one call, set aside. Waits while only other calls' reservations stand in the way.

        Raises BudgetSpent where even their end would leave too little, ProviderUnavailable where too many wait.
        """
        if self._waiting >= GATEWAY_QUEUE_MAX:
            raise ProviderUnavailable(
                f"{self._waiting} calls of stream '{self._stream}' wait for its budget, the most allowed: try later"
            )
        self._waiting += 1
        try:
            async with self._turn:
                while not self._fits(worst_micros):
                    self._settled.clear()
                    await self._settled.wait()
                self.reserved_micros += worst_micros
                return Reservation(worst_micros, self, self._hour)
        finally:
            self._waiting -= 1

    def settle(self, reservation: "Reservation", cost_micros: int) -> None:
        """Turns a reservation into what the call cost. One of an hour that is over counts in that hour alone."""
        self._begin_hour()
        if reservation.hour == self._hour:
            self.reserved_micros -= reservation.worst_micros
            self.spent_micros += cost_micros
        self._settled.set()

    def _fits(self, worst_micros: int) -> bool:
        self._begin_hour()
        if self.spent_micros + worst_micros > self.limit_micros:
            rest_s = HOUR_S - self._clock.time() % HOUR_S
            limit, spent, worst = (n / 1e6 for n in (self.limit_micros, self.spent_micros, worst_micros))
            raise BudgetSpent(
                f"stream '{self._stream}' has spent ${spent:.6f} of its ${limit:.6f} this hour, and the next call may "
                f"cost ${worst:.6f}. Its intake goes on in {rest_s:.0f} s; to spend more, raise "
                f"streams.{self._stream}.budget.usd_per_hour",
                retry_after_s=rest_s,
            )
        return self.spent_micros + self.reserved_micros + worst_micros <= self.limit_micros

    def _begin_hour(self) -> None:
        if self._now_hour() != self._hour:
            self._hour = self._now_hour()
            self.spent_micros = self.reserved_micros = 0

    def _now_hour(self) -> int:
        return int(self._clock.time() // HOUR_S)


@dataclass(slots=True)
class Reservation:
    """Money set aside for one call. Left unsettled, it is given back whole."""

    worst_micros: int
    budget: Budget | None  # None: the stream has no budget
    hour: int = 0
    settled: bool = False

    def settle(self, cost_micros: int) -> None:
        if not self.settled:
            self.settled = True
            if self.budget is not None:
                self.budget.settle(self, cost_micros)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.settle(0)


class Budgets:
    """The budgets of a policy's streams."""

    def __init__(self, streams: Mapping[str, Stream], clock: Clock) -> None:
        self._of = {
            name: Budget(name, stream.budget.usd_per_hour, clock)
            for name, stream in streams.items()
            if stream.budget is not None
        }

    async def reserve(self, stream: str, worst_micros: int) -> Reservation:
        """As Budget.reserve; a stream without a budget is not bounded."""
        budget = self._of.get(stream)
        return Reservation(worst_micros, None) if budget is None else await budget.reserve(worst_micros)
