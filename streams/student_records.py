"""The records of `students`: each student in parts, and for each stream a list of those that are kept.

A part has the key `stream/version/number` and plain bytes; the list has the key `stream` and comes after the parts of
what is new in it, in one transaction. Parts of what a list no longer names are tombstoned with it.
"""

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from topics import codec, limits
from topics.records import Record

log = logging.getLogger("sluice.students")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A student that is there."""

    version: str
    policy_version: str  # of the stream's policy, whose labels it knows
    parts: int
    bytes: int
    sha256: str  # of all parts together
    labels: int  # messages with a label that were known when it was taught
    audits: int  # the offsets of the topics up to which it was taught: what comes later is new to it
    lessons: int
    feedback: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All students of a stream, the oldest first."""

    stream: str
    students: tuple[Kept, ...]


def student_of(version: str) -> str:
    """The student of a version of the free rule, which referees name `models.student`; of memory alone, what names no
    student."""
    return version.rpartition(".")[2]


def split(dump: bytes) -> list[bytes]:
    """The parts of a dump, each of which fits a record."""
    return [dump[at : at + limits.STUDENT_PART_BYTES] for at in range(0, len(dump), limits.STUDENT_PART_BYTES)]


def digest(dump: bytes) -> str:
    return hashlib.sha256(dump).hexdigest()


def part_records(stream: str, version: str, parts: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each part."""
    for number, part in enumerate(parts):
        yield f"{stream}/{version}/{number}".encode(), part


def tombstones(stream: str, gone: Kept) -> Iterator[tuple[bytes, None]]:
    for number in range(gone.parts):
        yield f"{stream}/{gone.version}/{number}".encode(), None


def listing_record(listing: Listing) -> tuple[bytes, bytes]:
    """Key and value."""
    return listing.stream.encode(), codec.encode(listing)


def read_listing(record: Record) -> Listing | None:
    """None for anything but a list. Raises codec.Undecodable."""
    if record.key is None or record.value is None or b"/" in record.key:
        return None
    return codec.decode(Listing, record.value)


class Listings:
    """The last list of each stream, from records in the order of the topic."""

    def __init__(self) -> None:
        self.by_stream: dict[str, Listing] = {}

    def take(self, record: Record) -> None:
        """What cannot be read is told in the log, and what was known holds."""
        try:
            listing = read_listing(record)
        except codec.Undecodable as error:
            log.error("%s/%d/%d cannot be read: %s", record.topic, record.partition, record.offset, error)
            return
        if listing is not None:
            self.by_stream[listing.stream] = listing


class Shelf:
    """Puts students together from their records, in the order of the topic. Holds the bytes of whole ones until they
    are taken, and of parts until the list after them: at most STUDENTS_KEPT_MAX students of each stream, and one."""

    def __init__(self, streams: Collection[str]) -> None:
        """`streams`: whose students are wanted."""
        self.kept: dict[str, dict[str, Kept]] = {stream: {} for stream in streams}  # whole, by version, oldest first
        self._parts: dict[str, dict[tuple[str, int], bytes]] = {stream: {} for stream in streams}
        self._listings = Listings()
        self._whole: dict[tuple[str, str], bytes] = {}  # by stream and version; not taken yet

    def put(self, record: Record) -> None:
        """A record whose like was never written by a trainer is passed over."""
        stream, _, rest = (record.key or b"").decode(errors="replace").partition("/")
        if stream not in self.kept:
            return
        if rest:
            version, _, number = rest.rpartition("/")
            if version and number.isdecimal():
                self._part(stream, (version, int(number)), record.value)
            return
        self._listings.take(record)
        if stream in self._listings.by_stream:
            self._list(stream, self._listings.by_stream[stream].students)

    def take(self) -> list[tuple[str, Kept, bytes]]:
        """Whole students that were not taken before, with their streams: the oldest of a stream first."""
        return [
            (stream, kept, dump)
            for stream, versions in self.kept.items()
            for version, kept in versions.items()
            if (dump := self._whole.pop((stream, version), None)) is not None
        ]

    def _part(self, stream: str, at: tuple[str, int], value: bytes | None) -> None:
        parts = self._parts[stream]
        if value is None:
            parts.pop(at, None)
            return
        if sum(map(len, parts.values())) + len(value) > limits.STUDENT_BYTES_MAX * (limits.STUDENTS_KEPT_MAX + 1):
            log.error("more parts of students of %s than any list names: they are forgotten", stream)
            parts.clear()
        parts[at] = value

    def _list(self, stream: str, students: tuple[Kept, ...]) -> None:
        before, parts = self.kept[stream], self._parts[stream]
        now: dict[str, Kept] = {}
        for kept in students[-limits.STUDENTS_KEPT_MAX :]:
            if before.get(kept.version) == kept:
                now[kept.version] = kept
                continue
            dump = b"".join(parts.get((kept.version, number), b"") for number in range(kept.parts))
            if len(dump) == kept.bytes and digest(dump) == kept.sha256:
                now[kept.version] = kept
                self._whole[stream, kept.version] = dump
            else:
                log.error("student %s of %s is not whole and is not taken", kept.version, stream)
        for version in before.keys() - now.keys():
            self._whole.pop((stream, version), None)
        self.kept[stream] = now
        parts.clear()
