"""How many bytes the engines of one process hold together: the part of its memory that grows with what is read."""

from topics.limits import HELD_BYTES_MAX

_LOW_WATER = 0.5  # once full, there is room again at this share: it must not flap


class Room:
    """One a process. Counted are values that wait and outputs that are not committed."""

    def __init__(self, bytes_max: int = HELD_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held: dict[object, int] = {}
        self._full = False

    def left(self, engine: object, held: int) -> bool:
        """Whether `engine`, which holds `held` bytes now, may take more. One that holds nothing always may: what is
        larger than all the room goes alone, and no engine starves by another's records that wait for hours."""
        self._held[engine] = held
        self._full = sum(self._held.values()) >= self._bytes_max * (_LOW_WATER if self._full else 1.0)
        return not self._full or held == 0
