"""The coin that says whether the reference looks at a record: tossed for the record, and nobody outside can know it."""

import functools
import hashlib
import struct
from collections.abc import Iterable

from topics.limits import COINS_MAX
from topics.records import Record

_SIDES = 16  # of the coins of so many neighbours at once: a hash each would cost the free path a tenth
_SIDE_MAX = 2**32


class Coin:
    """Falls the same for a record whoever tosses it, by `secret` (at most 64 bytes)."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._sides = functools.lru_cache(COINS_MAX)(functools.partial(_sides, secret))

    def tossed_for(self, topic: str, records: Iterable[Record], probability: float) -> list[bool]:
        """`tossed` of each partition and offset. Neighbours share what their block costs."""
        least, sides_of = probability * _SIDE_MAX, self._sides
        tossed: list[bool] = []
        last: tuple[int, int] | None = None
        sides: tuple[int, ...] = ()
        for record in records:
            partition, offset = record.partition, record.offset
            block = offset // _SIDES
            if (partition, block) != last:
                last, sides = (partition, block), sides_of(topic, partition, block)
            tossed.append(sides[offset % _SIDES] < least)
        return tossed

    def tossed(self, topic: str, partition: int, offset: int, probability: float) -> bool:
        """True with that probability."""
        return self._sides(topic, partition, offset // _SIDES)[offset % _SIDES] < probability * _SIDE_MAX


def _sides(secret: bytes, topic: str, partition: int, block: int) -> tuple[int, ...]:
    """16 independent numbers below 2**32."""
    told = f"{topic}/{partition}/{block}".encode()
    return struct.unpack("<16I", hashlib.blake2b(told, key=secret, digest_size=64).digest())
