"""Where each tier's calls go, and at what price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from processors.clock import Clock
from processors.gateway.limiter import Limiter
from processors.gateway.prices import Price, price_of
from processors.gateway.providers import Server, server_of
from processors.policy import Policy
from topics.messages import Tier


@dataclass(frozen=True, slots=True)
class Route:
    """One tier's model. Tiers of the same model at the same provider share its limiter."""

    tier: Tier
    model: str
    price: Price
    server: Server
    limiter: Limiter


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
        found[tier] = Route(tier, model, price_of(tier, settings), servers[name], limiter)
    return found
