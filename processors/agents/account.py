"""What the agents of one escalation used, and what each may still use."""

from dataclasses import dataclass, field

from processors.errors import SluiceError
from processors.gateway.context import Meter
from processors.policy import Limits
from topics.messages import Bound, Escalation, SubTask


class BoundReached(SluiceError):
    """A limit of the escalation ends the run. Raised before a model call, never after one that is paid."""

    def __init__(self, bound: Bound, detail: str) -> None:
        super().__init__(detail)
        self.bound = bound


@dataclass(slots=True)
class Account:
    """One escalation's: shared by its agents and their tools. The gateway fills the meter."""

    escalation: Escalation
    limits: Limits
    started_s: float  # Clock.monotonic
    meter: Meter = field(default_factory=Meter)
    turns: int = 0  # model calls that were answered
    tool_calls: int = 0
    plan: list[SubTask] = field(default_factory=list)

    @property
    def tokens(self) -> float:
        """Input and output so far."""
        return self.meter.tokens.input + self.meter.tokens.output

    def allowance(self, turns: int, share: float = 1.0) -> "Allowance":
        """For one agent: so many turns of its own, and calls until `share` of tokens and money is used by all."""
        return Allowance(self, turns, self.limits.tokens * share, round(self.limits.usd * share * 1_000_000))


@dataclass(slots=True)
class Allowance:
    """What one agent may use. Looked at before each call, so the last call may pass a limit by its own size."""

    account: Account
    turns: int
    tokens: float
    usd_micros: int

    def take_turn(self) -> None:
        """Called before each model call. Raises BoundReached."""
        if self.turns == 0:
            raise BoundReached("turns", "no turn is left")
        if self.account.tokens >= self.tokens:
            raise BoundReached("tokens", f"{self.account.tokens:.0f} of {self.tokens:.0f} tokens are used")
        if self.account.meter.usd_micros >= self.usd_micros:
            spent, most = (n / 1_000_000 for n in (self.account.meter.usd_micros, self.usd_micros))
            raise BoundReached("usd", f"${spent:.6f} of ${most:.6f} are spent")
        self.turns -= 1
