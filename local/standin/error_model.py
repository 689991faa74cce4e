"""Answers that err as a model's do: hard items are hard for every tier, and a tier repeats its own mistakes.

Everything is a pure function of the seed, the text's fingerprint, the tier and the number of the call about that text.

An item is wrong where a standard normal exceeds the quantile of the tier's error rate:
    z = sqrt(rho) D + sqrt(1 - rho) (sqrt(kappa) P + sqrt(1 - kappa) F)
with D drawn per item, P per item and tier, F per call. So every tier has exactly its own error rate, and the errors of
two tiers, or of two calls, correlate.

Confidence is binormal: a score s ~ N(mu, 1) where the answer is right and N(0, 1) where it is wrong, with
mu = sqrt(2) Phi^-1(AUROC). The honest log-odds of being right are log((1-e)/e) + mu s - mu^2/2; overconfidence
multiplies them by the temperature.
"""

import hashlib
import math
import random
import struct
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

from local.standin.error_profile import ErrorProfile

_NORMAL = NormalDist()
_RATE_MAX = 0.95
_EIGHT = struct.Struct(">8Q")
_ALMOST_ONE = 2**64 - 2**11  # from here on the quotient would round to 1


@dataclass(frozen=True, slots=True)
class Judgement:
    """A tier's answer about one item, and what chance has in store for the batch it stands in."""

    label: str
    right: bool
    confidence: float
    copies_neighbour: bool
    broken: str | None  # missing, extra or swapped


def uniforms(*key: object) -> tuple[float, ...]:
    """Eight numbers in (0, 1) that depend on nothing but the key."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=64).digest()
    return tuple((number + 0.5) / 2**64 if number < _ALMOST_ONE else 1 - 2**-53 for number in _EIGHT.unpack(digest))


class ErrorModel:
    """The errors of all tiers under one profile and seed. Holds no state."""

    def __init__(self, profile: ErrorProfile, seed: int) -> None:
        self.profile = profile
        self._seed = seed
        self._mu = math.sqrt(2) * _NORMAL.inv_cdf(profile.auroc)
        self._rows = lru_cache(maxsize=4_096)(self._row)

    def judge(
        self,
        *,
        fingerprint: str,
        tier: str,
        call: int,
        truth: str,
        labels: tuple[str, ...],
        error_factor: float = 1.0,
        redrawn: float = 0.0,
        batched: bool = False,
    ) -> Judgement:
        """What the tier says about an item whose right label is `truth`, the `call`-th time it is asked.

        `error_factor` multiplies the tier's error rate (batches, drift); `redrawn` is drift's share of other items.
        """
        hard, wrong_shared, same, *_ = uniforms(self._seed, fingerprint)
        persistent, wrong_own, score_persistent, redraw, other, *_ = uniforms(self._seed, fingerprint, tier)
        fresh, score_fresh, copies, broken, which, *_ = uniforms(self._seed, fingerprint, tier, call)
        p = self.profile
        z = math.sqrt(p.shared) * _NORMAL.inv_cdf(hard) + math.sqrt(1 - p.shared) * self._mixed(
            other if redraw < redrawn else persistent, fresh
        )
        rate = p.tiers[tier]
        right = (
            len(labels) < 2
            or rate * error_factor <= 0
            or (z <= _NORMAL.inv_cdf(1 - min(_RATE_MAX, rate * error_factor)))
        )
        label = truth
        if not right:
            label = self._wrong_label(truth, labels, wrong_shared if same < p.same_across_tiers else wrong_own)
        score = self._mixed(score_persistent, score_fresh) + (self._mu if right else 0.0)
        return Judgement(
            label=label,
            right=right,
            confidence=self._confidence(score, rate),
            copies_neighbour=batched and copies < p.neighbour,
            broken=("missing", "extra", "swapped")[int(3 * which)] if batched and broken < p.broken_items else None,
        )

    def batch_factor(self, index: int, size: int, *, mixed: bool) -> float:
        """How much more often the message at `index` of a batch is wrong than alone."""
        p = self.profile
        factor = 1 + p.per_doubling * math.log2(size)
        if size >= 3 and 3 * index >= 2 * size:
            factor *= p.last_third
        return factor * p.mixed_sources if mixed else factor

    def _mixed(self, persistent: float, fresh: float) -> float:
        """A standard normal, part of it the same at every call."""
        kappa = self.profile.persistent
        return math.sqrt(kappa) * _NORMAL.inv_cdf(persistent) + math.sqrt(1 - kappa) * _NORMAL.inv_cdf(fresh)

    def _confidence(self, score: float, rate: float) -> float:
        rate = min(max(rate, 1e-4), _RATE_MAX)
        log_odds = math.log((1 - rate) / rate) + self._mu * score - self._mu**2 / 2
        return round(1 / (1 + math.exp(-self.profile.temperature * log_odds)), 4)

    def _wrong_label(self, truth: str, labels: tuple[str, ...], u: float) -> str:
        others, bounds = self._rows(truth, labels)
        return others[min(bisect(bounds, u * bounds[-1]), len(others) - 1)]

    def _row(self, truth: str, labels: tuple[str, ...]) -> tuple[Sequence[str], Sequence[float]]:
        """The labels that this class is taken for, with cumulative weights: given by hand, else drawn once."""
        others = [label for label in labels if label != truth]
        given = self.profile.rows.get(truth)
        if given and sum(given.get(label, 0) for label in others) > 0:
            return others, list(accumulate(given.get(label, 0) for label in others))
        draw = random.Random(f"{self._seed} {truth}")
        return others, list(accumulate(draw.gammavariate(self.profile.concentration, 1) + 1e-9 for _ in others))
