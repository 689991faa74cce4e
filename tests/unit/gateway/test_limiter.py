"""The limiter against providers that count as OpenAI does, in virtual time."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import ProviderUnavailable
from processors.gateway.limiter import Limiter
from tests.unit.gateway.clocks import TickingClock, VirtualClock
from topics import limits


def told(limit: int, remaining: int, reset: str = "1s") -> dict[str, str]:
    """The same of requests and tokens."""
    return {
        f"x-ratelimit-{name}-{resource}": str(value)
        for resource in ("requests", "tokens")
        for name, value in (("limit", limit), ("remaining", remaining), ("reset", reset))
    }


@dataclass(slots=True)
class Counter:
    """One limit as a provider counts it: refills all the time, enforced over `burst_s` seconds."""

    per_minute: int
    burst_s: float
    full_at_s: float = 0.0

    def takes(self, amount: int, now_s: float) -> bool:
        per_s = self.per_minute / 60
        if self.full_at_s - now_s > max(0.0, self.burst_s - amount / per_s) + 1e-6:
            return False
        self.full_at_s = max(self.full_at_s, now_s) + amount / per_s
        return True

    def remaining(self, now_s: float) -> int:
        return int(self.per_minute - max(0.0, self.full_at_s - now_s) * self.per_minute / 60)


@dataclass(slots=True)
class Simulated:
    """A provider, a limiter before it, and calls of any size and duration."""

    requests: Counter
    tokens: Counter
    clock: VirtualClock = field(default_factory=VirtualClock)
    refused: int = 0
    in_flight_max: int = 0

    async def run(self, charges: list[int], latency_s: tuple[float, float], seed: int) -> None:
        limiter = Limiter("p/m", self.clock)
        rng = random.Random(seed)

        async def call(charge: int) -> None:
            place = await limiter.admit(charge)
            self.in_flight_max = max(self.in_flight_max, limiter.in_flight)
            now_s = self.clock.monotonic()
            taken = self.requests.takes(1, now_s) and self.tokens.takes(charge, now_s)
            self.refused += not taken
            counters = (("requests", self.requests), ("tokens", self.tokens))
            headers = {f"x-ratelimit-limit-{name}": str(counter.per_minute) for name, counter in counters}
            headers |= {f"x-ratelimit-remaining-{name}": str(counter.remaining(now_s)) for name, counter in counters}
            headers |= {"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "1s"}
            await self.clock.sleep(rng.uniform(*latency_s))
            limiter.leave(place, headers)
            limiter.answered()

        async def calls() -> None:
            async with asyncio.TaskGroup() as group:
                for charge in charges:
                    group.create_task(call(charge))

        await self.clock.run(calls())
        assert limiter.in_flight == limiter.waiting == 0


@settings(max_examples=40)
@given(
    charges=st.lists(st.integers(1, 3_000), min_size=100, max_size=200),
    tokens_per_minute=st.integers(60_000, 2_000_000),
    burst_s=st.sampled_from([1.0, 5.0, 60.0]),
    latency_s=st.floats(0.05, 5.0),
    seed=st.integers(0, 1_000),
)
async def test_no_call_passes_a_token_limit_and_little_of_it_is_left_unused(
    charges: list[int], tokens_per_minute: int, burst_s: float, latency_s: float, seed: int
) -> None:
    # Eight calls go before the first answer tells a limit, so a minute's limit has to have room for them at once.
    provider = Simulated(
        Counter(100_000, 60.0), Counter(tokens_per_minute, max(burst_s, 24_000 * 60 / tokens_per_minute))
    )
    await provider.run(charges, (latency_s, latency_s * 2), seed)
    assert provider.refused == 0
    ideal_s = sum(charges) * 60 / tokens_per_minute
    rounds_s = 2 * latency_s * (len(charges) / limits.CALLS_IN_FLIGHT_FIRST)  # as if the window never grew
    assert provider.clock.monotonic() <= ideal_s + rounds_s + 1


@settings(max_examples=20)
@given(requests_per_minute=st.integers(500, 30_000), latency_s=st.floats(0.05, 3.0), seed=st.integers(0, 1_000))
async def test_no_call_passes_a_request_limit(requests_per_minute: int, latency_s: float, seed: int) -> None:
    provider = Simulated(Counter(requests_per_minute, max(1.0, 8 * 60 / requests_per_minute)), Counter(10**9, 60.0))
    await provider.run([10] * 150, (latency_s, latency_s), seed)
    assert provider.refused == 0


async def test_a_server_without_headers_gets_twice_the_calls_every_round_up_to_the_bound() -> None:
    clock = VirtualClock()
    limiter = Limiter("p/m", clock)
    seen: list[int] = []

    async def call() -> None:
        place = await limiter.admit(100)
        seen.append(limiter.in_flight)
        await clock.sleep(1.0)
        limiter.leave(place, {})
        limiter.answered()

    async def calls() -> None:
        await asyncio.gather(*(call() for _ in range(1_500)))

    await clock.run(calls())
    assert max(seen[: limits.CALLS_IN_FLIGHT_FIRST + 1]) == limits.CALLS_IN_FLIGHT_FIRST
    assert max(seen) == limits.CALLS_IN_FLIGHT_MAX
    assert clock.monotonic() < 14  # 8, 16, … 256, then 256 a round; with eight at a time it would be 188 s


async def test_strain_halves_the_calls_in_flight_once_a_burst_where_no_limits_are_told() -> None:
    clock = TickingClock()
    limiter = Limiter("p/m", clock)
    places = [await limiter.admit(1) for _ in range(8)]
    clock.move(1)
    for place in places:  # all eight of one burst refused
        limiter.leave(place, {})
        limiter.heed(place, "overload")
    again = [await limiter.admit(1) for _ in range(4)]
    fifth = asyncio.ensure_future(limiter.admit(1))
    await asyncio.sleep(0)
    assert not fifth.done()
    limiter.leave(again[0], {})
    limiter.leave(await fifth, {})


async def test_strain_changes_nothing_where_the_server_tells_its_limits() -> None:
    clock = TickingClock()
    limiter = Limiter("p/m", clock)
    place = await limiter.admit(1)
    limiter.leave(place, told(60_000, 59_000))
    place = await limiter.admit(1)
    limiter.leave(place, {})
    limiter.heed(place, "overload")
    for _ in range(8):
        await limiter.admit(1)
    assert clock.slept == []


async def test_slow_down_cuts_and_lets_traffic_grow_by_half_in_fifteen_minutes() -> None:
    clock = TickingClock()
    limiter = Limiter("p/m", clock)
    places = [await limiter.admit(1) for _ in range(8)]
    clock.move(1)
    limiter.leave(places[0], {})
    limiter.heed(places[0], "slow_down")
    for place in places[1:]:
        limiter.leave(place, {})
        limiter.answered()

    async def room() -> int:
        """How many calls go at once."""
        admitted = []
        while limiter.in_flight < 20:
            call = asyncio.ensure_future(limiter.admit(1))
            await asyncio.sleep(0)
            if not call.done():
                call.cancel()
                break
            admitted.append(call.result())
        for place in admitted:
            limiter.leave(place, {})
        return len(admitted)

    assert await room() == 4
    clock.move(900)
    limiter.answered()
    assert await room() == 6


async def test_calls_go_in_the_order_in_which_they_came() -> None:
    clock = VirtualClock()
    limiter = Limiter("p/m", clock)
    order: list[int] = []

    async def call(number: int) -> None:
        place = await limiter.admit(1 + number % 7 * 500)  # a small one behind a large one does not pass it
        order.append(number)
        await clock.sleep(0.1)
        limiter.leave(place, told(6_000, 3_000))
        limiter.answered()

    async def calls() -> None:
        await asyncio.gather(*(call(number) for number in range(40)))

    await clock.run(calls())
    assert order == list(range(40))


async def test_others_on_the_same_account_are_noticed() -> None:
    clock = TickingClock()
    limiter = Limiter("p/m", clock)
    limiter.leave(await limiter.admit(100), told(60_000, 59_900))
    clock.move(10)
    limiter.leave(await limiter.admit(100), told(60_000, 0))  # somebody else used it up
    await limiter.admit(1_000)
    assert sum(clock.slept) == pytest.approx(1.0, rel=0.01)  # 1,000 tokens at 1,000 a second
    assert limiter.used_ratio("tokens") == pytest.approx(1.0, abs=0.01)


async def test_what_the_provider_did_not_charge_is_not_held_back() -> None:
    limiter = Limiter("p/m", TickingClock())
    limiter.leave(await limiter.admit(100), told(60_000, 59_900))
    limiter.leave(await limiter.admit(50_000), told(60_000, 58_000))  # it counted 1,900, not 50,000
    assert limiter.used_ratio("tokens") == pytest.approx(2_000 / 60_000)


async def test_an_older_calls_answer_does_not_undo_what_a_newer_one_told() -> None:
    limiter = Limiter("p/m", TickingClock())
    older, newer = await limiter.admit(100), await limiter.admit(100)
    limiter.leave(newer, told(60_000, 30_000))
    limiter.leave(older, told(60_000, 59_000))
    assert limiter.used_ratio("tokens") == pytest.approx(0.5)


async def test_a_limit_by_the_day_fills_by_the_day() -> None:
    clock = TickingClock()
    limiter = Limiter("p/m", clock)
    limiter.leave(await limiter.admit(1), told(200, 0, reset="24h"))
    await limiter.admit(1)
    assert sum(clock.slept) == pytest.approx(432, rel=0.01)  # a day by 200


async def test_a_call_larger_than_the_whole_limit_waits_for_all_of_it() -> None:
    clock = TickingClock()
    limiter = Limiter("p/m", clock)
    limiter.leave(await limiter.admit(1), told(60_000, 30_000))
    await limiter.admit(90_000)
    assert sum(clock.slept) == pytest.approx(30, rel=0.05)


async def test_a_full_queue_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.gateway.limiter.GATEWAY_QUEUE_MAX", 2)
    limiter = Limiter("p/m", TickingClock())
    for _ in range(8):
        await limiter.admit(1)
    waiting = [asyncio.ensure_future(limiter.admit(1)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ProviderUnavailable, match="2 calls wait"):
        await limiter.admit(1)
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert limiter.waiting == 0


async def test_a_cancelled_wait_charges_nothing_and_lets_the_next_one_go() -> None:
    limiter = Limiter("p/m", TickingClock())
    places = [await limiter.admit(1) for _ in range(8)]
    first, second = (asyncio.ensure_future(limiter.admit(1)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    limiter.leave(places[0], None)
    await second
    assert limiter.in_flight == 8
