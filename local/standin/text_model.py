"""Labels for texts that are not in gold: a small linear model trained on the gold of that label set, or, without
any gold, how many words a text shares with what the prompt says about each label."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.linear_model import SGDClassifier

from local.standin.gold import GoldRecord
from local.standin.lexicon import WORD, is_catch_all, roots

EXAMPLES_MAX = 6_000  # trains in about a second
FEATURES = 2**16
TEXT_CHARS_MAX = 4_000

Weights = NDArray[np.float32]


class Example(NamedTuple):
    """A text, its label, and the half of gold that it is in."""

    text: str
    label: str
    half: int


class LinearModel:
    """Hashed words and pairs of words, logistic loss. Deterministic by its seed.

    Trained twice, on either half of the records, so that a part of a record is judged by what is in it and not by
    the memory of its rest; a text of no record is judged by both.
    """

    def __init__(self, examples: Sequence[Example], labels: tuple[str, ...], seed: int) -> None:
        """`examples` name at least two of the labels in either half."""
        self._labels = labels
        self._weights = [self._fit([e for e in examples if e.half == half], seed) for half in (0, 1)]

    def _fit(self, examples: Sequence[Example], seed: int) -> tuple[Weights, Weights]:
        """Weights (features × labels) and intercepts; a label that has no example is never answered."""
        model: Any = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=8, tol=None, random_state=seed)
        rows = [features(e.text) for e in examples]
        starts = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        matrix = csr_matrix(
            (np.concatenate([values for _, values in rows]), np.concatenate([columns for columns, _ in rows]), starts),
            shape=(len(rows), FEATURES),
        )
        model.fit(matrix, [self._labels.index(e.label) for e in examples])
        weights = np.zeros((FEATURES, len(self._labels)), np.float32)
        intercepts = np.full(len(self._labels), -np.inf, np.float32)
        if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
            weights[:, model.classes_] = model.coef_.T * (-0.5, 0.5)
            intercepts[model.classes_] = model.intercept_ * (-0.5, 0.5)
        else:
            weights[:, model.classes_] = model.coef_.T
            intercepts[model.classes_] = model.intercept_
        return weights, intercepts

    def label(self, text: str, part_of: GoldRecord | None = None) -> str:
        """The likeliest label. `part_of`: the gold record that the text belongs to, whose label is not to be used."""
        columns, values = features(text)
        halves = self._weights if part_of is None else [self._weights[1 - half_of(part_of)]]
        scores = sum(values @ weights[columns] + intercepts for weights, intercepts in halves)
        return self._labels[int(np.argmax(scores))]


def features(text: str) -> tuple[NDArray[np.int64], Weights]:
    """Columns and values of a text's hashed words and pairs of words, of length 1 together."""
    hashes = [crc32(word.encode()) for word in WORD.findall(text[:TEXT_CHARS_MAX].lower())]
    pairs = [first * 31 + second for first, second in pairwise(hashes)]
    columns, counts = np.unique(np.array(hashes + pairs, dtype=np.int64) % FEATURES, return_counts=True)
    values = counts.astype(np.float32)
    return columns, values / max(1.0, float(np.linalg.norm(values)))


def half_of(record: GoldRecord) -> int:
    """Which of the two halves of gold a record is in."""
    return crc32(record.parts[0].encode()) & 1


def train(records: Iterable[GoldRecord], labels: tuple[str, ...], seed: int) -> LinearModel | None:
    """A model of the gold that speaks about these labels; None where that is too little."""
    examples = [
        Example(text, label, half)
        for record in records
        if (label := record.label_among(labels)) is not None
        for half in (half_of(record),)
        for text in (record.parts if record.lines else (record.text[:TEXT_CHARS_MAX],))
    ]
    if len(examples) > EXAMPLES_MAX:
        examples = sorted(examples, key=lambda example: _order(example.text, seed))[:EXAMPLES_MAX]
    if any(len({e.label for e in examples if e.half == half}) < 2 for half in (0, 1)):
        return None
    return LinearModel(examples, labels, seed)


def by_meaning(text: str, meanings: Mapping[str, str]) -> str:
    """The label whose description shares most words with the text; rare words of the descriptions weigh more.

    Where none shares any: the label that says `none of the others`, else the last one.
    """
    found = roots(text)
    descriptions = _description_roots(tuple(meanings.items()))
    spread: dict[str, int] = {}
    for described in descriptions.values():
        for root in described:
            spread[root] = spread.get(root, 0) + 1
    scores = {
        label: sum(1 / spread[root] for root in described & found) / np.sqrt(4 + len(described))
        for label, described in descriptions.items()
    }
    best = max(scores, key=lambda label: scores[label])
    if scores[best] > 0:
        return best
    return next((label for label in meanings if is_catch_all(label)), list(meanings)[-1])


@lru_cache(maxsize=256)
def _description_roots(meanings: tuple[tuple[str, str], ...]) -> dict[str, set[str]]:
    return {label: roots(f"{label.replace('_', ' ')} {means}") for label, means in meanings}


def _order(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
