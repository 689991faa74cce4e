"""A bounded cache whose hits cost next to nothing: what is found moves nowhere."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Values by key; no value is None. The half of `entries_max` that was used last is kept, and up to as much more.

    Entries are of the younger or the older generation. When the younger is full it becomes the older one, which is
    forgotten whole but for what was looked up since.
    """

    def __init__(self, entries_max: int) -> None:
        self._generation_max = entries_max // 2
        self._younger: dict[K, V] = {}
        self._older: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        value = self._younger.get(key)
        if value is None:
            value = self._older.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        if len(self._younger) >= self._generation_max:
            self._older, self._younger = self._younger, {}
        self._younger[key] = value

    def forget(self, key: K) -> None:
        """Also where it is not there."""
        self._younger.pop(key, None)
        self._older.pop(key, None)
