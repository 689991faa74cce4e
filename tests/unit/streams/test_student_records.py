"""Students travel in parts: only whole ones are taken, and only those that the list names are kept."""

import random

from streams import student_records
from streams.engine.kafka_records import KafkaRecord
from streams.student_records import Kept, Listing, Shelf
from topics import limits
from topics.records import Record

ROOM = limits.STUDENT_PART_BYTES


def kept(version: str, dump: bytes) -> Kept:
    return Kept(
        version=version,
        policy_version="p",
        parts=len(student_records.split(dump)),
        bytes=len(dump),
        sha256=student_records.digest(dump),
        labels=200,
        audits=1,
        lessons=2,
        feedback=3,
        at_ms=4,
    )


def record(key: bytes, value: bytes | None) -> Record:
    return KafkaRecord("students", 0, 0, 0, key, value, ())


def written(stream: str, dump: bytes, version: str, *others: Kept) -> list[Record]:
    """What a trainer writes for a new student beside `others`."""
    parts = student_records.part_records(stream, version, student_records.split(dump))
    listing = Listing(stream=stream, students=(*others, kept(version, dump)))
    return [record(*each) for each in (*parts, student_records.listing_record(listing))]


def dump_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def put(shelf: Shelf, records: list[Record]) -> list[tuple[str, str, bytes]]:
    for each in records:
        shelf.put(each)
    return [(stream, found.version, dump) for stream, found, dump in shelf.take()]


def test_a_student_of_several_parts_comes_whole_and_once() -> None:
    shelf, dump = Shelf(["logs"]), dump_of(2 * ROOM + 17)
    records = written("logs", dump, "v1")
    assert all(len(each.value or b"") <= ROOM for each in records)
    assert put(shelf, records) == [("logs", "v1", dump)]
    assert put(shelf, records) == []


def test_nothing_is_taken_before_the_list() -> None:
    shelf = Shelf(["logs"])
    *parts, listing = written("logs", dump_of(2 * ROOM), "v1")
    assert put(shelf, parts) == []
    assert len(put(shelf, [listing])) == 1


def test_one_that_lacks_a_part_or_has_another_is_not_taken() -> None:
    first, second, listing = written("logs", dump_of(2 * ROOM), "v1")
    assert put(Shelf(["logs"]), [first, listing]) == []
    assert put(Shelf(["logs"]), [first, record(second.key or b"", dump_of(ROOM, 2)), listing]) == []
    assert put(Shelf(["logs"]), [first, second, listing]) != []


def test_what_the_list_does_not_name_any_more_is_gone() -> None:
    shelf, one, two = Shelf(["logs"]), dump_of(10), dump_of(20)
    put(shelf, [*written("logs", one, "v1"), *written("logs", two, "v2", kept("v1", one))])
    assert list(shelf.kept["logs"]) == ["v1", "v2"]
    put(shelf, [record(*student_records.listing_record(Listing(stream="logs", students=(kept("v2", two),))))])
    assert list(shelf.kept["logs"]) == ["v2"]


def test_after_compaction_the_parts_stand_long_before_the_one_list() -> None:
    one, two = dump_of(ROOM + 1), dump_of(ROOM + 2, 2)
    older, newer = written("logs", one, "v1")[:-1], written("logs", two, "v2", kept("v1", one))
    assert [version for _, version, _ in put(Shelf(["logs"]), [*older, *newer])] == ["v1", "v2"]


def test_other_streams_and_strange_records_are_passed_over() -> None:
    shelf = Shelf(["logs"])
    strange = [(b"logs", b"no json"), (b"logs/x", b"1"), (b"logs/v/one", b"1"), (b"", b""), (b"\xff/v/0", b"1")]
    strange += [(b"logs/v/0", b"a part of none")]
    assert put(shelf, [*written("mail", b"x", "v1"), *(record(*each) for each in strange)]) == []
    assert put(shelf, written("logs", b"dump", "v1")) == [("logs", "v1", b"dump")]


def test_parts_that_no_list_names_take_no_more_room_than_students_may() -> None:
    shelf = Shelf(["logs"])
    most = limits.STUDENT_BYTES_MAX * (limits.STUDENTS_KEPT_MAX + 1)
    for number in range(2 * most // ROOM):
        shelf.put(record(b"logs/v%d/0" % number, bytes(ROOM)))
        assert sum(map(len, shelf._parts["logs"].values())) <= most


def test_of_too_long_a_list_the_newest_are_kept() -> None:
    dumps = {f"v{number}": dump_of(10, number) for number in range(limits.STUDENTS_KEPT_MAX + 2)}
    parts = [
        record(*each)
        for version, dump in dumps.items()
        for each in student_records.part_records("logs", version, [dump])
    ]
    students = tuple(kept(version, dump) for version, dump in dumps.items())
    shelf = Shelf(["logs"])
    put(shelf, [*parts, record(*student_records.listing_record(Listing(stream="logs", students=students)))])
    assert list(shelf.kept["logs"]) == list(dumps)[2:]


def test_tombstones_are_of_all_parts() -> None:
    dump = dump_of(2 * ROOM + 1)
    keys = [key for key, _ in student_records.part_records("logs", "v1", student_records.split(dump))]
    assert [key for key, value in student_records.tombstones("logs", kept("v1", dump)) if value is None] == keys
