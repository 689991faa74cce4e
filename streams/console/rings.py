"""Counts by time: so many buckets of equal width, the newest kept."""

from collections.abc import Mapping


class Ring:
    """Counts by key. Times are seconds since the epoch; what is older than the ring is not counted."""

    def __init__(self, width_s: float, buckets: int) -> None:
        self._width_s = width_s
        self._buckets = buckets
        self._counts: dict[int, dict[str, float]] = {}

    def add(self, at_s: float, now_s: float, amounts: Mapping[str, float]) -> None:
        """Adds to several keys. What a clock ahead of ours calls the future counts as now."""
        newest = self._number(now_s)
        number = min(self._number(at_s), newest)
        if number <= newest - self._buckets:
            return
        counts = self._counts.get(number)
        if counts is None:
            counts = self._counts[number] = {}
            for old in [kept for kept in self._counts if kept <= newest - self._buckets]:
                del self._counts[old]
        for key, amount in amounts.items():
            counts[key] = counts.get(key, 0.0) + amount

    def sums(self, now_s: float, since_s: float = 0.0) -> dict[str, float]:
        """All that the ring still holds, from the bucket of `since_s` on."""
        first = max(self._number(now_s) - self._buckets + 1, self._number(since_s))
        total: dict[str, float] = {}
        for number, counts in self._counts.items():
            if number >= first:
                for key, amount in counts.items():
                    total[key] = total.get(key, 0.0) + amount
        return total

    def series(self, key: str, now_s: float, points: int) -> list[float]:
        """The last `points` full buckets, oldest first, per second."""
        newest = self._number(now_s)
        numbers = range(newest - min(points, self._buckets - 1), newest)
        return [round(self._at(number, key) / self._width_s, 2) for number in numbers]

    def per_second(self, key: str, now_s: float, buckets: int) -> float:
        """The mean over the last full buckets."""
        series = self.series(key, now_s, buckets)
        return round(sum(series) / len(series), 2) if series else 0.0

    def _at(self, number: int, key: str) -> float:
        counts = self._counts.get(number)
        return counts.get(key, 0.0) if counts is not None else 0.0

    def _number(self, at_s: float) -> int:
        return int(at_s // self._width_s)
