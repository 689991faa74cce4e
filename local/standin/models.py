"""The models that the stand-in serves: tier, price and speed of each."""

from collections.abc import Mapping
from dataclasses import dataclass

from topics.messages import Tier, Tokens

PRICES_AS_OF = "2026-11-22"
LANES = ("default", "flex")


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, which is micro-dollars per token."""

    input: float
    cached: float
    output: float

    def usd_micros(self, tokens: Tokens) -> float:
        """What a call costs. Cached tokens are part of the input tokens."""
        fresh = tokens.input - tokens.cached
        return fresh * self.input + tokens.cached * self.cached + tokens.output * self.output


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model. The times are medians of a lognormal; cached input tokens take a tenth of the input time."""

    tier: Tier
    default: Price
    flex: Price
    base_ms: float
    input_token_ms: float
    output_token_ms: float

    def price(self, lane: str) -> Price:
        return self.default if lane == "default" else self.flex  # batch costs what flex does

    def latency_ms(self, tokens: Tokens, lane: str) -> float:
        """Median time to the whole answer; flex is served when there is room."""
        fresh = tokens.input - 0.9 * tokens.cached
        ms = self.base_ms + fresh * self.input_token_ms + tokens.output * self.output_token_ms
        return 3 * ms if lane == "flex" else ms


MODELS: Mapping[str, ServedModel] = {
    "gpt-5.4-nano": ServedModel("nano", Price(0.20, 0.02, 1.25), Price(0.10, 0.01, 0.625), 180, 0.01, 4),
    "gpt-5.4-mini": ServedModel("mini", Price(0.75, 0.075, 4.50), Price(0.375, 0.0375, 2.25), 250, 0.02, 6),
    "gpt-5.4": ServedModel("flagship", Price(2.50, 0.25, 15.00), Price(1.25, 0.13, 7.50), 400, 0.04, 12),
    "gpt-6-luna": ServedModel("nano", Price(0.10, 0.01, 0.50), Price(0.05, 0.005, 0.25), 150, 0.01, 3),
}
