"""What model calls cost and how they went, from `spend`: by the hour, by the day, against budgets."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from processors.policy import Policy
from streams.console.rings import Ring
from streams.console.shown import Json
from topics.messages import Tier

_HOUR_S, _DAY_S = 3_600, 86_400
_LATENCIES = 200  # calls that a median is of
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(slots=True)
class _Period:
    """Micro-dollars of the present clock hour or day (UTC), by whose they are."""

    seconds: int
    number: int = -1
    micros: dict[str, int] = field(default_factory=dict)

    def add(self, at_s: float, now_s: float, micros: int, owners: tuple[str, ...]) -> None:
        self._turn(now_s)
        if int(min(at_s, now_s) // self.seconds) == self.number:
            for owner in owners:
                self.micros[owner] = self.micros.get(owner, 0) + micros

    def of(self, owner: str, now_s: float) -> int:
        self._turn(now_s)
        return self.micros.get(owner, 0)

    def _turn(self, now_s: float) -> None:
        if (number := int(now_s // self.seconds)) != self.number:
            self.number, self.micros = number, {}


class Money:
    """Of all workers, because all of them write to one topic."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._hour, self._day = _Period(_HOUR_S), _Period(_DAY_S)
        self._ring = Ring(10, 360)
        self._latencies: dict[str, deque[float]] = {tier: deque(maxlen=_LATENCIES) for tier in TIERS}
        self._models: dict[str, str] = {}

    def spent(self, spend: Json, now_s: float) -> None:
        """One call, paid or refused. Raises KeyError, TypeError or ValueError where it is no Spend."""
        tier, micros, at_s = str(spend["tier"]), int(spend["usd_micros"]), float(spend["at_ms"]) / 1000
        status, tokens = int(spend["status"]), spend["tokens"]
        answered = 200 <= status < 300
        amounts = {f"calls {tier}": 1.0, f"usd {tier}": micros / 1e6}
        amounts[f"tokens {tier}"] = float(tokens["input"]) + float(tokens["output"])
        amounts[f"cached {tier}"], amounts[f"input {tier}"] = float(tokens["cached"]), float(tokens["input"])
        if status == 429:
            amounts[f"limited {tier}"] = 1
        elif not answered:
            amounts[f"failed {tier}"] = 1
        if answered:
            amounts["answered"] = 1
            if spend.get("simulated"):
                amounts["simulated"] = 1
            self._latencies[tier].append(float(spend.get("latency_ms") or 0))
            self._models[tier] = str(spend["model"])
        self._ring.add(at_s, now_s, amounts)
        self._hour.add(at_s, now_s, micros, (f"stream {spend['stream']}",))
        tenant = str(spend["tenant"])
        owners = ("total", f"tier {tier}", *([f"tenant {tenant}"] if tenant in self._policy.budgets.tenants else []))
        self._day.add(at_s, now_s, micros, owners)

    def simulated(self, now_s: float) -> float:
        """The share of the last hour's answers that say that no model gave them."""
        sums = self._ring.sums(now_s)
        return sums.get("simulated", 0.0) / sums["answered"] if sums.get("answered") else 0.0

    def usd(self, now_s: float, since_s: float) -> Mapping[str, float]:
        """Dollars by tier, since then, an hour back at most."""
        sums = self._ring.sums(now_s, since_s)
        return {tier: sums.get(f"usd {tier}", 0.0) for tier in TIERS}

    def today_usd(self, now_s: float) -> float:
        return self._day.of("total", now_s) / 1e6

    def models(self, now_s: float) -> list[Json]:
        """How each tier's calls went in the last minute."""
        sums = self._ring.sums(now_s, now_s - 50)
        return [
            {
                "tier": tier,
                "model": self._models.get(tier, self._policy.tiers.of(tier).model),
                "calls_per_min": round(sums.get(f"calls {tier}", 0)),
                "tokens_per_min": round(sums.get(f"tokens {tier}", 0)),
                "cached": round(sums.get(f"cached {tier}", 0) / max(1.0, sums.get(f"input {tier}", 0)), 3),
                "limited": round(sums.get(f"limited {tier}", 0)),
                "failed": round(sums.get(f"failed {tier}", 0)),
                "latency_ms": _median(self._latencies[tier]),
            }
            for tier in TIERS
        ]

    def budgets(self, now_s: float) -> list[Json]:
        """Every budget of the policy with what is spent of it in its period, the fullest first."""
        listed = []
        for of, key, period, usd, when_spent in _terms(self._policy):
            spent = (self._hour if period == "hour" else self._day).of(key, now_s) / 1e6
            listed.append(
                {"of": of, "period": period, "usd": usd, "spent_usd": round(spent, 6), "when_spent": when_spent}
            )
        return sorted(listed, key=lambda budget: -float(budget["spent_usd"]) / float(budget["usd"]))


def _terms(policy: Policy) -> Iterator[tuple[str, str, Literal["hour", "day"], float, str]]:
    """Whose it is, its key here, the period, dollars, and what happens when they are spent."""
    for name, stream in policy.streams.items():
        if (hourly := stream.budget) is not None:
            yield f"stream {name}", f"stream {name}", "hour", hourly.usd_per_hour, hourly.when_spent
    budgets = policy.budgets
    daily = [(f"tier {tier}", budget) for tier, budget in budgets.tiers.items()]
    daily += [(f"tenant {name}", budget) for name, budget in budgets.tenants.items()]
    daily += [("total", budgets.total)] if budgets.total is not None else []
    for key, budget in daily:
        of = "the whole policy" if key == "total" else key
        yield of, key, "day", budget.usd_per_day, budget.when_spent


def _median(values: deque[float]) -> float | None:
    return round(sorted(values)[len(values) // 2], 1) if values else None
