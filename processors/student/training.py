"""How a student learns: logistic loss on hashed words, calibrated on lessons that it had not seen.

scikit-learn is imported when training begins: a worker that only judges does without.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.student.features import COLUMNS, Features, features
from processors.student.lessons import Example
from processors.student.linear import Linear, Opinion
from processors.student.student import Calibration, Student, shapes
from topics.limits import (
    STUDENT_COLUMNS_MAX,
    STUDENT_LABELS_MAX,
    STUDENT_LESSONS_MAX,
    STUDENT_LESSONS_MIN,
    STUDENT_WEIGHTS_MAX,
)

_ALPHA = 1e-5
_EPOCHS_MIN, _EPOCHS_MAX, _EPOCHS_TEXTS = 5, 10, 60_000  # over few lessons oftener
_FOLDS = 5
_LABEL_LESSONS_MIN = 10  # of at least two labels
_PIECES_CHARS_MAX = 300  # a lesson, on average: in longer texts pieces of words cost much and give nothing
_TRUST_LESSONS = 50
_SIZE_FACTOR = 1.5  # of the longest lesson: what is longer is novel
_KNOWN_QUANTILE = 0.02  # of lessons that were not seen: texts of which less is known are novel


class _Set(NamedTuple):
    """Lessons, in order."""

    features: Features
    pieces: bool
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]

    def part(self, chosen: NDArray[np.bool_]) -> "_Set":
        return _Set(_of(self.features, chosen), self.pieces, self.labels[chosen], self.weights[chosen])


def train(labels: Sequence[str], lessons: Sequence[Example], *, seed: int) -> Student | None:
    """A student of those of `labels` that lessons (in order of time) name; None where they are too few to be of use:
    under STUDENT_LESSONS_MIN, or not two labels with ten each. Of more than STUDENT_LESSONS_MAX the last ones count.

    The same lessons and seed give the same student.
    """
    wanted = set(labels)
    lessons = [lesson for lesson in lessons if lesson.label in wanted and lesson.weight > 0][-STUDENT_LESSONS_MAX:]
    counts = dict.fromkeys(labels, 0)
    for lesson in lessons:
        counts[lesson.label] += 1
    taught = [label for label, count in counts.items() if count]
    enough = sum(count >= _LABEL_LESSONS_MIN for count in counts.values())
    if len(lessons) < STUDENT_LESSONS_MIN or enough < 2 or len(taught) > STUDENT_LABELS_MAX:
        return None
    number = {label: at for at, label in enumerate(taught)}
    taught_labels = np.array([number[lesson.label] for lesson in lessons])
    weights = np.array([lesson.weight for lesson in lessons])

    def seen(pieces: bool) -> _Set:
        return _Set(features([lesson.text for lesson in lessons], pieces=pieces), pieces, taught_labels, weights)

    known = seen(False)
    if not len(known.features.columns):
        return None
    if sum(len(lesson.text) for lesson in lessons) <= _PIECES_CHARS_MAX * len(lessons):
        known = _better(known, seen(True), len(taught), seed)
    opinion, right = _unseen(known, len(taught), seed)
    return Student(taught, _fit(known, len(taught), seed), _calibration(opinion, right, weights, len(taught)))


def _better(plain: _Set, rich: _Set, outputs: int, seed: int) -> _Set:
    """Pieces of words cost half of the speed, and on some streams they mislead: the newest lessons tell. They have to
    win by more than chance would give: McNemar's test, two standard deviations."""
    newest = _fold(plain) == _FOLDS - 1
    right = []
    for lessons in (plain, rich):
        asked = lessons.part(newest)
        right.append(_fit(lessons.part(~newest), outputs, seed).ready().opinion(asked.features).best == asked.labels)
    won, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    return rich if won > lost and (won - lost) ** 2 > 4 * (won + lost) else plain


def _unseen(lessons: _Set, outputs: int, seed: int) -> tuple[Opinion, NDArray[np.bool_]]:
    """What is thought of each lesson by a model that was not taught it, and whether it is right."""
    fold = _fold(lessons)
    opinions = []
    for held_out in range(_FOLDS):
        rest = lessons.part(fold != held_out)
        asked = lessons.part(fold == held_out)
        opinions.append(_fit(rest, outputs, seed).ready().opinion(asked.features))
    opinion = Opinion(*(np.concatenate(parts) for parts in zip(*opinions, strict=True)))
    return opinion, opinion.best == lessons.labels


def _fold(lessons: _Set) -> NDArray[np.int64]:
    """Folds are stretches of time, so that what changes with time shows."""
    count = len(lessons.labels)
    return np.arange(count) * _FOLDS // count


def _fit(lessons: _Set, outputs: int, seed: int) -> Linear:
    """A model of all lessons. A label without any is hardly ever answered."""
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
    from sklearn.linear_model import SGDClassifier

    texts = len(lessons.labels)
    frequency = np.bincount(lessons.features.columns, minlength=COLUMNS)
    columns = _frequent(frequency, min(STUDENT_COLUMNS_MAX, STUDENT_WEIGHTS_MAX // _width(outputs)))
    idf = np.sqrt(np.log((1 + texts) / (1 + frequency[columns])) + 1).astype(np.float16)
    row_of = np.full(COLUMNS, -1)
    row_of[columns] = np.arange(len(columns))
    rows = row_of[lessons.features.columns]
    kept = rows >= 0
    values = (1 + np.log(lessons.features.counts)) * np.where(kept, idf[rows], idf.max()).astype(np.float32)
    text_of = np.repeat(np.arange(texts), np.diff(lessons.features.starts))
    norms = np.sqrt(np.maximum(np.bincount(text_of, values * values, texts), 1e-9))
    matrix = csr_matrix(
        ((values / norms[text_of])[kept], (text_of[kept], rows[kept])), shape=(texts, len(columns)), dtype=np.float64
    )
    found: list[int] = np.unique(lessons.labels).tolist()
    weights = np.zeros((len(columns), outputs))
    intercepts = np.full(outputs, -20.0)
    if len(found) == 1:
        intercepts[found] = 20.0
    else:
        epochs = min(_EPOCHS_MAX, max(_EPOCHS_MIN, _EPOCHS_TEXTS // texts))
        model: Any = SGDClassifier(loss="log_loss", alpha=_ALPHA, max_iter=epochs, tol=None, random_state=seed)
        model.fit(matrix, lessons.labels, sample_weight=lessons.weights / lessons.weights.mean())
        both = len(found) == 2  # scikit-learn then has one output, of the second
        weights[:, found] = model.coef_.T * (-1, 1) if both else model.coef_.T
        intercepts[found] = model.intercept_ * (-1, 1) if both else model.intercept_
    if outputs == 2:
        weights, intercepts = weights[:, 1:], intercepts[1:]
    scales = np.maximum(np.abs(weights).max(axis=0), 1e-6) / 127
    steps = np.rint(weights / scales).astype(np.int8)
    return Linear(
        lessons.pieces, columns.astype(np.uint32), idf, steps, scales.astype(np.float32), intercepts.astype(np.float32)
    )


def _calibration(opinion: Opinion, right: NDArray[np.bool_], weights: NDArray[np.float64], labels: int) -> Calibration:
    """Platt's: logistic regression, with his targets, which no sample makes certain."""
    from sklearn.linear_model import LogisticRegression

    yes, no = float(weights[right].sum()), float(weights[~right].sum())
    target = np.where(right, (yes + 1) / (yes + 2), 1 / (no + 2))
    trust = _trust(opinion, right, labels)
    seen = shapes(opinion, trust)
    x, y = np.concatenate([seen, seen]), np.repeat([1, 0], len(right))
    importance = np.concatenate([weights * target, weights * (1 - target)])
    used = [0, 1, 2]
    slopes = np.zeros(3)
    intercept = float(np.log((yes + 1) / (no + 1)))
    while used:  # what would lower a score as it grows, by chance, is left out
        model: Any = LogisticRegression(C=100.0, max_iter=1_000)
        model.fit(x[:, used], y, sample_weight=importance)
        if (model.coef_[0] >= 0).all():
            slopes[used], intercept = model.coef_[0], float(model.intercept_[0])
            break
        used.pop(int(model.coef_[0].argmin()))
    first, second, third = slopes.tolist()
    known_min = float(np.quantile(opinion.known, _KNOWN_QUANTILE))
    size_max = int(opinion.sizes.max() * _SIZE_FACTOR)
    return Calibration((first, second, third), intercept, tuple(trust.tolist()), known_min, size_max)


def _trust(opinion: Opinion, right: NDArray[np.bool_], labels: int) -> NDArray[np.float64]:
    """By label, the log-odds of being right where it is answered, above that of all answers; drawn towards 0 as by
    _TRUST_LESSONS answers of the common kind."""
    share = (right.sum() + 1) / (len(right) + 2)
    answers = np.bincount(opinion.best, minlength=labels)
    shares = (np.bincount(opinion.best[right], minlength=labels) + _TRUST_LESSONS * share) / (answers + _TRUST_LESSONS)
    shares = np.clip(shares, 1e-4, 1 - 1e-4)
    trust: NDArray[np.float64] = np.log(shares / (1 - shares)) - np.log(share / (1 - share))
    return trust


def _frequent(frequency: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The columns that the most lessons have, ascending; one that none has, where all lessons are empty."""
    found = np.flatnonzero(frequency) if frequency.any() else np.zeros(1, np.int64)
    if len(found) > most:
        found = np.sort(found[np.argsort(-frequency[found], kind="stable")[:most]])
    return found


def _width(outputs: int) -> int:
    return 1 if outputs == 2 else outputs


def _of(whole: Features, chosen: NDArray[np.bool_]) -> Features:
    sizes = np.diff(whole.starts)
    kept = np.repeat(chosen, sizes)
    starts = np.concatenate([[0], np.cumsum(sizes[chosen])])
    return Features(starts, whole.columns[kept], whole.counts[kept])
