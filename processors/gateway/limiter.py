"""Keeps the calls of one model at one provider inside the provider's limits, which it learns from the answers.

Two things bound what is sent. Buckets of requests and tokens mirror the provider's own, where it tells them in headers.
A window of calls in flight, grown and cut as TCP does, holds from the first call on and is all there is for others.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from processors.clock import Clock
from processors.errors import ProviderUnavailable
from processors.gateway.headers import RESOURCES, Resource, Told, told
from processors.gateway.refusals import Trouble
from topics.limits import CALLS_IN_FLIGHT_FIRST, CALLS_IN_FLIGHT_MAX, GATEWAY_QUEUE_MAX

MINUTE_S = 60.0  # limits are per minute unless filling them takes longer
BURST_S = 0.5  # a minute's limit is enforced over as little as a second; half of it is left for jitter on the way
SLOW_GROWTH = math.log(1.5) / 900  # after `slow_down`: at most half as much again in 15 minutes (the provider's rule)


@dataclass(frozen=True, slots=True)
class Place:
    """One call's admission. `sent` are the totals up to and with it, to tell what was sent after it."""

    at_s: float
    sent: Mapping[Resource, float]


@dataclass(slots=True)
class _Bucket:
    """One limit of the provider's: fills continuously, is charged when a call is sent. Unbounded until it is told.

    Within the limit calls are paced to its rate (the generic cell rate algorithm): a minute's worth never goes at once.
    """

    at_s: float
    limit: float = math.inf
    level: float = math.inf
    rate: float = math.inf  # a second
    paced_until_s: float = 0.0  # when all that was sent is due at the limit's rate
    sent: float = 0.0  # ever
    newest: float = -1.0  # `sent` of the latest call whose answer was heeded

    def fill(self, now_s: float) -> None:
        if self.limit < math.inf:
            self.level = min(self.limit, self.level + (now_s - self.at_s) * self.rate)
        self.at_s = now_s

    def wait_s(self, need: float) -> float:
        """Until `need` is there. What is larger than the whole limit waits for the whole limit."""
        if self.limit == math.inf:
            return 0.0
        filled_s = (min(need, self.limit) - self.level) / self.rate
        due_s = self.paced_until_s - self.at_s - max(0.0, BURST_S - need / self.rate)
        wait_s = max(filled_s, due_s)
        return wait_s if wait_s > 1e-6 else 0.0

    def take(self, need: float) -> None:
        self.sent += need
        self.level -= need
        self.paced_until_s = max(self.paced_until_s, self.at_s) + need / self.rate

    def learn(self, said: Told, sent: float, call_s: float) -> None:
        """Corrects the bucket by an answer to the call that made the total `sent`, asked `call_s` ago.

        The provider counted somewhere between our sending and its answering. So its level is now at least what
        remained less everything sent since, and at most what remained plus a refill over the call's duration.
        """
        if sent < self.newest:
            return  # an older call's answer: what it says of the level is out of date
        self.newest = sent
        first, self.limit = self.limit == math.inf, said.limit
        used = said.limit - said.remaining
        slower = said.reset_s is not None and said.reset_s > MINUTE_S and used > 0
        self.rate = used / said.reset_s if slower and said.reset_s else said.limit / MINUTE_S
        low = said.remaining - (self.sent - sent)
        high = said.remaining + self.rate * call_s
        if first:
            self.level = low
            self.paced_until_s = self.at_s - call_s + self.sent / self.rate  # what went before the rate was known
        else:
            self.level = min(self.limit, max(low, min(self.level, high)))


class _Growth(Enum):
    """How the window grows with answered calls."""

    DOUBLING = "by one a call: twice as wide every round"
    LINEAR = "by one a round, once the server was seen at its end"
    SLOW = "by time, as a server demands that said slow_down"


@dataclass(slots=True)
class _Window:
    """How many calls may be in flight."""

    at_s: float  # of the last change
    size: float = CALLS_IN_FLIGHT_FIRST
    growth: _Growth = _Growth.DOUBLING

    def grow(self, now_s: float) -> None:
        match self.growth:
            case _Growth.DOUBLING:
                grown = self.size + 1
            case _Growth.LINEAR:
                grown = self.size + 1 / self.size
            case _Growth.SLOW:
                grown = self.size * math.exp(SLOW_GROWTH * (now_s - self.at_s))
        self.size, self.at_s = min(grown, CALLS_IN_FLIGHT_MAX), now_s

    def cut(self, in_flight: int, growth: _Growth, now_s: float) -> None:
        self.size = max(1.0, min(self.size, in_flight) / 2)
        self.growth, self.at_s = growth, now_s


@dataclass(slots=True)
class Limiter:
    """One model's limits. Calls are admitted in the order in which they came."""

    name: str  # for messages: provider and model
    clock: Clock
    in_flight: int = 0
    waiting: int = 0
    _buckets: dict[Resource, _Bucket] = field(init=False)
    _window: _Window = field(init=False)
    _frozen_until_s: float = 0.0
    _cut_at_s: float = -math.inf
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        now_s = self.clock.monotonic()
        self._buckets = {resource: _Bucket(now_s) for resource in RESOURCES}
        self._window = _Window(now_s)

    async def admit(self, tokens: int) -> Place:
        """Waits until one request with `tokens` fits, and charges both. Every place has to be left again (`leave`).

        Raises ProviderUnavailable where too many wait. Cancelled, it charges nothing.
        """
        if self.waiting >= GATEWAY_QUEUE_MAX:
            raise ProviderUnavailable(
                f"{self.waiting} calls wait for the limits of {self.name}, the most allowed: try later"
            )
        self.waiting += 1
        try:
            async with self._turn:
                while (delay_s := self._delay_s(tokens)) > 0:
                    await self._change_or(delay_s)
                self.in_flight += 1
                self._buckets["requests"].take(1)
                self._buckets["tokens"].take(tokens)
        finally:
            self.waiting -= 1
        return Place(self.clock.monotonic(), {resource: bucket.sent for resource, bucket in self._buckets.items()})

    def leave(self, place: Place, headers: Mapping[str, str] | None) -> None:
        """The call is over; `headers` of its answer, None where there was none."""
        self.in_flight -= 1
        if headers is not None:
            now_s = self.clock.monotonic()
            for resource, bucket in self._buckets.items():
                if (said := told(headers, resource)) is not None:
                    bucket.fill(now_s)
                    bucket.learn(said, place.sent[resource], now_s - place.at_s)
        self._changed.set()

    def answered(self) -> None:
        """A call was answered well: there may be room for more at once."""
        self._window.grow(self.clock.monotonic())
        self._changed.set()

    def freeze(self, seconds: float) -> None:
        """Nothing is sent for so long: the provider's Retry-After."""
        self._frozen_until_s = max(self._frozen_until_s, self.clock.monotonic() + seconds)

    def heed(self, place: Place, kind: Trouble) -> None:
        """The call had no good answer. Signs of load cut the window where the server tells no limits to go by."""
        if kind == "slow_down":
            self._cut(place, _Growth.SLOW)
        elif kind in ("rate_limit", "overload") and self._buckets["requests"].limit == math.inf:
            self._cut(place, _Growth.LINEAR)

    def used_ratio(self, resource: Resource) -> float:
        """Share of the limit in use, 0 to 1; 0 where it is not known."""
        bucket = self._buckets[resource]
        return 0.0 if bucket.limit == math.inf else min(1.0, max(0.0, 1 - bucket.level / bucket.limit))

    def frozen_s(self) -> float:
        """How long nothing will be sent."""
        return max(0.0, self._frozen_until_s - self.clock.monotonic())

    def _cut(self, place: Place, growth: _Growth) -> None:
        """Once a burst: calls sent before the last cut say nothing new."""
        if place.at_s > self._cut_at_s:
            self._cut_at_s = self.clock.monotonic()
            self._window.cut(self.in_flight + 1, growth, self._cut_at_s)  # with the refused call, which has left

    def _delay_s(self, tokens: int) -> float:
        """Until the next call may go; infinity where another one's end has to come first."""
        if self.in_flight >= max(1, int(self._window.size)):
            return math.inf
        now_s = self.clock.monotonic()
        for bucket in self._buckets.values():
            bucket.fill(now_s)
        waits = (self._buckets["requests"].wait_s(1), self._buckets["tokens"].wait_s(tokens))
        return max(self._frozen_until_s - now_s, *waits)

    async def _change_or(self, seconds: float) -> None:
        """Until something changed, or `seconds` are over."""
        self._changed.clear()
        if seconds == math.inf:
            await self._changed.wait()
            return
        change = asyncio.ensure_future(self._changed.wait())
        pause = asyncio.ensure_future(self.clock.sleep(seconds))
        try:
            await asyncio.wait({change, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
            pause.cancel()
