"""What models cost: the vendor's list with its date, or the policy's own figures."""

import re
from dataclasses import dataclass
from datetime import date

from processors.errors import ConfigurationError
from processors.policy import TierSettings
from topics.messages import Lane, Tier, Tokens

_UNIT = 1_000_000  # prices are kept as integers in millionths of a micro-dollar a token, so that sums are exact


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, which is micro-dollars a token. `cached` is the price of input found in the cache."""

    input: float
    cached: float
    output: float
    as_of: date

    def cost_micros(self, tokens: Tokens) -> int:
        """Micro-dollars of a call, rounded to the nearest."""
        return (self._exact(tokens.input - tokens.cached, tokens.cached, tokens.output) + _UNIT // 2) // _UNIT

    def worst_micros(self, input_tokens: int, output_tokens: int) -> int:
        """Micro-dollars of a call with nothing cached and every output token used, rounded up."""
        return -(-self._exact(input_tokens, 0, output_tokens) // _UNIT)

    def halved(self) -> "Price":
        """What flex and batch cost where nothing else is known."""
        return Price(self.input / 2, self.cached / 2, self.output / 2, self.as_of)

    def _exact(self, fresh: float, cached: float, output: float) -> int:
        per_token = (round(usd * _UNIT) for usd in (self.input, self.cached, self.output))
        return sum(round(n) * price for n, price in zip((fresh, cached, output), per_token, strict=True))


_LOOKED_UP = date(2026, 11, 22)

# Standard service tier, from the vendor's price list.
BUILT_IN = {
    "gpt-5.4-nano": Price(0.20, 0.02, 1.25, _LOOKED_UP),
    "gpt-5.4-mini": Price(0.75, 0.075, 4.50, _LOOKED_UP),
    "gpt-5.4": Price(2.50, 0.25, 15.00, _LOOKED_UP),
    # Writing to this one's cache costs 0.125 and usage does not tell it apart: all fresh input is priced at that.
    "gpt-6-luna": Price(0.125, 0.01, 0.50, _LOOKED_UP),
}

# Flex and batch, where the vendor's list is not exactly the half.
_CHEAP = {"gpt-5.4": Price(1.25, 0.13, 7.50, _LOOKED_UP)}


def prices_of(tier: Tier, settings: TierSettings) -> dict[Lane, Price]:
    """By lane. Raises ConfigurationError as `price_of`."""
    price = price_of(tier, settings)
    cheap = price.halved()
    if settings.usd_per_million is None:
        cheap = _CHEAP.get(_family(settings.model), cheap)
    return {"realtime": price, "flex": cheap, "batch": cheap}


def candidate(tier: Tier, settings: TierSettings, model: str) -> TierSettings:
    """The tier with `model` in the place of its own. Raises ConfigurationError where its price is not known."""
    own = settings.candidates.get(model)
    if own is None and _family(model) not in BUILT_IN:
        raise ConfigurationError(
            f"model '{model}': its price is not known, and no budget holds without one. "
            f'Add tiers.{tier}.candidates = {{ "{model}" = {{ input = …, cached = …, output = …, as_of = … }} }}, '
            "in USD per million tokens, and restart the workers; zeros if the server is yours and free"
        )
    return settings.model_copy(update={"model": model, "usd_per_million": own})


def price_of(tier: Tier, settings: TierSettings) -> Price:
    """In the realtime lane: the policy's price, else the built-in one of that model name at whichever server.

    Raises ConfigurationError where neither is known: no model is priced at zero by default.
    """
    own = settings.usd_per_million
    if own is not None:
        return Price(own.input, own.cached, own.output, own.as_of)
    name = _family(settings.model)
    if name not in BUILT_IN:
        raise ConfigurationError(
            f'tiers.{tier}.model = "{settings.model}": its price is not known, and no budget holds without one. '
            f"Set tiers.{tier}.usd_per_million = {{ input = …, cached = …, output = …, as_of = … }}; "
            f"zeros if the server is yours and free"
        )
    return BUILT_IN[name]


def _family(model: str) -> str:
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)  # a dated snapshot costs what its family costs
