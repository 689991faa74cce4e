"""Where each tier's calls go, and at what price."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import get_args

from processors.clock import Clock
from processors.gateway.lanes import billed
from processors.gateway.limiter import Limiter
from processors.gateway.prices import Price, prices_of
from processors.gateway.providers import Server, server_of
from processors.policy import Policy
from topics.messages import Lane, Tier


@dataclass(frozen=True, slots=True)
class Route:
    """One tier's model. Tiers of the same model at the same provider share its limiter."""

    tier: Tier
    model: str
    prices: Mapping[Lane, Price]
    server: Server
    limiter: Limiter

    @property
    def lanes(self) -> Collection[Lane]:
        """Those that its server has. One that does not know service tiers has no flex."""
        without_flex = "service_tier" in self.server.dialect.without
        return [lane for lane in self.prices if not (without_flex and lane == "flex")]

    def billed(self, asked: Lane, service_tier: str | None) -> Lane:
        """The lane whose price a call has."""
        lane = billed(asked, service_tier)
        return lane if lane in self.prices else "realtime"


def routes(policy: Policy, env: Mapping[str, str], clock: Clock) -> dict[Tier, Route]:
    """Only the providers that a tier names have to be usable. Raises ConfigurationError."""
    servers: dict[str, Server] = {}
    limiters: dict[tuple[str, str], Limiter] = {}
    found: dict[Tier, Route] = {}
    for tier in get_args(Tier):
        settings = policy.tiers.of(tier)
        name, model = settings.provider, settings.model
        if name not in servers:
            servers[name] = server_of(name, policy.providers[name], env)
        limiter = limiters.setdefault((name, model), Limiter(f"{name}/{model}", clock))
        prices = {lane: price for lane, price in prices_of(tier, settings).items() if lane in servers[name].lanes}
        found[tier] = Route(tier, model, prices, servers[name], limiter)
    return found
