"""How many tokens a text has: near what real tokenisers count, and never exactly what the caller estimated."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

CHUNK_BYTES = 256  # granularity of counting and of prefix caching: about half a cache step of 128 tokens
SPREAD = 0.15
_LETTERS = bytes(range(65, 91)) + bytes(range(97, 123)) + b" "


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the prompt. `key` identifies its bytes within this process."""

    key: int
    tokens: float


def count(data: bytes) -> int:
    """Tokens of a text: about 4 bytes each in prose, 2.5 in log lines, ±15% by the text itself."""
    return max(1, round(sum(chunk.tokens for chunk in segment(data)))) if data else 0


def chunks(segments: Iterable[bytes]) -> Iterator[Chunk]:
    """The whole prompt, segment by segment."""
    for data in segments:
        yield from segment(data)


@lru_cache(maxsize=1_024)  # instructions and schemas are the same for every call of a stream
def segment(data: bytes) -> tuple[Chunk, ...]:
    factor = 1 + SPREAD * (2 * (crc32(data) / 0xFFFFFFFF) - 1)
    pieces = (data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))
    return tuple(Chunk(hash(piece), factor * len(piece) / _bytes_per_token(piece)) for piece in pieces)


def _bytes_per_token(piece: bytes) -> float:
    """Digits and punctuation make tokens short."""
    other = len(piece.translate(None, _LETTERS)) / len(piece)
    return max(2.3, 4.2 - 3.2 * other)
