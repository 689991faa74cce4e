"""Lanes by deadline: which one is chosen, what it costs, and what flex does when it has no room."""

import asyncio
from collections.abc import Collection

import pytest

from processors.errors import BudgetSpent, ConfigurationError
from processors.gateway.context import Context
from processors.gateway.lanes import billed, lane_of
from processors.gateway.prices import prices_of
from processors.gateway.providers import server_of
from processors.policy import Provider as ProviderSettings
from processors.policy import TierSettings
from tests.unit.gateway.clocks import TickingClock
from tests.unit.gateway.provider import (
    Answer,
    Provider,
    Request,
    ask,
    budgeted,
    error,
    gateway,
    laned,
    response,
)
from topics import limits
from topics.messages import Lane, Spend

ALL: tuple[Lane, ...] = ("realtime", "flex", "batch")
HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("deadline_s", "lanes", "chosen"),
    [
        (None, ALL, "realtime"),
        (0.0, ALL, "realtime"),
        (5.0, ALL, "realtime"),
        (limits.FLEX_DEADLINE_SECONDS_MIN - 1, ALL, "realtime"),
        (limits.FLEX_DEADLINE_SECONDS_MIN, ALL, "flex"),
        (900.0, ALL, "flex"),
        (6 * HOUR_S, ALL, "flex"),
        (12 * HOUR_S, ALL, "batch"),
        (24 * HOUR_S, ALL, "batch"),
        (900.0, ("realtime",), "realtime"),
        (900.0, ("realtime", "batch"), "realtime"),
        (24 * HOUR_S, ("realtime",), "realtime"),
        (24 * HOUR_S, ("realtime", "flex"), "flex"),
        (-3.0, ALL, "realtime"),
    ],
)
def test_the_cheapest_lane_that_meets_the_deadline(
    deadline_s: float | None, lanes: Collection[Lane], chosen: Lane
) -> None:
    assert lane_of(deadline_s, lanes) == chosen


@pytest.mark.parametrize(
    ("asked", "service_tier", "lane"),
    [
        ("realtime", "default", "realtime"),
        ("realtime", None, "realtime"),
        ("realtime", "flex", "flex"),
        ("flex", "flex", "flex"),
        ("flex", "default", "realtime"),
        ("flex", None, "flex"),
        ("batch", "default", "batch"),
        ("batch", None, "batch"),
    ],
)
def test_what_the_response_says_is_what_was_billed(asked: Lane, service_tier: str | None, lane: Lane) -> None:
    assert billed(asked, service_tier) == lane


def test_flex_and_batch_cost_half() -> None:
    nano = prices_of("nano", TierSettings(model="gpt-5.4-nano-2026-03-17"))
    assert (nano["realtime"].input, nano["flex"].input, nano["batch"].output) == (0.20, 0.10, 0.625)
    assert prices_of("flagship", TierSettings(model="gpt-5.4"))["batch"].cached == 0.13  # as listed, not the half
    own = TierSettings.model_validate(
        {"model": "house", "usd_per_million": {"input": 2, "cached": 1, "output": 4, "as_of": "2026-11-22"}}
    )
    assert prices_of("nano", own)["flex"].output == 2.0


def test_only_the_vendor_has_every_lane_unless_it_is_said() -> None:
    def lanes(settings: ProviderSettings) -> frozenset[Lane]:
        return server_of("house", settings, {"KEY": "k"}).lanes

    house = "http://house.example/v1"
    assert lanes(ProviderSettings(api_key_env="KEY", base_url="https://api.openai.com/v1")) == set(ALL)
    assert lanes(ProviderSettings(base_url=house)) == {"realtime"}
    assert lanes(ProviderSettings(base_url=house, lanes=("flex",))) == {"realtime", "flex"}
    assert "batch" not in lanes(ProviderSettings(api_key_env="KEY", base_url="https://api.openai.com/v1", api="chat"))
    with pytest.raises(ConfigurationError, match=r'providers\.house\.lanes: "batch"'):
        lanes(ProviderSettings(base_url=house, lanes=("batch",), api="chat"))


async def test_a_deadline_of_a_quarter_of_an_hour_goes_by_flex_at_half_the_price() -> None:
    spends: list[Spend] = []
    async with (
        Provider([Answer(body=response(service_tier="flex"))]) as provider,
        gateway(provider, spends, **laned(provider, *ALL)) as models,
    ):
        answer = await models.ask(ask(deadline_s=900.0))
        assert (await models.ask(ask(deadline_s=24 * HOUR_S))).lane == "flex"  # who waits for an answer has it soon
    assert provider.requests[0].body["service_tier"] == "flex"
    assert (answer.lane, answer.cost_usd_micros) == ("flex", 13)  # half of 25.3
    assert (spends[0].lane, spends[0].service_tier, spends[0].usd_micros) == ("flex", "flex", 13)


async def test_what_was_asked_as_flex_and_billed_as_default_is_paid_in_full() -> None:
    spends: list[Spend] = []
    async with Provider() as provider, gateway(provider, spends, **laned(provider, *ALL)) as models:
        answer = await models.ask(ask(deadline_s=900.0))  # this provider says `default`
    assert (answer.lane, answer.cost_usd_micros) == ("realtime", 25)
    assert (spends[0].lane, spends[0].service_tier) == ("realtime", "default")


async def test_a_server_without_lanes_is_never_asked_for_flex() -> None:
    async with Provider() as provider, gateway(provider, []) as models:
        assert (await models.ask(ask(deadline_s=900.0))).lane == "realtime"
    assert "service_tier" not in provider.requests[0].body


def no_room(request: Request) -> Answer:
    if request.body.get("service_tier") == "flex":
        return error(429, "resource_unavailable", message="Resource Unavailable")
    return Answer(body=response())


async def test_flex_without_room_costs_nothing_and_is_tried_until_the_deadline_nears() -> None:
    spends: list[Spend] = []
    clock = TickingClock()
    async with (
        Provider(no_room) as provider,
        gateway(provider, spends, clock=clock, **laned(provider, *ALL)) as models,
    ):
        answer = await models.ask(ask(deadline_s=900.0))
    *refused, paid = spends
    assert answer.lane == "realtime"
    assert len(refused) > limits.CALL_ATTEMPTS_MAX  # it is no failure, however often
    assert {(spend.status, spend.usd_micros, spend.lane) for spend in refused} == {(429, 0, "flex")}
    assert (paid.lane, paid.usd_micros) == ("realtime", 25)
    assert clock.monotonic() == pytest.approx(900 - limits.LANE_FALLBACK_SECONDS, abs=1)


async def test_flex_that_finds_room_again_stays_flex() -> None:
    full = error(429, "resource_unavailable", message="Resource Unavailable")
    flex = Answer(body=response(service_tier="flex"))
    async with (
        Provider([full, full, flex]) as provider,
        gateway(provider, [], clock=TickingClock(), **laned(provider, *ALL)) as models,
    ):
        assert (await models.ask(ask(deadline_s=900.0))).lane == "flex"
    assert len(provider.requests) == 3


async def test_a_budget_reserves_by_the_price_of_the_lane() -> None:
    # The worst case of one call is about $0.00019 at the full price: $0.00012 has room for one at half of it alone.
    async with (
        Provider([Answer(body=response(service_tier="flex"))]) as provider,
        gateway(provider, [], **budgeted(0.00012), **laned(provider, *ALL)) as models,
    ):
        assert (await models.ask(ask(deadline_s=900.0))).lane == "flex"
        with pytest.raises(BudgetSpent):
            await models.ask(ask())


async def test_no_answer_from_flex_in_time_is_asked_of_the_default_lane() -> None:
    never = asyncio.Event()

    def script(request: Request) -> Answer:
        flex = request.body.get("service_tier") == "flex"
        return Answer(body=response(), after=never if flex else None)

    spends: list[Spend] = []
    deadline_s = limits.LANE_FALLBACK_SECONDS + 0.2
    async with Provider(script) as provider, gateway(provider, spends, **laned(provider, *ALL)) as models:
        route = models._routes["nano"]
        context = Context(tier="nano", stream="logs", tenant="acme", purpose="triage")
        request = {"model": route.model, "input": "x", "max_output_tokens": 50, "service_tier": "flex"}
        leave_s = models._clock.monotonic() + deadline_s - limits.LANE_FALLBACK_SECONDS
        reply = await models._call(route, "responses", request, context, leave_s)
        never.set()
    assert reply.lane == "realtime"
    lost, paid = spends
    assert (lost.status, lost.lane, paid.lane) == (0, "flex", "realtime")
    assert lost.usd_micros > 0  # it may have been done and billed
