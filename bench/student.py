"""What a student learns of labelled sources, taught their beginning and asked about their end, and its speed."""

import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

from bench.cost import compare
from bench.result import Figure, Result
from local.drive import Fed
from local.eval.sources import SourceSpec, load
from processors.errors import ConfigurationError
from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.student.lessons import Example, student_text
from processors.student.student import Student
from processors.student.training import train
from streams import settings
from topics.limits import LESSON_MAIL_CHARS_MAX

ABOUT = (
    "Real messages in the order of their files; labels are gold, nothing is simulated. Taught the first 1,000, and the "
    "first 70%; asked about the last 30%. Answers: the share that it would answer where the mean score of the answers "
    "is 98%, and how many of these are wrong; hindsight: the largest share of which 2% are wrong. Speed: texts of one "
    "core's CPU second, all at once, best of five rounds. Beside it scikit-learn's HashingVectorizer (words 1-2, 2^17 "
    "columns) with SGDClassifier and predict_proba, in the same run. The mails of 2,000 characters are those of "
    "spamassassin, repeated or cut, for the speed alone."
)
_COLUMNS = {
    "lessons": "lessons",
    "accuracy": "accuracy",
    "peer_accuracy": "sklearn's",
    "answered": "answers",
    "wrong": "wrong",
    "answered_hindsight": "hindsight",
    "train_s": "train s",
    "dump_kb": "dump KB",
    "texts_per_s": "texts/s",
    "peer_texts_per_s": "sklearn's",
    "ratio": "ratio",
}
_FIRST = 1_000
_TAUGHT = 0.7
_ERROR_MAX = 0.02
_ASKED_MAX = 2_000  # texts in one round of the comparison of speed
_SEED = 7
_WITHOUT = "logs.hdfs"  # a line of it tells nothing: its unit is the block


class _Labelled(NamedTuple):
    text: str
    label: str


def run(data: Path, seconds: float = 0.5, policies: Path = Path("bench/policies")) -> Result:
    """`seconds` for each figure of speed. Raises ConfigurationError where `data` has none of the sources."""
    lines: dict[str, dict[str, Figure]] = {}
    for name, labelled in _tasks(data, policies):
        taught = int(len(labelled) * _TAUGHT)
        for lessons in dict.fromkeys((min(_FIRST, taught), taught)):
            line = f"{name}, all" if lessons == taught else f"{name}, {_FIRST:,}"
            if figures := _measured(labelled[:lessons], labelled[taught:], seconds, speed=lessons == taught):
                lines[line] = figures
        if name == "emails.spamassassin":
            lines["mails of 2,000 characters"] = _at_length(labelled, taught, seconds)
    return Result(suite="student", about=ABOUT, columns=_COLUMNS, lines=lines)


def _tasks(data: Path, policies: Path) -> Iterator[tuple[str, list[_Labelled]]]:
    """Each source with the label that its policy asks for; dialogues again with all their labels."""
    specs = [spec for spec in load(policies).values() if spec.name != _WITHOUT and (data / spec.data).exists()]
    if not specs:
        raise ConfigurationError(f"{data}: none of the files that {policies}/sources.toml names is there.")
    for spec in specs:
        records = list(_records(data / spec.data))
        texts = _texts(spec, policies, records)
        yield spec.name, _labelled(texts, [spec.gold_of(record) for record in records])
        if spec.name.startswith("dialogues."):
            yield f"{spec.name}: intent", _labelled(texts, [record["label"] for record in records])


def _records(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file) as lines:
        for line in lines:
            yield orjson.loads(line)


def _texts(spec: SourceSpec, policies: Path, records: Sequence[dict[str, Any]]) -> list[str | None]:
    """As a student sees them, without what gold says; None for what is no message."""
    [(name, stream)] = settings.load(policies / f"{spec.name}.toml").streams.items()
    normaliser = normaliser_for(name, stream)
    texts = []
    for offset, record in enumerate(records):
        value = orjson.dumps({key: record[key] for key in ("id", "stream", "source", "time", "payload")})
        item = normaliser.read(Fed(stream.topics[0], 0, offset, 0, None, value))
        texts.append(student_text(item) if isinstance(item, Item) else None)
    return texts


def _labelled(texts: Sequence[str | None], labels: Sequence[str | None]) -> list[_Labelled]:
    return [
        _Labelled(text, label)
        for text, label in zip(texts, labels, strict=True)
        if text is not None and label is not None
    ]


def _measured(
    lessons: Sequence[_Labelled], asked: Sequence[_Labelled], seconds: float, *, speed: bool
) -> dict[str, Figure]:
    """Nothing where the lessons are too few for a student."""
    began = time.process_time()
    student = _taught(lessons)
    if student is None:
        return {}
    train_s = time.process_time() - began
    peer = _peer(lessons)
    texts, gold = [one.text for one in asked], [one.label for one in asked]
    judged = student.judge(texts)
    right = np.array([label == told for (label, _), told in zip(judged, gold, strict=True)])
    scores = np.array([score for _, score in judged])
    order = np.argsort(-scores, kind="stable")
    answered = _most(1 - scores[order])
    figures: dict[str, Figure] = {
        "lessons": len(lessons),
        "accuracy": float(right.mean()),
        "peer_accuracy": float((peer.predict(texts) == np.array(gold)).mean()),
        "answered": answered / len(asked),
        "wrong": float(1 - right[order[:answered]].mean()) if answered else None,
        "answered_hindsight": _most((~right[order]).astype(np.float64)) / len(asked),
        "train_s": train_s,
        "dump_kb": len(student.dump()) / 1024,
    }
    return figures | _speed(student, peer, texts[:_ASKED_MAX], seconds) if speed else figures


def _at_length(labelled: Sequence[_Labelled], taught: int, seconds: float) -> dict[str, Figure]:
    """Only the speed."""
    student = _taught(labelled[:taught])
    if student is None:
        return {}
    length = LESSON_MAIL_CHARS_MAX
    texts = [(f"{one.text}\n" * (length // (len(one.text) + 1) + 1))[:length] for one in labelled[taught:]]
    return _speed(student, _peer(labelled[:taught]), texts[:_ASKED_MAX], seconds)


def _speed(student: Student, peer: Any, texts: Sequence[str], seconds: float) -> dict[str, Figure]:
    works: dict[str, Callable[[], int]] = {
        "ours": lambda: len(student.judge(texts)),
        "peer": lambda: len(peer.predict_proba(texts)),
    }
    costs = compare(works, seconds)
    ours, theirs = (1e6 / costs[name].cpu_us_each for name in ("ours", "peer"))
    return {"texts_per_s": ours, "peer_texts_per_s": theirs, "ratio": ours / theirs}


def _taught(lessons: Sequence[_Labelled]) -> Student | None:
    labels = sorted({lesson.label for lesson in lessons})
    return train(labels, [Example(lesson.text, lesson.label) for lesson in lessons], seed=_SEED)


def _peer(lessons: Sequence[_Labelled]) -> Any:
    words = HashingVectorizer(ngram_range=(1, 2), n_features=2**17, alternate_sign=False)
    model = make_pipeline(words, SGDClassifier(loss="log_loss", alpha=1e-5, random_state=_SEED))
    return model.fit([lesson.text for lesson in lessons], [lesson.label for lesson in lessons])


def _most(wrong: NDArray[np.float64]) -> int:
    """How many of the first of them may be taken with a mean of at most _ERROR_MAX."""
    within = np.flatnonzero(np.cumsum(wrong) / np.arange(1, len(wrong) + 1) <= _ERROR_MAX)
    return int(within[-1]) + 1 if len(within) else 0
