"""The running claim, which is what users are told: of what was published below the reference so far, less than ε would
have been another label. One claim for each UTC day and one since the start, each at δ of its own (see betting.py).

It holds at a moment when E is at least 1/δ then; it restarts for no new rule, and says nothing about the next one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

from processors.quality.betting import Evidence
from topics.limits import QUALITY_DAYS_MAX
from topics.messages import Means

DAY_MS = 86_400_000
_ROUNDING = 1e-9  # of a probability on its way through JSON and a division


@dataclass(slots=True)
class Period:
    """Audits of answers that were decided in it."""

    first_ms: int
    last_ms: int
    evidence: Evidence = field(default_factory=Evidence)
    too_rare: int = (
        0  # audits whose probability was below the least one: the claim is void, the proof does not cover it
    )
    lost: int = 0  # records that may have been its audits and were not read: the claim is void

    def holds(self, epsilon: float, delta: float) -> bool:
        return not self.too_rare and not self.lost and self.evidence.log_e(epsilon) >= -log(delta)


class Running:
    """Of one stream."""

    __slots__ = ("_audit_min", "days", "means", "start")

    def __init__(self, audit_min: float) -> None:
        """`audit_min`: the least probability that an answer below the reference is audited with; never changed."""
        self._audit_min = audit_min
        self.start: Period | None = None
        self.days: dict[int, Period] = {}  # by days since 1970, the latest ones
        self.means: dict[Means, Evidence] = {}  # since the start, by what answered

    def add(self, at_ms: int, probability: float, disagrees: bool, means: Means) -> None:
        """One audit of an answer below the reference."""
        if self.start is None:
            self.start = Period(at_ms, at_ms)
        periods = [self.start]
        if (of_day := self._day(at_ms)) is not None:
            periods.append(of_day)
        weight = self._audit_min / probability
        for period in periods:
            period.first_ms, period.last_ms = min(period.first_ms, at_ms), max(period.last_ms, at_ms)
            if weight > 1 + _ROUNDING:
                period.too_rare += 1
            else:
                period.evidence.add(min(weight, 1.0), disagrees)
        if weight <= 1 + _ROUNDING:
            self.means.setdefault(means, Evidence()).add(min(weight, 1.0), disagrees)

    def lose(self, since_ms: int, until_ms: int, records: int) -> None:
        """So many records are gone or cannot be read, that may have been audits of answers from then to then."""
        if self.start is None:
            self.start = Period(since_ms, until_ms)
        self.start.lost += records
        first_ms = max(since_ms, until_ms - (QUALITY_DAYS_MAX - 1) * DAY_MS)
        for day in range(first_ms // DAY_MS, until_ms // DAY_MS + 1):
            if (of_day := self._day(max(first_ms, day * DAY_MS))) is not None:
                of_day.lost += records

    def _day(self, at_ms: int) -> Period | None:
        """The period of that day. None for one that is older than those that are kept."""
        day = at_ms // DAY_MS
        if day not in self.days and len(self.days) >= QUALITY_DAYS_MAX:
            if day < min(self.days):
                return None
            del self.days[min(self.days)]
        return self.days.setdefault(day, Period(at_ms, at_ms))

    def dump(self) -> dict[str, Any]:
        return {
            "start": None if self.start is None else _dump(self.start),
            "days": [[day, *_dump(period)] for day, period in self.days.items()],
            "means": [[means, evidence.dump()] for means, evidence in self.means.items()],
        }

    @classmethod
    def load(cls, state: Mapping[str, Any], audit_min: float) -> "Running":
        running = cls(audit_min)
        running.start = None if state["start"] is None else _load(state["start"])
        running.days = {int(day): _load(period) for day, *period in state["days"]}
        running.means = {means: Evidence.load(counts) for means, counts in state["means"]}
        return running


def _dump(period: Period) -> list[Any]:
    return [period.first_ms, period.last_ms, period.too_rare, period.lost, period.evidence.dump()]


def _load(state: Sequence[Any]) -> Period:
    first_ms, last_ms, too_rare, lost, counts = state
    return Period(int(first_ms), int(last_ms), Evidence.load(counts), int(too_rare), int(lost))
