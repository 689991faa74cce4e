"""A small local classifier as it answers and as it travels: plain arrays, a label and a calibrated score."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from processors.student.features import COLUMNS, chunks, of_chunk
from processors.student.linear import Linear, Opinion
from topics.limits import KIB, STUDENT_BYTES_MAX, STUDENT_COLUMNS_MAX, STUDENT_LABELS_MAX, STUDENT_WEIGHTS_MAX

_MAGIC = b"sluice-student-1\n"  # another number where features or their use change
_HEADER_BYTES_MAX = 256 * KIB
_LABEL_CHARS_MAX = 64  # as a policy's names
_SIZE_MAX = 2**31
_MARGIN_MAX = 20.0  # what is further out tells no more


@dataclass(frozen=True, slots=True)
class Calibration:
    """From an opinion to the chance that the models would say the same (Platt, 1999), and what is too new for that."""

    slopes: tuple[float, float, float]  # of the columns of `shapes`; none is negative
    intercept: float
    trust: tuple[float, ...]  # by label: how much better (log-odds) it was than all together where it was answered
    known_min: float  # a text of which less is known is novel: its score is 0
    size_max: int  # one with more columns is as novel: it is much longer than any lesson

    def scores(self, opinion: Opinion) -> NDArray[np.float64]:
        """0 to 1."""
        logits = (shapes(opinion, np.array(self.trust)) * np.array(self.slopes)).sum(axis=1) + self.intercept
        chances = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        novel = (opinion.known < self.known_min) | (opinion.known <= 0) | (opinion.sizes > self.size_max)
        return np.where(novel, 0.0, chances)


def shapes(opinion: Opinion, trust: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a score is made of: (texts, 3)."""
    margin = np.minimum(opinion.margin.astype(np.float64), _MARGIN_MAX)
    return np.stack([margin, trust[opinion.best], opinion.known.astype(np.float64)], axis=1)


class Student:
    """Judges texts by what models said about earlier ones. Immutable; the same arrays, the same version."""

    def __init__(self, labels: Sequence[str], linear: Linear, calibration: Calibration) -> None:
        """`labels`: those that it has learned, at least two. Raises ValueError for arrays that do not fit."""
        _check(labels, linear, calibration)
        self._labels = tuple(labels)
        self._linear = linear
        self._calibration = calibration
        self._ready = linear.ready()
        self._version = hashlib.sha256(_MAGIC + _dumped(self._labels, linear, calibration)).hexdigest()[:12]

    @property
    def version(self) -> str:
        """12 hex digits of all that could change an answer."""
        return self._version

    @property
    def labels(self) -> tuple[str, ...]:
        """What it may answer: the labels that it had lessons of."""
        return self._labels

    def judge(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """For each text (as `student_text` has it) a label and the chance, 0 to 1, that the models would say the same.

        A text's answer does not depend on the others. What is unlike all lessons has score 0.
        """
        answers: list[tuple[str, float]] = []
        for part in chunks(texts):
            opinion = self._ready.opinion(of_chunk(part, pieces=self._linear.pieces))
            scores = self._calibration.scores(opinion).tolist()
            answers += zip([self._labels[best] for best in opinion.best.tolist()], scores, strict=True)
        return answers

    def dump(self) -> bytes:
        """For `load`, packed: a line of JSON that says what follows, then arrays. At most STUDENT_BYTES_MAX bytes."""
        return _MAGIC + zlib.compress(_dumped(self._labels, self._linear, self._calibration), 6)

    @staticmethod
    def load(data: bytes) -> "Student":
        """What `dump` gave. Sizes are checked before anything is allocated. Raises ValueError with what is wrong."""
        return _loaded(data)


_RAW_BYTES_MAX = (
    _HEADER_BYTES_MAX
    + STUDENT_COLUMNS_MAX * (np.dtype(np.uint32).itemsize + np.dtype(np.float16).itemsize)
    + STUDENT_WEIGHTS_MAX
    + STUDENT_LABELS_MAX * 2 * np.dtype(np.float32).itemsize
)
_NUMBER_MAX = 1e6  # of a scale, an intercept or a slope: sums of them stay finite


def _check(labels: Sequence[str], linear: Linear, calibration: Calibration) -> None:
    """Raises ValueError."""
    rows, outputs = linear.steps.shape
    numbers = (*calibration.slopes, calibration.intercept, *calibration.trust)
    for wrong, told in (
        (not 2 <= len(labels) <= STUDENT_LABELS_MAX, f"{len(labels)} labels: there are 2 to {STUDENT_LABELS_MAX}"),
        (len(set(labels)) != len(labels), "a label comes twice"),
        (any(not 0 < len(label) <= _LABEL_CHARS_MAX for label in labels), "a label is empty or too long"),
        (outputs != (1 if len(labels) == 2 else len(labels)), f"{outputs} outputs for {len(labels)} labels"),
        (not 0 < rows <= STUDENT_COLUMNS_MAX, f"{rows} columns: there are 1 to {STUDENT_COLUMNS_MAX}"),
        (rows * outputs > STUDENT_WEIGHTS_MAX, f"{rows * outputs} weights: at most {STUDENT_WEIGHTS_MAX}"),
        (len(linear.columns) != rows or len(linear.idf) != rows, "columns, their rarity and weights differ in number"),
        (len(calibration.trust) != len(labels), "trust and labels differ in number"),
        (len(linear.scales) != outputs or len(linear.intercepts) != outputs, "scales or intercepts differ in number"),
    ):
        if wrong:
            raise ValueError(f"no student: {told}")
    columns = linear.columns.astype(np.int64)
    if columns[-1] >= COLUMNS or (np.diff(columns) <= 0).any():
        raise ValueError(f"no student: columns do not ascend, or are not below {COLUMNS}")
    if not ((linear.idf > 0) & (linear.idf <= 100)).all():
        raise ValueError("no student: a column's rarity is not between 0 and 100")
    if not (np.abs(np.concatenate([linear.scales, linear.intercepts, np.array(numbers)])) <= _NUMBER_MAX).all():
        raise ValueError(f"no student: a number is not between -{_NUMBER_MAX:g} and {_NUMBER_MAX:g}")
    if min(calibration.slopes) < 0 or not 0 <= calibration.known_min <= 1:
        raise ValueError("no student: a slope is negative, or `known_min` is no share")


def _dumped(labels: Sequence[str], linear: Linear, calibration: Calibration) -> bytes:
    rows, outputs = linear.steps.shape
    header = {
        "labels": list(labels),
        "rows": rows,
        "outputs": outputs,
        "pieces": linear.pieces,
        "slopes": list(calibration.slopes),
        "intercept": calibration.intercept,
        "trust": list(calibration.trust),
        "known_min": calibration.known_min,
        "size_max": calibration.size_max,
    }
    gaps = np.diff(linear.columns, prepend=np.uint32(0))
    return b"".join(
        (
            orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE),
            gaps.astype("<u4").tobytes(),
            linear.idf.astype("<f2").tobytes(),
            linear.scales.astype("<f4").tobytes(),
            linear.intercepts.astype("<f4").tobytes(),
            linear.steps.tobytes(),
        )
    )


def _loaded(data: bytes) -> Student:
    if len(data) > STUDENT_BYTES_MAX:
        raise ValueError(f"no student: {len(data):,} bytes, and at most {STUDENT_BYTES_MAX:,} are read")
    if not data.startswith(_MAGIC):
        raise ValueError("no student: it does not begin as one of this version does")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(data[len(_MAGIC) :], _RAW_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"no student: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("no student: it is cut off, too long, or has something behind it")
    end = raw.find(b"\n", 0, _HEADER_BYTES_MAX)
    try:
        header = orjson.loads(raw[: max(end, 0)])
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no student: its header is no JSON: {error}") from None
    labels, pieces, calibration = _described(header)
    rows, outputs = _count(header, "rows", STUDENT_COLUMNS_MAX), _count(header, "outputs", STUDENT_LABELS_MAX)
    wanted = end + 1 + rows * 6 + outputs * 8 + rows * outputs
    if len(raw) != wanted:
        raise ValueError(f"no student: {len(raw):,} bytes, and its header says {wanted:,}")
    at = end + 1

    def taken(dtype: str, count: int) -> NDArray[Any]:
        nonlocal at
        array = np.frombuffer(raw, dtype, count, at)
        at += array.nbytes
        return array.astype(array.dtype.newbyteorder("="))

    gaps, idf, scales, intercepts = (
        taken("<u4", rows),
        taken("<f2", rows),
        taken("<f4", outputs),
        taken("<f4", outputs),
    )
    steps = taken("i1", rows * outputs).reshape(rows, outputs)
    columns = np.cumsum(gaps, dtype=np.uint64)
    if columns[-1] >= COLUMNS:
        raise ValueError(f"no student: a column is not below {COLUMNS}")
    return Student(labels, Linear(pieces, columns.astype(np.uint32), idf, steps, scales, intercepts), calibration)


def _described(header: object) -> tuple[list[str], bool, Calibration]:
    """Labels, whether there are pieces, and the calibration. Raises ValueError."""
    if not isinstance(header, dict):
        raise ValueError("no student: its header is no object")
    labels, pieces = header.get("labels"), header.get("pieces")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("no student: `labels` is no list of texts")
    if not isinstance(pieces, bool):
        raise ValueError("no student: `pieces` is neither true nor false")
    slopes, trust = _numbers(header, "slopes"), _numbers(header, "trust")
    if len(slopes) != 3:
        raise ValueError(f"no student: {len(slopes)} slopes: there are 3")
    first, second, third = slopes
    [intercept], [known_min] = (_numbers({name: [header.get(name)]}, name) for name in ("intercept", "known_min"))
    size_max = _count(header, "size_max", _SIZE_MAX)
    return labels, pieces, Calibration((first, second, third), intercept, tuple(trust), known_min, size_max)


def _numbers(header: dict[str, Any], name: str) -> list[float]:
    """Raises ValueError."""
    found = header.get(name)
    if not isinstance(found, list) or not all(type(number) in (int, float) for number in found):
        raise ValueError(f"no student: `{name}` is not made of numbers")
    return [float(number) for number in found]


def _count(header: dict[str, Any], name: str, most: int) -> int:
    """Raises ValueError."""
    count = header.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= most:
        raise ValueError(f"no student: `{name}` is no number from 1 to {most:,}")
    return count
