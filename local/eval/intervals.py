"""How far figures of a sample may be off: Wilson's interval of a share, the paired bootstrap of a difference. Pure."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from local.eval.score import Judged

_ROUNDS = 4_000  # of the bootstrap: its bounds are then steady to a hundredth of their distance
_CELLS = 8


@dataclass(frozen=True, slots=True)
class Interval:
    """Both bounds belong to it."""

    low: float
    high: float


class Pair(NamedTuple):
    """One unit under two ways of deciding it. Where accuracy is the figure, gold is True and the others say `right`."""

    gold: bool
    ours: bool
    theirs: bool


def share(count: int, of: int, confidence: float = 0.95) -> Interval:
    """Of a share that was `count` in `of` independent draws (Wilson, 1927). All is possible where nothing was drawn."""
    if of == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def pairs(ours: Sequence[Judged], theirs: Sequence[Judged], positive: str | None) -> list[Pair]:
    """The same messages decided in two ways. With a positive class a unit is positive where any of its messages is, and
    the two may have cut the units into messages differently; without one, both are in the same order."""
    if positive is None:
        return [Pair(True, a.gold == a.label, b.gold == b.label) for a, b in zip(ours, theirs, strict=True)]
    gold = _positive(ours, positive, lambda one: one.gold)
    said = _positive(ours, positive, lambda one: one.label)
    other = _positive(theirs, positive, lambda one: one.label)
    return [Pair(gold[unit], said[unit], other.get(unit, False)) for unit in gold]


def _positive(judged: Sequence[Judged], positive: str, of: Callable[[Judged], str]) -> Mapping[Hashable, bool]:
    """By unit, in order of first sight."""
    found: dict[Hashable, bool] = {}
    for one in judged:
        found[one.unit] = found.get(one.unit, False) or of(one) == positive
    return found


def difference(units: Sequence[Pair], positive: str | None, seed: int, confidence: float = 0.95) -> Interval:
    """Of ours less theirs, in F1 where there is a positive class, else in accuracy: units are drawn anew with
    replacement, both ways of deciding a unit together (Efron and Tibshirani, 1993).

    Units of one cell of (gold, ours, theirs) are alike to both figures, so the draw is multinomial over the cells.
    """
    if not units:
        return Interval(0.0, 0.0)
    counts = np.bincount([4 * pair.gold + 2 * pair.ours + pair.theirs for pair in units], minlength=_CELLS)
    drawn = np.random.default_rng(seed).multinomial(len(units), counts / len(units), size=_ROUNDS)
    figure = _accuracy if positive is None else _f1
    differences = figure(drawn, 2) - figure(drawn, 1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, (tail, 1 - tail))
    return Interval(float(low), float(high))


def _accuracy(drawn: NDArray[np.int64], bit: int) -> NDArray[np.float64]:
    said = np.array([bool(cell & bit) for cell in range(_CELLS)])
    found: NDArray[np.float64] = drawn[:, said].sum(axis=1) / drawn.sum(axis=1)
    return found


def _f1(drawn: NDArray[np.int64], bit: int) -> NDArray[np.float64]:
    """1 where there is nothing to find and nothing raised."""
    gold = np.array([bool(cell & 4) for cell in range(_CELLS)])
    said = np.array([bool(cell & bit) for cell in range(_CELLS)])
    both, either = drawn[:, gold & said].sum(axis=1), drawn[:, gold].sum(axis=1) + drawn[:, said].sum(axis=1)
    return np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)
