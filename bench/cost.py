"""What some work cost in time and CPU, and a fair comparison of several works on a machine that others use too."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Of `units` of work (calls, records) in this process. CPU is user and system time of all its threads."""

    units: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Units per second of wall time."""
        return self.units / self.wall_s

    @property
    def cpu_us_each(self) -> float:
        """Microseconds of CPU a unit; the same number is CPU-seconds per million units."""
        return self.cpu_s / self.units * 1e6


class Stopwatch:
    """Runs from its making."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall_s

    def cost(self, units: int) -> Cost:
        """Of `units` done so far; ValueError for none, which has no cost each."""
        if units < 1:
            raise ValueError("nothing was done in the time given: measure longer, with --seconds")
        return Cost(units, self.wall_s, time.process_time() - self._cpu_s)


def best(costs: list[Cost]) -> Cost:
    """The one that others on this machine disturbed least."""
    return min(costs, key=lambda cost: cost.cpu_us_each)


def compare(works: Mapping[str, Callable[[], int]], seconds: float) -> dict[str, Cost]:
    """The best cost of each work. A work does some units when called and gives their number.

    All take turns, `seconds` each in all, so that a noisy moment falls on every one of them.
    """
    rounds: dict[str, list[Cost]] = {name: [] for name in works}
    for work in works.values():
        work()  # caches fill
    for _ in range(_ROUNDS):
        for name, work in works.items():
            watch, units = Stopwatch(), 0
            while units == 0 or watch.wall_s < seconds / _ROUNDS:
                units += work()
            rounds[name].append(watch.cost(units))
    return {name: best(costs) for name, costs in rounds.items()}
