"""How often the answers about one kind of message agreed: whether it may be answered from memory, and how surely."""

import functools
import math
from collections.abc import Mapping

_NOISE = 0.05  # a model contradicts itself this often without any reason (FACTS: independent 3% errors give 5.8%)
_CHANCE = 0.01  # more contradictions than noise gives in one of so many cases are no noise
_PRIOR_ANSWERS = 2.0  # that the stream's own experience weighs


class Counts:
    """Answers by label; once there are COUNT_MAX, all of them weigh half, so that a change is noticed."""

    COUNT_MAX = 256  # a share of one in a hundred is still seen

    __slots__ = ("by_label", "run")

    def __init__(self, by_label: Mapping[str, float] | None = None) -> None:
        self.by_label: dict[str, float] = dict(by_label or {})
        self.run = 0  # how many of the latest answers agreed with each other

    def add(self, label: str) -> bool | None:
        """One more answer. Whether it agreed with what most have said; None of the first."""
        agreed = label == self.label if self.by_label else None
        self.run = self.run + 1 if agreed in (True, None) else 0
        self.by_label[label] = self.by_label.get(label, 0.0) + 1.0
        self._bound()
        return agreed

    def merge(self, others: Mapping[str, float], run: int) -> None:
        """Another worker's counts of the same. The larger count of each label holds: what is told twice counts once,
        and no contradiction is lost."""
        for label, count in others.items():
            self.by_label[label] = max(self.by_label.get(label, 0.0), count)
        self.run = run
        self._bound()

    @property
    def label(self) -> str:
        """What most answers said. ValueError where there are none."""
        return max(self.by_label, key=self.by_label.__getitem__)

    @property
    def agreeing(self) -> float:
        return max(self.by_label.values(), default=0.0)

    @property
    def total(self) -> float:
        return sum(self.by_label.values())

    @property
    def unstable(self) -> bool:
        """Whether the answers contradict each other beyond what a model's noise explains: the label hangs on what
        differs."""
        total = self.total
        return round(total - self.agreeing) >= _contradictions_min(round(total))

    def _bound(self) -> None:
        if self.total > self.COUNT_MAX:
            halved = {label: count / 2 for label, count in self.by_label.items()}
            self.by_label = {label: count for label, count in halved.items() if count >= 0.5}


class Experience:
    """How often, in a stream, an answer agreed with what its like had been answered before."""

    __slots__ = ("agreed", "contradicted")

    def __init__(self) -> None:
        self.agreed = self.contradicted = 1.0  # uniform before anything is known

    def add(self, agreed: float, contradicted: float) -> None:
        self.agreed += agreed
        self.contradicted += contradicted
        if self.agreed + self.contradicted > 10_000.0:
            self.agreed /= 2
            self.contradicted /= 2

    def score(self, counts: Counts) -> float:
        """The chance that the next answer agrees with most before it: the posterior mean of a Beta distribution whose
        prior is the stream's own experience, as much as two answers. 0 for what is unstable."""
        if counts.unstable:
            return 0.0
        prior = self.agreed / (self.agreed + self.contradicted)
        return (counts.agreeing + _PRIOR_ANSWERS * prior) / (counts.total + _PRIOR_ANSWERS)


@functools.lru_cache(2 * Counts.COUNT_MAX)
def _contradictions_min(answers: int) -> int:
    """The least number of contradictions that noise alone gives with a chance under _CHANCE (binomial tail)."""
    tail, least = 1.0, 0
    while tail >= _CHANCE and least <= answers:
        tail -= math.comb(answers, least) * _NOISE**least * (1 - _NOISE) ** (answers - least)
        least += 1
    return max(least, 2)
