"""Where each tier's calls go, and at what price."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import get_args

from processors.clock import Clock
from processors.errors import ConfigurationError
from processors.gateway.lanes import billed
from processors.gateway.limiter import Limiter
from processors.gateway.prices import Price, candidate, prices_of
from processors.gateway.providers import Server, server_of
from processors.policy import Policy, TierSettings
from topics.messages import Lane, Tier

DECISIONS_MODEL = "gpt-6-luna"


@dataclass(frozen=True, slots=True)
class Route:
    """One tier's model. Tiers of the same model at the same provider share its limiter."""

    tier: Tier
    model: str
    prices: Mapping[Lane, Price]
    server: Server
    limiter: Limiter
    logprobs: bool = False  # its answers are as sure as their labels' tokens

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
        logprobs = settings.confidence == "logprobs"
        found[tier] = Route(tier, model, _prices(tier, settings, servers[name]), servers[name], limiter, logprobs)
    return found


def tried(known: Mapping[Tier, Route], tier: Tier, settings: TierSettings, model: str, clock: Clock) -> Route:
    """Where calls go that ask another model in the place of the tier's. Raises ConfigurationError without a price."""
    route = known[tier]
    shared = (each.limiter for each in known.values() if each.server is route.server and each.model == model)
    return replace(
        route,
        model=model,
        prices=_prices(tier, candidate(tier, settings, model), route.server),
        limiter=next(shared, None) or Limiter(f"{route.server.name}/{model}", clock),
    )


def _prices(tier: Tier, settings: TierSettings, server: Server) -> dict[Lane, Price]:
    """In the lanes that the server has. Raises ConfigurationError where it does not serve the model, or for a price."""
    prices = {lane: price for lane, price in prices_of(tier, settings).items() if lane in server.lanes}
    if server.dialect.api == "decisions" and server.dialect.vendor and settings.model != DECISIONS_MODEL:
        raise ConfigurationError(
            f'tiers.{tier}.model = "{settings.model}": the vendor\'s Decisions API serves {DECISIONS_MODEL} alone. '
            f'Set tiers.{tier}.model = "{DECISIONS_MODEL}", or name a provider whose api is "responses"'
        )
    return prices
