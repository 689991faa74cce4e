"""Which dead letters were sent back already, as the topic `replays` says."""

from array import array
from collections.abc import Mapping

from topics import codec
from topics.messages import Replay


class Replayed:
    """Eight bytes for each dead letter that is there, whether it was sent back or not."""

    def __init__(self, topic: str, letters: Mapping[int, range]) -> None:
        """`letters`: for each partition of the dead letters' `topic` the offsets that are there."""
        self._topic = topic
        self._letters = letters
        # When the dead letter at an offset was written, if it was sent back; else 0. The offset alone would not do:
        # a topic that was deleted and created again gives it to another dead letter.
        self._at_ms = {partition: array("q", bytes(8 * len(offsets))) for partition, offsets in letters.items()}

    def add(self, key: bytes, value: bytes | None) -> None:
        """A record of `replays`; a tombstone allows the dead letter to be sent back once more. What is about a dead
        letter that is gone is not kept. Raises ValueError for what is no such record."""
        at_ms = 0 if value is None else codec.decode(Replay, value).letter_at_ms
        topic, *place = key.decode().rsplit("/", 2)
        partition, offset = map(int, place)
        there = self._letters.get(partition, range(0))
        if topic == self._topic and offset in there:
            self._at_ms[partition][offset - there.start] = at_ms

    def has(self, partition: int, offset: int, at_ms: int) -> bool:
        """Whether the dead letter at a place, written at `at_ms` (epoch milliseconds), was sent back."""
        return self._at_ms[partition][offset - self._letters[partition].start] == at_ms
