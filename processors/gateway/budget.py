"""Hard budgets: integer micro-dollars of one period, reserved before a call and settled after.

A period's spending is that of the calls begun in it. It is counted in this process and starts anew with it.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from processors import metrics
from processors.clock import Clock
from processors.errors import BudgetSpent, ProviderUnavailable
from processors.gateway.context import Context
from processors.policy import DailyBudget, Policy, WhenSpent
from topics.limits import GATEWAY_QUEUE_MAX

log = logging.getLogger(__name__)

_SECONDS = {"hour": 3_600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a budget says."""

    of: str  # as "stream 'logs'"
    usd: float  # a period
    period: Literal["hour", "day"]  # by the clock, in UTC
    key: str  # of the policy, to raise it
    when_spent: WhenSpent = "stop"
    warn_at: float = 1.0  # the share that is told when it is spent


class Budget:
    """One purse. No burst of concurrent calls can pass it: what is spent and reserved never exceeds it."""

    def __init__(self, terms: Terms, clock: Clock) -> None:
        self.spent_micros = 0  # of the present period
        self.reserved_micros = 0  # of the present period
        self.held_micros = 0  # of the present period: reserved for hours
        self._clock = clock
        self._period_s = _SECONDS[terms.period]
        self._period = self._now()
        self._warned = False
        self._turn = asyncio.Lock()  # waiters go in order
        self._waiting = 0
        self._settled = asyncio.Event()
        self._used = metrics.BUDGET_USED.labels(terms.of)
        self.adopt(terms)

    def adopt(self, terms: Terms) -> None:
        """From here on on these terms, of the same period; what is spent stays spent."""
        self._terms = terms
        self.limit_micros = int(terms.usd * 1_000_000)
        self._settled.set()  # there may be more now

    async def reserve(self, worst_micros: int, *, hold: bool = False) -> "Share":
        """The worst case of one call, set aside. Waits while only other calls' reservations stand in the way.

        `hold`: for a call that may take hours; nobody waits for its end, it counts as spent until it is settled.
        Raises BudgetSpent where even their end would leave too little, ProviderUnavailable where too many wait.
        """
        if self._waiting >= GATEWAY_QUEUE_MAX:
            raise ProviderUnavailable(
                f"{self._waiting} calls wait for the budget of {self._terms.of}, the most allowed: try later"
            )
        self._waiting += 1
        try:
            async with self._turn:
                while not self._fits(worst_micros):
                    self._settled.clear()
                    await self._settled.wait()
                if hold:
                    self.held_micros += worst_micros
                else:
                    self.reserved_micros += worst_micros
                return Share(worst_micros, self, self._period, hold)
        finally:
            self._waiting -= 1

    def settle(self, share: "Share", cost_micros: int) -> None:
        """Turns a reservation into what the call cost. One of a period that is over counts in that period alone."""
        self._begin_period()
        if share.period == self._period:
            if share.hold:
                self.held_micros -= share.worst_micros
            else:
                self.reserved_micros -= share.worst_micros
            self.spent_micros += cost_micros
            self._tell()
        self._settled.set()

    def _fits(self, worst_micros: int) -> bool:
        self._begin_period()
        gone_micros = self.spent_micros + self.held_micros
        if gone_micros + worst_micros > self.limit_micros:
            terms, rest_s = self._terms, self._period_s - self._clock.time() % self._period_s
            limit, spent, worst = (n / 1e6 for n in (self.limit_micros, gone_micros, worst_micros))
            raise BudgetSpent(
                f"{terms.of} has spent ${spent:.6f} of its ${limit:.6f} this {terms.period}, and the next call may "
                f"cost ${worst:.6f}. It has money again in {rest_s:.0f} s; to spend more, raise {terms.key}",
                retry_after_s=rest_s,
                when_spent=terms.when_spent,
            )
        return gone_micros + self.reserved_micros + worst_micros <= self.limit_micros

    def _tell(self) -> None:
        share = self.spent_micros / self.limit_micros if self.limit_micros else 1.0
        self._used.set(share)
        if share >= self._terms.warn_at and not self._warned:
            self._warned = True
            log.warning(
                "%s has spent %.0f%% of its $%g this %s (%s)",
                *(self._terms.of, share * 100, self._terms.usd, self._terms.period, self._terms.key),
            )

    def _begin_period(self) -> None:
        if self._now() != self._period:
            self._period = self._now()
            self.spent_micros = self.reserved_micros = self.held_micros = 0
            self._warned = False
            self._used.set(0)

    def _now(self) -> int:
        return int(self._clock.time() // self._period_s)


@dataclass(slots=True)
class Share:
    """Money set aside in one budget for one call."""

    worst_micros: int
    budget: Budget
    period: int
    hold: bool


class Reservation:
    """Money set aside for one call in every budget that it has to fit into. Left unsettled, it is given back whole."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares

    def settle(self, cost_micros: int) -> None:
        """Once; what comes after it changes nothing."""
        shares, self._shares = self._shares, ()
        for share in shares:
            share.budget.settle(share, cost_micros)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.settle(0)


class Budgets:
    """The budgets of a policy: of streams by the hour; of tenants, tiers and in total by the day."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._clock = clock
        self._of: dict[_Owner, Budget] = {}
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """From here on by this policy; what is spent stays spent."""
        kept, self._of = self._of, {}
        for owner, terms in _terms(policy):
            budget = self._of[owner] = kept.get(owner) or Budget(terms, self._clock)
            budget.adopt(terms)

    async def reserve(self, context: Context, worst_micros: int, *, hold: bool = False) -> Reservation:
        """As Budget.reserve, in each that applies, the narrowest first: always in this order, so that calls that hold
        one and wait for another never wait for each other."""
        owners = ("stream", context.stream), ("tier", context.tier), ("tenant", context.tenant), _TOTAL
        shares: list[Share] = []
        try:
            for owner in owners:
                if (budget := self._of.get(owner)) is not None:
                    shares.append(await budget.reserve(worst_micros, hold=hold))
        except BaseException:
            Reservation(shares).settle(0)
            raise
        return Reservation(shares)


_Owner = tuple[str, str]
_TOTAL: _Owner = ("total", "")


def _terms(policy: Policy) -> Iterator[tuple[_Owner, Terms]]:
    for name, stream in policy.streams.items():
        if (hourly := stream.budget) is not None:
            key = f"streams.{name}.budget.usd_per_hour"
            yield (
                ("stream", name),
                Terms(f"stream '{name}'", hourly.usd_per_hour, "hour", key, hourly.when_spent),
            )
    budgets = policy.budgets
    daily: list[tuple[_Owner, str, str, DailyBudget]] = [
        (("tier", tier), f"tier '{tier}'", f"tiers.{tier}", of) for tier, of in budgets.tiers.items()
    ]
    daily += [(("tenant", name), f"tenant '{name}'", f"tenants.{name}", of) for name, of in budgets.tenants.items()]
    if budgets.total is not None:
        daily.append((_TOTAL, "the whole policy", "total", budgets.total))
    for owner, of, key, budget in daily:
        yield (
            owner,
            Terms(of, budget.usd_per_day, "day", f"budgets.{key}.usd_per_day", budget.when_spent, budget.warn_at),
        )
