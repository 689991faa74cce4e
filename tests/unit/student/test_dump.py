"""A student travels as bytes that anybody may have written."""

import contextlib
import io
import zlib

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.student.student import Student
from tests.unit.student.build import LABELS, lessons, student
from topics.limits import STUDENT_BYTES_MAX

MAGIC = b"sluice-student-1\n"


@pytest.mark.parametrize("labels", [LABELS[:2], LABELS])
def test_what_is_loaded_answers_the_same(labels: tuple[str, ...]) -> None:
    sent = student(labels)
    dump = sent.dump()
    received = Student.load(dump)
    texts = [one.text for one in lessons(200, seed=5)]
    assert received.judge(texts) == sent.judge(texts)
    assert received.labels == sent.labels
    assert received.version == sent.version
    assert received.dump() == dump
    assert len(dump) < STUDENT_BYTES_MAX


@settings(max_examples=200)
@given(st.data())
def test_damage_is_told_or_harmless(data: st.DataObject) -> None:
    """A cut is told, and nearly every flip. A few unpack to what zlib's checksum cannot tell from what was sent: those
    load as a student that answers as one does, and it is the SHA-256 of its parts that keeps it from being loaded."""
    dump = bytearray(student().dump())
    if data.draw(st.booleans()):
        dump[data.draw(st.integers(0, len(dump) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del dump[data.draw(st.integers(0, len(dump) - 1)) :]
    with contextlib.suppress(ValueError):
        received = Student.load(bytes(dump))
        assert len(dump) == len(student().dump())
        assert all(0 <= score <= 1 for _, score in received.judge(["node panicked", "", "server line"]))


@given(st.binary(max_size=200))
@example(b"")
def test_noise_is_refused(noise: bytes) -> None:
    for data in (noise, MAGIC + noise, MAGIC + zlib.compress(noise), MAGIC + zlib.compress(b"{}\n" + noise)):
        with pytest.raises(ValueError, match="no student"):
            Student.load(data)


_NUMBERS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.floats(), max_size=3)
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["labels", "rows", "outputs", "pieces", "slopes", "intercept", "trust", "known_min", "size_max"]
        ),
        _NUMBERS,
    )
)
def test_a_header_that_lies_is_refused_or_harmless(lies: dict[str, object]) -> None:
    """Nothing but ValueError comes of it, and no score that is none."""
    header, arrays = parts()
    told = orjson.loads(orjson.dumps({name: lie for name, lie in lies.items() if fits_json(lie)}))
    with contextlib.suppress(ValueError):
        loaded = Student.load(packed(header | told, arrays))
        assert all(0 <= score <= 1 for _, score in loaded.judge(["node panicked", "", "server line"]))


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"rows": 10**12}, "`rows`"),
        ({"rows": 60_000}, "its header says"),
        ({"outputs": 400}, "its header says"),
        ({"outputs": -1}, "`outputs`"),
        ({"labels": ["routine", "alert", "alert"]}, "twice"),
        ({"labels": ["routine", "alert", ""]}, "empty"),
        ({"labels": ["routine", "alert"]}, "differ in number|3 outputs"),
        ({"slopes": [1.0, -1.0, 1.0]}, "negative"),
        ({"slopes": [1.0]}, "there are 3"),
        ({"intercept": 1e300}, "between"),
        ({"trust": [0.0]}, "trust"),
        ({"known_min": 2}, "share"),
        ({"size_max": 0}, "size_max"),
        ({"pieces": 1}, "pieces"),
    ],
)
def test_each_lie_is_named(lie: dict[str, object], told: str) -> None:
    header, arrays = parts()
    with pytest.raises(ValueError, match=told):
        Student.load(packed(header | lie, arrays))


def test_what_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = io.BytesIO()
    packer = zlib.compressobj(9)
    for _ in range(64):
        bomb.write(packer.compress(bytes(2**20)))
    bomb.write(packer.flush())
    with pytest.raises(ValueError, match="too long"):
        Student.load(MAGIC + bomb.getvalue())


def test_more_bytes_than_any_dump_has_are_not_read() -> None:
    with pytest.raises(ValueError, match="at most"):
        Student.load(MAGIC + bytes(STUDENT_BYTES_MAX))


def test_something_behind_it_is_refused() -> None:
    with pytest.raises(ValueError, match="something behind it"):
        Student.load(student().dump() + b"x")


def parts() -> tuple[dict[str, object], bytes]:
    header, _, arrays = zlib.decompress(student().dump().removeprefix(MAGIC)).partition(b"\n")
    return orjson.loads(header), arrays


def packed(header: dict[str, object], arrays: bytes) -> bytes:
    return MAGIC + zlib.compress(orjson.dumps(header) + b"\n" + arrays)


def fits_json(value: object) -> bool:
    return not isinstance(value, int) or abs(value) < 2**63
