"""What time it is in one partition of `signals`, and which incidents it has something to do with next."""

import heapq

from processors.clock import Clock


class StreamTime:
    """Event time of one partition: of its latest message, plus the time since that one was heard of.

    Time passes only while nothing waits to be heard. A backlog that is read late, after hours without a worker, then
    counts and resolves as if it had been read at once; and what is read again after a crash meets no more of the
    clock than the first time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now_ms: float | None = None  # None: nothing was ever heard here
        self._looked_s = 0.0

    def heard(self, at_ms: int) -> None:
        """A message of that time. One from the future is of now: a wrong clock of a sender must end no alert."""
        at_ms = min(at_ms, round(self._clock.time() * 1000))
        if self._now_ms is None or at_ms > self._now_ms:
            self._now_ms = at_ms
            self._looked_s = self._clock.monotonic()

    def pass_(self, *, waiting: bool) -> int | None:
        """The time, epoch milliseconds; None where there is none yet. `waiting`: messages wait to be heard."""
        now_s = self._clock.monotonic()
        if self._now_ms is not None and not waiting:
            self._now_ms += (now_s - self._looked_s) * 1000
        self._looked_s = now_s
        return None if self._now_ms is None else round(self._now_ms)


class Agenda:
    """When to look at which key again. Takes memory for the keys that are kept, not for every change of a time."""

    def __init__(self) -> None:
        self._due_ms: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []  # entries that `_due_ms` does not agree with are dead

    def __len__(self) -> int:
        return len(self._due_ms)

    def look(self, key: bytes, due_ms: int) -> None:
        """At that time at the latest. A later time than the one it has waits for that look, which says it again: the
        due time of a busy incident moves with every message."""
        if due_ms < self._due_ms.get(key, due_ms + 1):
            self._due_ms[key] = due_ms
            heapq.heappush(self._heap, (due_ms, key))

    def forget(self, key: bytes) -> None:
        self._due_ms.pop(key, None)

    def due(self, now_ms: int, at_most: int) -> list[bytes]:
        """Keys to look at now, the most overdue first. Each is off the agenda until it is put there again."""
        keys: list[bytes] = []
        while self._heap and self._heap[0][0] <= now_ms and len(keys) < at_most:
            due_ms, key = heapq.heappop(self._heap)
            if self._due_ms.get(key) == due_ms:
                del self._due_ms[key]
                keys.append(key)
        return keys
