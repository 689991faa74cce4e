"""Who makes a call to a model, and why. It travels by a context variable where the `openai` SDK is in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from processors.errors import ConfigurationError
from topics.messages import Spend, Tier, Tokens


@dataclass(slots=True)
class Meter:
    """What the calls of one piece of work cost so far. The gateway adds, its owner reads."""

    calls: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    usd_micros: int = 0

    def add(self, spend: Spend) -> None:
        self.calls += 1
        self.tokens += spend.tokens
        self.usd_micros += spend.usd_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """On whose account a call goes. Several contexts may share one meter."""

    tier: Tier
    stream: str
    tenant: str
    purpose: str
    messages: int = 1
    escalation: str | None = None
    meter: Meter = field(default_factory=Meter, compare=False)


_current: ContextVar[Context] = ContextVar("sluice_model_call")


@contextmanager
def calling(context: Context) -> Iterator[Context]:
    """Every SDK call made inside, tasks started inside included, goes on this context's account."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current() -> Context:
    """The context of the running task. Raises ConfigurationError where there is none: nothing is spent unnamed."""
    try:
        return _current.get()
    except LookupError:
        raise ConfigurationError(
            "a model call without a context: every call names its tier, stream and tenant. "
            "Make it inside `with calling(Context(…))`"
        ) from None
