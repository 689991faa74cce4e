"""Writes down every call that reached a provider: a spend record, the caller's meter, the metrics."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from processors import metrics
from processors.clock import Clock
from processors.gateway.context import Context
from processors.gateway.headers import RESOURCES
from processors.gateway.routes import Route
from topics.messages import Lane, Spend, Tier, Tokens


@dataclass(slots=True)
class Bill:
    """What one call comes to; as reserved, until an answer says otherwise."""

    usd_micros: int
    status: int = 0  # no answer
    tokens: Tokens = field(default_factory=Tokens)
    service_tier: str | None = None
    lane: Lane = "realtime"  # whose price it is
    reached: bool = True  # whether the provider has seen the call
    simulated: bool = False  # whether the answer says that no model gave it


# Looking a labelled metric up costs a microsecond, ten of them a twentieth of a call.
@lru_cache(maxsize=4_096)
def _counter(counter: Counter, *labels: str) -> Counter:
    return counter.labels(*labels)


@lru_cache(maxsize=64)
def _histogram(histogram: Histogram, *labels: str) -> Histogram:
    return histogram.labels(*labels)


@lru_cache(maxsize=64)
def _gauge(gauge: Gauge, *labels: str) -> Gauge:
    return gauge.labels(*labels)


def waiting(tier: Tier) -> Gauge:
    """Counts the calls that wait for a limit."""
    return _gauge(metrics.WAITING, tier)


class Ledger:
    """`on_spend` gets every record; it must not raise or block."""

    def __init__(self, clock: Clock, on_spend: Callable[[Spend], None]) -> None:
        self._clock = clock
        self._on_spend = on_spend

    def enter(self, route: Route, context: Context, bill: Bill, call_id: str, latency_ms: float) -> None:
        """One call that is over."""
        tier = route.tier
        spend = Spend(
            call_id=call_id,
            at_ms=int(self._clock.time() * 1000),
            tier=tier,
            model=route.model,
            lane=bill.lane,
            service_tier=bill.service_tier,
            status=bill.status,
            tokens=bill.tokens,
            usd_micros=bill.usd_micros,
            prices_as_of=route.prices[bill.lane].as_of.isoformat(),
            tenant=context.tenant,
            stream=context.stream,
            purpose=context.purpose,
            messages=context.messages,
            escalation=context.escalation,
            latency_ms=latency_ms,
            simulated=bill.simulated,
        )
        _counter(metrics.MODEL_CALLS, tier, str(bill.status)).inc()
        if bill.lane != "batch":  # a job of hours is no call
            _histogram(metrics.MODEL_SECONDS, tier).observe(latency_ms / 1000)
        if bill.status == 200:
            _counter(metrics.LANE_ANSWERS, bill.lane, tier).inc()
        _counter(metrics.LANE_USD, bill.lane, context.stream).inc(bill.usd_micros / 1_000_000)
        _counter(metrics.USD, tier, context.stream).inc(bill.usd_micros / 1_000_000)
        _counter(metrics.TOKENS, tier, "input").inc(bill.tokens.input)
        _counter(metrics.TOKENS, tier, "cached").inc(bill.tokens.cached)
        _counter(metrics.TOKENS, tier, "output").inc(bill.tokens.output)
        for resource in RESOURCES:
            _gauge(metrics.LIMIT_USE, tier, resource).set(route.limiter.used_ratio(resource))
        context.meter.add(spend)
        self._on_spend(spend)
