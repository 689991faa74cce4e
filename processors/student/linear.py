"""A linear model of hashed words: whole batches to margins, in NumPy alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.student.features import COLUMNS, Features

Floats = NDArray[np.float32]


class Opinion(NamedTuple):
    """About some texts, in their order."""

    best: NDArray[np.int64]  # which label
    margin: Floats  # by how much its logit is above the next one's
    known: Floats  # 0 to 1: the share of the text's mass that was met in training
    sizes: NDArray[np.int64]  # how many columns it has


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights as they travel. Rows are of known columns, in ascending order. Two labels have one output, which is
    positive for the second; more have one each."""

    pieces: bool  # whether its features have pieces of words
    columns: NDArray[np.uint32]  # (rows,)
    idf: NDArray[np.float16]  # (rows,): how rare a column is; a column that is not known is as rare as the rarest
    steps: NDArray[np.int8]  # (rows, outputs): weights in units of `scales`
    scales: Floats  # (outputs,)
    intercepts: Floats  # (outputs,)

    def ready(self) -> "Ready":
        """Spread out for use: 4 MiB for the columns, and four bytes a weight."""
        row_of = np.zeros(COLUMNS, np.int32)
        row_of[self.columns] = np.arange(1, len(self.columns) + 1)
        weights = np.zeros((len(self.columns) + 1, len(self.scales)), np.float32)
        np.multiply(self.steps, self.scales, out=weights[1:])
        idf = np.empty(len(self.columns) + 1, np.float32)
        idf[1:] = self.idf
        idf[0] = idf[1:].max(initial=1.0)
        return Ready(row_of, idf, weights, self.intercepts)


class Ready:
    """A Linear in use."""

    def __init__(self, row_of: NDArray[np.int32], idf: Floats, weights: Floats, intercepts: Floats) -> None:
        self._row_of = row_of
        self._idf = idf
        self._weights = weights
        self._intercepts = intercepts

    def opinion(self, features: Features) -> Opinion:
        """Of each text. What nothing is known of has margins of the intercepts alone and `known` = 0."""
        rows = self._row_of[features.columns]
        values = (1 + np.log(features.counts)) * self._idf[rows]
        squares = values * values
        mass = np.maximum(_sums(squares, features.starts), np.float32(1e-9))
        known = (_sums(squares * (rows > 0), features.starts) / mass).astype(np.float32)
        products = self._weights[rows]
        products *= values[:, None]
        logits = (_sums(products, features.starts) / np.sqrt(mass)[:, None] + self._intercepts).astype(np.float32)
        sizes = np.diff(features.starts)
        if logits.shape[1] == 1:
            margin: Floats = np.abs(logits[:, 0])
            return Opinion((logits[:, 0] > 0).astype(np.int64), margin, known, sizes)
        best = logits.argmax(axis=1)
        two: Floats = np.partition(logits, -2, axis=1)[:, -2:]
        return Opinion(best, two[:, 1] - two[:, 0], known, sizes)


def _sums(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Of each text's part; 0 where it has none."""
    padded = np.concatenate([values, np.zeros((1, *values.shape[1:]), np.float32)])  # an empty text may come last
    sums = np.add.reduceat(padded, starts[:-1], axis=0)
    sums[starts[:-1] == starts[1:]] = 0
    return sums
