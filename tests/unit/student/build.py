"""Lessons for tests: topics with their own words, among words that all share."""

import random
from collections.abc import Sequence
from functools import cache

from processors.student.lessons import Example
from processors.student.student import Student
from processors.student.training import train

LABELS = ("routine", "alert", "noise")
COMMON = tuple(
    f"{a}{b}" for a in ("ser", "nod", "lin", "job", "dis", "tas") for b in ("ver", "ule", "king", "ter", "ony")
)
OWN = {
    "routine": ("finished", "started", "accepted", "synchronised"),
    "alert": ("panicked", "corrupted", "unreachable", "overheated"),
    "noise": ("heartbeat", "keepalive", "polling", "idle"),
}


def text(rng: random.Random, label: str, *, clear: float = 1.0) -> str:
    """Some common words, and with probability `clear` one that tells the label."""
    words = rng.choices(COMMON, k=6)
    words.insert(rng.randrange(7), rng.choice(OWN[label]) if rng.random() < clear else rng.choice(COMMON))
    return " ".join(words)


def lessons(count: int, *, seed: int = 1, clear: float = 1.0, labels: Sequence[str] = LABELS) -> list[Example]:
    rng = random.Random(seed)
    chosen = [rng.choice(labels) for _ in range(count)]
    return [Example(text(rng, label, clear=clear), label) for label in chosen]


@cache
def student(labels: tuple[str, ...] = LABELS, *, count: int = 600, clear: float = 1.0) -> Student:
    found = train(labels, lessons(count, clear=clear, labels=labels), seed=3)
    assert found is not None
    return found
