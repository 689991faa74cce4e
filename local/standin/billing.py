"""What a call used: tokens as the provider bills them."""

from dataclasses import dataclass

from topics.messages import Tokens


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. Reasoning tokens are part of the output tokens, cached ones of the input tokens."""

    input: int
    cached: int
    output: int
    reasoning: int

    @property
    def tokens(self) -> Tokens:
        return Tokens(self.input, self.cached, self.output)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer as it goes out: cut where it was too long, with what it cost and who billed it."""

    text: str
    complete: bool
    usage: Usage
    service_tier: str
