"""The hourly budget: hard under any interleaving."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import BudgetSpent
from processors.gateway.budget import Budget, Budgets
from tests.unit.gateway.clocks import TickingClock, VirtualClock
from tests.unit.gateway.provider import budgeted, policy


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 2_000),
    calls=st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1), st.floats(0, 900)), max_size=80),
    seed=st.integers(0, 1_000),
)
async def test_what_is_begun_in_an_hour_never_costs_more_than_its_budget(
    limit: int, calls: list[tuple[int, float, float]], seed: int
) -> None:
    """Calls of any worst case, of which any part is spent after any time, over several hours."""
    clock = VirtualClock()
    budget = Budget("logs", limit / 1_000_000, clock)
    rng = random.Random(seed)
    spent: dict[int, int] = {}
    waits_s: list[float] = []

    async def call(worst: int, part: float, seconds: float) -> None:
        await clock.sleep(rng.uniform(0, 8_000))
        try:
            with await budget.reserve(worst) as reserved:
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
    budget = Budget("logs", 0.000_100, TickingClock())
    first = await budget.reserve(80)
    second = asyncio.ensure_future(budget.reserve(80))
    await asyncio.sleep(0)
    assert not second.done()
    first.settle(10)
    (await second).settle(80)
    assert (budget.spent_micros, budget.reserved_micros) == (90, 0)
    with pytest.raises(BudgetSpent, match=r"\$0\.000090 of its \$0\.000100"):
        await budget.reserve(80)


async def test_a_call_dearer_than_the_whole_budget_is_told_what_to_raise() -> None:
    budget = Budget("logs", 0.000_100, TickingClock())
    with pytest.raises(BudgetSpent, match=r"may cost \$0\.000101.*streams\.logs\.budget\.usd_per_hour"):
        await budget.reserve(101)


async def test_what_is_not_settled_is_given_back() -> None:
    budget = Budget("logs", 0.000_100, TickingClock())
    with await budget.reserve(80):
        pass
    assert (budget.spent_micros, budget.reserved_micros) == (0, 0)


async def test_a_stream_without_a_budget_is_not_bounded() -> None:
    budgets = Budgets(policy("http://localhost", **budgeted(0.000_001)).streams, TickingClock())
    with pytest.raises(BudgetSpent):
        await budgets.reserve("logs", 2)
    (await budgets.reserve("mail", 10**12)).settle(10**12)
