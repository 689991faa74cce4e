"""Which records of one partition are done, and how a commit says so.

Results finish in any order. The commit's offset is the first record that is not done; its metadata names every
record that is *not* done between there and `end`, so that the next owner repeats nothing that is published.
Naming the outstanding records, not the done ones, needs no word for offsets that were never delivered
(transaction markers, aborted and compacted records).

Worked example: 10, 11, 12, 15 are delivered (13 and 14 are an aborted record and its marker), 11 and 15 are done.
The commit is offset 10 with metadata for "end 16, outstanding 10 and 12": a new owner takes 10 and 12, recalls 11
and 15, takes 16. Once 10 and 12 are done the commit is the consumer's position, 17 if a marker follows 15.

Where gaps take too many characters, as where thousands of log lines wait for the end of their sessions, the metadata
has a bit for each offset instead: 23,000 offsets fit, however many of them wait.
"""

import base64
import math
from collections.abc import Iterable

from streams.engine.broker import Committed
from topics.limits import COMMIT_METADATA_CHARS_MAX, POLL_RECORDS_MAX

# Of our own metadata; any other text was written by a tool that moved the offset, and says nothing.
_TAG = "s1."  # gaps between outstanding offsets: short where few are
_BITS_TAG = "s2."  # one bit an offset, six a digit: short where many are, as the lines of open sessions
_BITS = 6
_ONE = ord("1")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_MORE = 32  # five bits a digit, low ones first; this bit says that another digit follows
_LAST_DIGITS = b"-_"  # of base64 with these digits
_GAPS_MAX = COMMIT_METADATA_CHARS_MAX  # more can only be told by bits
_NUMBER_DIGITS_MAX = 13  # of a 63-bit offset
_CROWDED_CHARS = COMMIT_METADATA_CHARS_MAX - 2 * POLL_RECORDS_MAX - 2 * _NUMBER_DIGITS_MAX  # one more poll has to fit
# The same of bits, with room for a poll whose offsets have as many gaps as records.
_CROWDED_SPAN = _BITS * (COMMIT_METADATA_CHARS_MAX - len(_BITS_TAG) - _NUMBER_DIGITS_MAX) - 2 * POLL_RECORDS_MAX


class Tracker:
    """Offsets of one partition from one commit on. The caller hands over records in offset order.

    Every method is O(1), but `commit` is O(outstanding).
    """

    def __init__(self, start: int, end: int | None = None, outstanding: Iterable[int] = ()) -> None:
        """`start` is the committed offset, `end` and `outstanding` what its metadata says (see `resume`)."""
        self._inherited_end = max(start, start if end is None else end)
        self._end = self._inherited_end  # everything below is done or outstanding
        self._outstanding = dict.fromkeys(sorted(outstanding))  # a dict keeps the order and deletes in O(1)
        self._not_delivered = set(self._outstanding)  # an earlier owner left them, and they have not come yet

    @classmethod
    def resume(cls, offset: int, metadata: str) -> "Tracker":
        """From what an earlier owner committed. Metadata that is not ours says nothing and is ignored."""
        if metadata.startswith(_BITS_TAG):
            return cls._resume_bits(offset, metadata[len(_BITS_TAG) :])
        if not metadata.startswith(_TAG):
            return cls(offset)
        length, *gaps = _decode(metadata[len(_TAG) :])
        outstanding = [offset]
        for gap in gaps:
            outstanding.append(outstanding[-1] + gap + 1)
        return cls(offset, offset + length, outstanding)

    @classmethod
    def _resume_bits(cls, offset: int, told: str) -> "Tracker":
        digits = next(at for at, digit in enumerate(told, 1) if _VALUES[digit] < _MORE)
        (length,) = _decode(told[:digits])
        padded = told[digits:] + "A" * (-len(told[digits:]) % 4)
        packed = base64.b64decode(padded, _LAST_DIGITS)
        bits = f"{int.from_bytes(packed):0{8 * len(packed)}b}"
        return cls(offset, offset + length, (offset + at for at, bit in enumerate(bits) if bit == "1"))

    @property
    def inherited_end(self) -> int:
        """From here on no record was done by an earlier owner."""
        return self._inherited_end

    @property
    def outstanding(self) -> int:
        """How many records are not done, those among them that have not been delivered again."""
        return len(self._outstanding)

    def done_before(self, offset: int) -> bool:
        """Whether an earlier owner published this record's outputs, so that it must not be taken again."""
        return offset < self._inherited_end and offset not in self._not_delivered

    def begin(self, offset: int) -> None:
        """The record is delivered and has to be waited for."""
        self._outstanding[offset] = None
        self._not_delivered.discard(offset)

    def finish(self, offset: int) -> None:
        """The record's outputs are in the transaction that commits next."""
        self._outstanding.pop(offset, None)
        self._not_delivered.discard(offset)

    def advance(self, position: int) -> None:
        """Every record below `position` is delivered; those that did not `begin` are done."""
        self._end = max(self._end, position)
        if self._not_delivered:
            for offset in [offset for offset in self._not_delivered if offset < position]:
                self.finish(offset)  # compacted or expired meanwhile: it never comes

    @property
    def crowded(self) -> bool:
        """Whether so many records are outstanding that their names may soon fill a commit: take no more.

        By an upper bound that never falls short: the sum of the gaps' digits is largest when all gaps are equal,
        because the logarithm is concave. Or by what bits take, whichever is less.
        """
        count = len(self._outstanding)
        if count < 2 or (span := self._end - next(iter(self._outstanding))) <= _CROWDED_SPAN:
            return False
        mean_gap = max(span, count) / count
        return len(_TAG) + _NUMBER_DIGITS_MAX + count * (1 + math.log2(mean_gap) / 5) > _CROWDED_CHARS

    def commit(self) -> Committed | None:
        """Offset and metadata that say what is done. None where the outstanding records cannot all be named: then
        nothing may be published yet, because a new owner would repeat it.

        That passes: names only become fewer and shorter while nothing is taken (two gaps that become one have
        together at least as many digits as it). Where `crowded` is heeded, only a topic with large gaps comes to it.
        """
        if not self._outstanding:
            return Committed(self._end, "")
        if len(self._outstanding) > _GAPS_MAX:
            return self._commit_bits()
        offsets = iter(self._outstanding)
        first = previous = next(offsets)
        gaps = []
        for offset in offsets:
            gaps.append(_encode(offset - previous - 1))
            previous = offset
        metadata = _TAG + _encode(self._end - first) + "".join(gaps)
        return Committed(first, metadata) if len(metadata) <= COMMIT_METADATA_CHARS_MAX else self._commit_bits()

    def _commit_bits(self) -> Committed | None:
        first = next(iter(self._outstanding))
        length = self._end - first
        if length > _BITS * COMMIT_METADATA_CHARS_MAX:
            return None
        bits = bytearray(b"0") * (-(-length // 8) * 8)
        for offset in self._outstanding:
            bits[offset - first] = _ONE
        packed = int(bits, 2).to_bytes(len(bits) // 8)
        digits = base64.b64encode(packed, _LAST_DIGITS).decode().rstrip("=")
        metadata = _BITS_TAG + _encode(length) + digits
        return Committed(first, metadata) if len(metadata) <= COMMIT_METADATA_CHARS_MAX else None


def _encode(number: int) -> str:
    digits = ""
    while number >= _MORE:
        digits += _DIGITS[number % _MORE + _MORE]
        number //= _MORE
    return digits + _DIGITS[number]


def _decode(text: str) -> list[int]:
    numbers: list[int] = []
    number, weight = 0, 1
    for digit in text:
        value = _VALUES[digit]
        number += value % _MORE * weight
        weight *= _MORE
        if value < _MORE:
            numbers.append(number)
            number, weight = 0, 1
    return numbers
