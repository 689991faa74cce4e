"""Shuffled rounds: every text is used before any is used again."""

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Rounds(Generic[T]):
    """Deals `things` in a new random order each round."""

    def __init__(self, things: Sequence[T], rng: random.Random) -> None:
        self._things = list(things)
        self._rng = rng
        self._left: list[T] = []

    def next(self) -> T:
        if not self._left:
            self._left = self._rng.sample(self._things, len(self._things))
        return self._left.pop()
