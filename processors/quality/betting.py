"""Evidence that a rule differs from its reference in less than a share ε of cases: bets on audits.

An audit says w = 1 where the reference disagrees, else 0. A bet on "the disagreement is p, not ε" multiplies its stake
by 1 + r·λ·(ε − w) with λ = (ε − p)/(ε(1 − ε)); the audit's weight r is in 0..1. Five bets share the stake, at
p = ε·{0.02, 0.125, 0.25, 0.5, 0.75}, and E is what has become of it. Two uses, two choices of r:

- A stream with any arrivals and any predictable change of rule, each answer audited with its own probability q ≥ q_min:
  r = q_min/q. With w̄ the realised disagreement so far, P(there is a time when E ≥ 1/δ and w̄ ≥ ε) ≤ δ.
  Proof: E/Π(1 + q_min·λ·(ε − w_n)) is a martingale, and by the inequality of the means the product is at most 1
  wherever w̄ ≥ ε. Mixtures keep it; Ville's inequality does the rest.
- Uniform draws (r = 1 where every message is audited): if each draw disagrees with a chance of ε or more, E is a
  supermartingale, and P(E ever reaches 1/δ) ≤ δ.

Intervals invert the same bets at every ε: those that the bets have not refuted at 1/δ are left. They hold at all times
together (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86, 2024), for the
realised disagreement by the first proof. Counts by weight are all that is kept, so that evidence adds up in any order,
nothing is rounded on the way, and E is computed from logarithms.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import exp, inf, log, log1p, pi

from topics.limits import QUALITY_WEIGHTS_MAX

FRACTIONS = (0.02, 0.125, 0.25, 0.5, 0.75)  # of ε: the disagreements that are bet on
_BELOW = (*FRACTIONS, 0.9, 0.97)  # for an interval's upper end, which has to be near where the counts are large
_ABOVE = (1.03, 1.1, 1.33, 2.0, 4.0, 8.0, 64.0)  # for its lower end
_HALVINGS = 44  # of 0..1 until an interval's end is found
_LARGEST_LOG = 700.0  # exp of more is no float

_Key = tuple[tuple[float, int, int], ...]  # weight, audits that agreed, audits that disagreed
Counts = list[list[float]]
"""What `Evidence.dump` gives: weight, audits that agreed, audits that disagreed, for each weight."""


class Evidence:
    """Audits by their weight."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[float, list[int]] = {}  # weight: agreed, disagreed

    def add(self, weight: float, disagrees: bool) -> None:
        """One audit. `weight` is in 0..1; ValueError otherwise."""
        if not 0.0 <= weight <= 1.0:
            raise ValueError(f"a weight of {weight}: it has to be in 0 to 1, the least probability by the audit's own")
        if weight not in self._counts:
            weight = self._place(weight, disagrees)
        self._counts.setdefault(weight, [0, 0])[disagrees] += 1

    @property
    def audits(self) -> int:
        return sum(agreed + disagreed for agreed, disagreed in self._counts.values())

    @property
    def disagreements(self) -> int:
        return sum(disagreed for _, disagreed in self._counts.values())

    @property
    def weight(self) -> float:
        """Of all audits: what they count in those of weight 1."""
        return sum(weight * (agreed + disagreed) for weight, (agreed, disagreed) in self._counts.items())

    @property
    def disagreement(self) -> float | None:
        """The share, each audit weighted by the inverse of its probability (Hájek). None without audits."""
        total = self.weight
        if total == 0:
            return None
        return sum(weight * disagreed for weight, (_, disagreed) in self._counts.items()) / total

    def log_e(self, epsilon: float) -> float:
        """The logarithm of E against "the disagreement is `epsilon` or more". Zero without audits."""
        return _log_mean(self._log_products(epsilon))

    def interval(self, alpha: float) -> tuple[float, float]:
        """Of the disagreement, at confidence 1 - `alpha`, at all times together."""
        return self.lower(alpha / 2), self.upper(alpha / 2)

    def upper(self, alpha: float) -> float:
        """At confidence 1 - `alpha` the disagreement is less, at all times together."""
        return _upper(self._key(), alpha)

    def lower(self, alpha: float) -> float:
        """At confidence 1 - `alpha` the disagreement is more, at all times together."""
        return _lower(self._key(), alpha)

    def is_above(self, share: float, alpha: float) -> bool:
        """Whether `lower` is more than `share`, without a search for it."""
        return _log_above(self._key(), share) >= -log(alpha)

    def needed(self, epsilon: float, delta: float, disagreement: float) -> float:
        """About how many more audits of weight 1 until E is 1/`delta`, if the share is `disagreement`. May be inf."""
        agreed, disagreed = _logs(epsilon, 1.0)
        goal = log(len(FRACTIONS)) - log(delta)
        best = inf
        for stands, if_agreed, if_disagreed in zip(self._log_products(epsilon), agreed, disagreed, strict=True):
            growth = (1 - disagreement) * if_agreed + disagreement * if_disagreed
            if growth > 0:
                best = min(best, max(0.0, goal - stands) / growth)
        return best

    def dump(self) -> Counts:
        return [[weight, agreed, disagreed] for weight, (agreed, disagreed) in sorted(self._counts.items())]

    @classmethod
    def load(cls, counts: Iterable[Sequence[float]]) -> "Evidence":
        evidence = cls()
        evidence._counts = {float(weight): [int(agreed), int(disagreed)] for weight, agreed, disagreed in counts}
        return evidence

    def _place(self, weight: float, disagrees: bool) -> float:
        """Where there are too many weights already: one that is there, and makes E no larger than its own would."""
        if len(self._counts) < QUALITY_WEIGHTS_MAX:
            return weight
        if disagrees:
            return min((known for known in self._counts if known >= weight), default=1.0)
        return max((known for known in self._counts if known <= weight), default=0.0)

    def _log_products(self, epsilon: float) -> list[float]:
        products = [0.0] * len(FRACTIONS)
        for weight, (agreed, disagreed) in self._counts.items():
            if_agreed, if_disagreed = _logs(epsilon, weight)
            for at in range(len(products)):
                products[at] += agreed * if_agreed[at] + disagreed * if_disagreed[at]
        return products

    def _key(self) -> "_Key":
        return tuple((weight, agreed, disagreed) for weight, (agreed, disagreed) in sorted(self._counts.items()))


def version_delta(delta: float, number: int) -> float:
    """The part of `delta` for the `number`-th frozen version, from 1: they sum to `delta`, however many come."""
    return 6 * delta / (pi * number) ** 2


def finite_exp(logarithm: float) -> float:
    """For people and JSON: the largest that is shown is e^700."""
    return exp(min(logarithm, _LARGEST_LOG))


def _log_mean(logs: Sequence[float]) -> float:
    largest = max(logs)
    return largest + log(sum(exp(each - largest) for each in logs) / len(logs))


@lru_cache(maxsize=1_024)
def _logs(epsilon: float, weight: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each bet's factor, where the reference agrees and where it does not."""
    agreed = tuple(log1p(weight * epsilon * (1 - part) / (1 - epsilon)) for part in FRACTIONS)  # λε = ε(1−part)/(1−ε)
    disagreed = tuple(log1p(-weight * (1 - part)) for part in FRACTIONS)  # λ(1−ε) = 1−part
    return agreed, disagreed


@lru_cache(maxsize=4_096)  # a report asks for the same ones again: of days that are over, of trials that have ended
def _upper(counts: _Key, alpha: float) -> float:
    bound = -log(alpha)
    low, high = 0.0, 1.0 - 1e-9
    if _log_below(counts, high) < bound:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _log_below(counts, middle) >= bound else (middle, high)
    return high


@lru_cache(maxsize=4_096)
def _lower(counts: _Key, alpha: float) -> float:
    bound = -log(alpha)
    low, high = 1e-9, 1.0 - 1e-9
    if _log_above(counts, low) < bound:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_above(counts, middle) >= bound else (low, middle)
    return low


def _log_below(counts: _Key, share: float) -> float:
    """Of E against "the disagreement is `share` or more", by more bets. It grows with `share`: each factor does."""
    products = []
    for part in _BELOW:
        gain = share * (1 - part) / (1 - share)
        loss = 1 - part
        products.append(sum(agreed * log1p(w * gain) + disagreed * log1p(-w * loss) for w, agreed, disagreed in counts))
    return _log_mean(products)


def _log_above(counts: _Key, share: float) -> float:
    """Of E against "the disagreement is `share` or less". It falls with `share`: each factor does."""
    products = []
    for times in _ABOVE:
        beyond = min(times * share, (1 + share) / 2) - share
        gain, loss = beyond / share, beyond / (1 - share)
        products.append(sum(disagreed * log1p(w * gain) + agreed * log1p(-w * loss) for w, agreed, disagreed in counts))
    return _log_mean(products)
