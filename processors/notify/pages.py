"""How many alerts a target may still be told of for the first time: so many in any hour."""

from bisect import insort

_HOUR_S = 3_600.0


class Pages:
    """Times are epoch seconds."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._at: list[float] = []  # the latest of them, in order

    def note(self, at_s: float) -> None:
        """A page was sent then. After a restart they come partition by partition, in no order."""
        insort(self._at, at_s)
        del self._at[: -self._per_hour]

    def has_room(self, now_s: float) -> bool:
        return len(self._at) < self._per_hour or self._at[0] <= now_s - _HOUR_S
