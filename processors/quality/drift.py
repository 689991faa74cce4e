"""Whether what was certified has become worse: an e-detector on the audits since.

Against "the disagreement is ε or less" it bets on 1.5, 2, 4, 8 and 16 times ε, and each bet begins anew whenever it has
lost its stake: M ← max(1, M)·(1 + r·η·(w − ε)). The mean of them is an e-detector, and its alarm at 5,000 comes, while
nothing is worse than ε, no sooner than after 5,000 audits in the mean; far later where the disagreement is well below
it (Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential change detection, 2023).
"""

from collections.abc import Iterable
from functools import lru_cache
from math import exp, log1p

ALARM = 5_000.0
_TIMES = (1.5, 2.0, 4.0, 8.0, 16.0)  # of ε: the disagreements that are bet on
_LARGEST_LOG = 700.0


class DriftWatch:
    """Of one certified version."""

    __slots__ = ("_epsilon", "_logs")

    def __init__(self, epsilon: float, logs: Iterable[float] = ()) -> None:
        """`logs`: what `dump` gave."""
        self._epsilon = epsilon
        self._logs = list(logs) or [0.0] * len(_TIMES)

    def add(self, weight: float, disagrees: bool) -> None:
        """One audit since; its weight in 0..1 as for the evidence (betting.py)."""
        self._logs = [
            max(0.0, stands) + factors[disagrees]
            for stands, factors in zip(self._logs, _factors(self._epsilon, weight), strict=True)
        ]

    @property
    def value(self) -> float:
        return sum(exp(min(each, _LARGEST_LOG)) for each in self._logs) / len(self._logs)

    @property
    def alarmed(self) -> bool:
        return self.value >= ALARM

    def dump(self) -> list[float]:
        return list(self._logs)


@lru_cache(maxsize=1_024)
def _factors(epsilon: float, weight: float) -> tuple[tuple[float, float], ...]:
    """Logarithms for each bet: where the reference agrees, where it does not."""
    factors = []
    for times in _TIMES:
        beyond = min(times * epsilon, (1 + epsilon) / 2) - epsilon  # η = beyond/(ε(1−ε))
        factors.append((log1p(-weight * beyond / (1 - epsilon)), log1p(weight * beyond / epsilon)))
    return tuple(factors)
