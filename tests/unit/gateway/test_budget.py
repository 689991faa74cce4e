"""The hourly budget: hard under any interleaving."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import BudgetSpent
from processors.gateway.budget import Budget, Budgets, Reservation, Terms
from processors.gateway.context import Context
from tests.unit.gateway.clocks import TickingClock, VirtualClock
from tests.unit.gateway.provider import budgeted, policy
from topics.messages import Tier


def hourly(usd: float) -> Terms:
    return Terms(of="stream 'logs'", usd=usd, period="hour", key="streams.logs.budget.usd_per_hour")


def call_of(stream: str = "logs", tenant: str = "acme", tier: Tier = "nano") -> Context:
    return Context(tier=tier, stream=stream, tenant=tenant, purpose="triage")


@settings(max_examples=60)
@given(
    limit=st.integers(1, 2_000),
    calls=st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1), st.floats(0, 900)), max_size=80),
    seed=st.integers(0, 1_000),
)
async def test_what_is_begun_in_an_hour_never_costs_more_than_its_budget(
    limit: int, calls: list[tuple[int, float, float]], seed: int
) -> None:
    """Calls of any worst case, of which any part is spent after any time, over several hours; a third in Batch jobs."""
    clock = VirtualClock()
    budget = Budget(hourly(limit / 1_000_000), clock)
    rng = random.Random(seed)
    spent: dict[int, int] = {}
    waits_s: list[float] = []

    async def call(worst: int, part: float, seconds: float) -> None:
        await clock.sleep(rng.uniform(0, 8_000))
        try:
            with Reservation([await budget.reserve(worst, hold=rng.random() < 1 / 3)]) as reserved:
                hour = int(clock.time() // 3_600)
                await clock.sleep(seconds)
                cost = int(worst * part)
                reserved.settle(cost)
                spent[hour] = spent.get(hour, 0) + cost
        except BudgetSpent as error:
            waits_s.append(error.retry_after_s)

    async def all_calls() -> None:
        await asyncio.gather(*(call(*arguments) for arguments in calls))

    if calls:
        await clock.run(all_calls())
    assert all(total <= limit for total in spent.values())
    assert all(0 < wait_s <= 3_600 for wait_s in waits_s)
    assert budget.reserved_micros == 0


async def test_a_call_waits_while_only_reservations_stand_in_the_way() -> None:
    budget = Budget(hourly(0.000_100), TickingClock())
    first = Reservation([await budget.reserve(80)])
    second = asyncio.ensure_future(budget.reserve(80))
    await asyncio.sleep(0)
    assert not second.done()
    first.settle(10)
    Reservation([await second]).settle(80)
    assert (budget.spent_micros, budget.reserved_micros) == (90, 0)
    with pytest.raises(BudgetSpent, match=r"\$0\.000090 of its \$0\.000100"):
        await budget.reserve(80)


async def test_a_call_dearer_than_the_whole_budget_is_told_what_to_raise() -> None:
    budget = Budget(hourly(0.000_100), TickingClock())
    with pytest.raises(BudgetSpent, match=r"may cost \$0\.000101.*streams\.logs\.budget\.usd_per_hour"):
        await budget.reserve(101)


async def test_what_is_not_settled_is_given_back() -> None:
    budget = Budget(hourly(0.000_100), TickingClock())
    with Reservation([await budget.reserve(80)]):
        pass
    assert (budget.spent_micros, budget.reserved_micros) == (0, 0)


async def test_a_stream_without_a_budget_is_not_bounded() -> None:
    budgets = Budgets(policy("http://localhost", **budgeted(0.000_001)), TickingClock())
    with pytest.raises(BudgetSpent):
        await budgets.reserve(call_of("logs"), 2)
    (await budgets.reserve(call_of("mail"), 10**12)).settle(10**12)


def micros(count: int, **more: object) -> dict[str, object]:
    return {"usd_per_day": count / 1_000_000} | more


@pytest.mark.parametrize(
    ("budgets", "of", "key"),
    [
        ({"total": micros(100)}, "the whole policy", "budgets.total.usd_per_day"),
        ({"tenants": {"acme": micros(100)}}, "tenant 'acme'", "budgets.tenants.acme.usd_per_day"),
        ({"tiers": {"mini": micros(100)}}, "tier 'mini'", "budgets.tiers.mini.usd_per_day"),
    ],
)
async def test_a_call_has_to_fit_into_the_budget_of_its_day(budgets: dict[str, object], of: str, key: str) -> None:
    clock = VirtualClock()
    purses = Budgets(policy("http://localhost", budgets=budgets), clock)
    (await purses.reserve(call_of(tier="mini"), 100)).settle(60)
    with pytest.raises(BudgetSpent, match=rf"{of} has spent \$0\.000060 .* this day, .* raise {key}") as caught:
        await purses.reserve(call_of(tier="mini"), 41)
    assert 0 < caught.value.retry_after_s <= 86_400
    if "total" not in budgets:
        await purses.reserve(call_of(tenant="other", tier="nano"), 10**6)
    clock.move(caught.value.retry_after_s)
    await purses.reserve(call_of(tier="mini"), 100)


async def test_a_call_that_does_not_fit_into_one_budget_holds_nothing_of_the_others() -> None:
    purses = Budgets(
        policy("http://localhost", budgets={"total": micros(50), "tiers": {"nano": micros(100)}}), TickingClock()
    )
    with pytest.raises(BudgetSpent, match="the whole policy"):
        await purses.reserve(call_of(), 60)
    with pytest.raises(BudgetSpent, match="the whole policy"):  # 60 and 60 would not both fit into the tier's
        await asyncio.wait_for(purses.reserve(call_of(), 60), timeout=5)


@settings(max_examples=40)
@given(
    total=st.integers(1, 1_000),
    tenants=st.dictionaries(st.sampled_from("abc"), st.integers(1, 600), max_size=3),
    calls=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 300), st.floats(0, 1), st.floats(0, 90)), max_size=60
    ),
    seed=st.integers(0, 1_000),
)
async def test_no_budget_of_several_is_passed_and_no_call_waits_for_ever(
    total: int, tenants: dict[str, int], calls: list[tuple[str, int, float, float]], seed: int
) -> None:
    clock = VirtualClock()
    named = {"total": micros(total), "tenants": {name: micros(limit) for name, limit in tenants.items()}}
    purses = Budgets(policy("http://localhost", budgets=named), clock)
    rng = random.Random(seed)
    spent: dict[tuple[int, str], int] = {}
    ended: list[bool] = []

    async def call(tenant: str, worst: int, part: float, seconds: float) -> None:
        await clock.sleep(rng.uniform(0, 600))
        try:
            with await purses.reserve(call_of(tenant=tenant), worst) as reserved:
                day = int(clock.time() // 86_400)
                await clock.sleep(seconds)
                cost = int(worst * part)
                reserved.settle(cost)
                for of in ("total", tenant):
                    spent[day, of] = spent.get((day, of), 0) + cost
        except BudgetSpent:
            pass
        ended.append(True)

    async def all_calls() -> None:
        await asyncio.gather(*(call(*arguments) for arguments in calls))

    if calls:
        await clock.run(all_calls())
    limits = {"total": total, **tenants}
    assert all(cost <= limits.get(of, 10**9) for (_, of), cost in spent.items())
    assert len(ended) == len(calls)


async def test_a_day_s_budget_warns_once_when_most_of_it_is_spent(caplog: pytest.LogCaptureFixture) -> None:
    purses = Budgets(policy("http://localhost", budgets={"total": micros(100, warn_at=0.5)}), TickingClock())
    (await purses.reserve(call_of(), 49)).settle(49)
    assert not caplog.messages
    for _ in range(2):
        (await purses.reserve(call_of(), 10)).settle(10)
    (told,) = caplog.messages
    assert "the whole policy has spent 59% of its $0.0001 this day (budgets.total.usd_per_day)" in told


async def test_another_policy_changes_the_limit_and_keeps_what_is_spent() -> None:
    purses = Budgets(policy("http://localhost", budgets={"total": micros(100)}), TickingClock())
    (await purses.reserve(call_of(), 100)).settle(90)
    waiting = await purses.reserve(call_of(), 10)
    second = asyncio.ensure_future(purses.reserve(call_of(), 5))
    await asyncio.sleep(0)
    assert not second.done()
    purses.adopt(policy("http://localhost", budgets={"total": micros(200), "tenants": {"acme": micros(20)}}))
    (await asyncio.wait_for(second, 5)).settle(5)
    waiting.settle(10)
    with pytest.raises(BudgetSpent, match="tenant 'acme'"):
        await purses.reserve(call_of(), 21)
    with pytest.raises(BudgetSpent, match=r"the whole policy has spent \$0\.000105 of its \$0\.000200"):
        await purses.reserve(call_of(tenant="other"), 96)
    purses.adopt(policy("http://localhost"))
    await purses.reserve(call_of(), 10**9)


async def test_nobody_waits_for_what_is_held_for_hours_and_it_is_given_back() -> None:
    budget = Budget(hourly(0.0001), TickingClock())
    held = Reservation([await budget.reserve(70, hold=True)])
    with pytest.raises(BudgetSpent):
        await budget.reserve(40)
    held.settle(20)
    assert (budget.spent_micros, budget.held_micros) == (20, 0)
    Reservation([await budget.reserve(80)]).settle(80)
    assert budget.spent_micros == 100
