"""What the stand-in has served, for tests, reports and benches."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from local.standin.billing import Usage


@dataclass(slots=True)
class _Served:
    """One model's calls."""

    calls: int = 0
    refused: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    usd_micros: float = 0.0


@dataclass(slots=True)
class Statistics:
    """Counts since the start. `faults` are those that struck, by kind; `statuses` are of the model paths only."""

    served: dict[str, _Served] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)  # lines of Batch jobs that were answered, by custom_id
    in_flight: int = 0
    in_flight_max: int = 0

    def enter(self) -> None:
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def answered(self, model: str, usage: Usage, usd_micros: float) -> None:
        served = self.served.setdefault(model, _Served())
        served.calls += 1
        served.input_tokens += usage.input
        served.cached_tokens += usage.cached
        served.output_tokens += usage.output
        served.usd_micros += usd_micros

    def refused(self, model: str) -> None:
        self.served.setdefault(model, _Served()).refused += 1

    def report(self, found: Counter[str]) -> dict[str, Any]:
        """`found`: messages judged, by how their text was found in gold."""
        messages = sum(found.values())
        return {
            "calls": sum(served.calls for served in self.served.values()),
            "usd": round(sum(served.usd_micros for served in self.served.values()) / 1e6, 6),
            "models": {
                name: {
                    "calls": served.calls,
                    "refused": served.refused,
                    "input_tokens": served.input_tokens,
                    "cached_tokens": served.cached_tokens,
                    "output_tokens": served.output_tokens,
                    "usd": round(served.usd_micros / 1e6, 6),
                }
                for name, served in self.served.items()
            },
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "faults": dict(self.faults),
            "batch": {
                "answered": self.paid.total(),
                "answered_twice": sum(count > 1 for count in self.paid.values()),
            },
            "concurrency_max": self.in_flight_max,
            "messages_judged": messages,
            "messages_by_match": dict(found),
            "match_rate": round((messages - found["unknown"]) / messages, 4) if messages else None,
        }
