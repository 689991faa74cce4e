"""The lines of a Batch job's files: ids that stay the same, and files that are not what they should be."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import RequestRefused
from processors.gateway.batch_api import Job
from processors.gateway.batch_index import Index
from processors.gateway.batch_lines import (
    Result,
    custom_id_of,
    line_of,
    mark_of,
    metadata_of,
    read_input,
    read_output,
    scope_of,
)
from tests.unit.gateway.provider import ask, response

words = st.text(max_size=20)


@given(st.tuples(words, st.binary(max_size=20), words), st.tuples(words, st.binary(max_size=20), words))
def test_two_asks_have_one_id_only_if_they_are_the_same(
    one: tuple[str, bytes, str], two: tuple[str, bytes, str]
) -> None:
    assert (custom_id_of(*one) == custom_id_of(*two)) == (one == two)
    assert len(custom_id_of(*one)) <= 64


@given(st.dictionaries(words, words, max_size=40), st.text(max_size=512))
def test_what_an_ask_is_about_comes_back_with_its_line(about: dict[str, str], note: str) -> None:
    metadata = metadata_of(ask(about=about, note=note, messages=3))
    assert len(metadata) <= 16
    assert all(len(value) <= 512 for value in metadata.values())
    line = line_of("c1", {"model": "m", "metadata": metadata})
    asked = read_input(line)
    assert asked is not None
    assert (asked.custom_id, asked.stream, asked.about) == ("c1", "logs", about)
    body = response() | {"metadata": metadata}
    done = {"custom_id": "c1", "response": {"status_code": 200, "body": body}, "error": None}
    result = read_output(orjson.dumps(done))
    assert result is not None
    assert (result.tenant, result.messages, result.about, result.note) == ("acme", 3, about, note)
    assert list(result.about) == list(about)


def test_too_much_is_refused_before_it_is_sent() -> None:
    with pytest.raises(RequestRefused, match="fewer messages"):
        metadata_of(ask(about={str(number): "x" * 100 for number in range(100)}))
    with pytest.raises(RequestRefused, match="note"):
        metadata_of(ask(note="x" * 513))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"custom_id": "a", "response": {"status_code": "x"}}',
        b'{"custom_id": "a", "body": 1, "response": 1}',
    ],
)
def test_a_line_that_is_none_is_passed_over(line: bytes) -> None:
    assert read_input(line) is None
    assert read_output(line) is None


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ({"custom_id": "a", "response": None, "error": {"code": "batch_expired"}}, 0),
        (
            {"custom_id": "a", "response": {"status_code": 400, "body": {"error": {"message": "no"}}}, "error": None},
            400,
        ),
        ({"custom_id": "a", "response": {"status_code": 200, "body": {"status": "failed"}}, "error": None}, 200),
        ({"custom_id": "a", "response": {"status_code": 200, "body": "oops"}, "error": None}, None),
    ],
)
def test_a_line_without_an_answer_says_so(line: object, status: int | None) -> None:
    result = read_output(orjson.dumps(line))
    assert (None if result is None else result.status) == status
    assert result is None or not result.answered


def test_installations_with_other_brokers_or_prefixes_are_others() -> None:
    assert len({scope_of("a:9092", "sluice."), scope_of("b:9092", "sluice."), scope_of("a:9092", "x.")}) == 3


def job(number: int, status: str = "in_progress") -> Job:
    return Job(
        id=f"batch_{number}",
        status=status,
        input_file_id=f"file-{number}",
        output_file_id=None,
        error_file_id=None,
        created_s=float(number),
        ended_s=None,
        metadata={"stream": "logs"},
        why="",
        queue_full=False,
    )


def test_jobs_and_answers_that_are_known_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.gateway.batch_index.BATCH_JOBS_MAX", 5)
    monkeypatch.setattr("processors.gateway.batch_index.BATCH_NAMES_MAX", 8)
    index = Index()
    for number in range(20):
        index.begun(job(number), [mark_of("logs", f"{number}/{name}") for name in range(2)])
    assert set(index.jobs) == {f"batch_{number}" for number in range(16, 20)}  # eight names in four jobs
    assert index.find(mark_of("logs", "3/0")) is None
    assert index.find(mark_of("logs", "19/1")) is not None
    monkeypatch.setattr("processors.gateway.batch_index.BATCH_READ_REQUESTS_MAX", 5)
    for number in range(6):
        index.ended(job(number + 100, "completed"), [failed(f"c{number}")])
    assert index.results("batch_100") is None
    index.ended(job(200, "completed"), [failed(f"d{number}") for number in range(9)])
    assert index.results("batch_200") is not None, "one job's are held however many they are"
    assert index.results("batch_105") is None
    assert index.failed([mark_of("logs", "c0")])
    assert not index.held(frozenset([mark_of("logs", "c0")]))


def test_what_has_ended_is_forgotten_before_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.gateway.batch_index.BATCH_JOBS_MAX", 2)
    index = Index()
    index.begun(job(1), [mark_of("logs", "a")])
    for number in range(2, 5):
        index.ended(job(number, "completed"), [])
    assert set(index.jobs) == {"batch_1", "batch_4"}


def test_what_a_job_was_about_and_did_not_answer_has_failed() -> None:
    """The line of a request that failed tells its custom_id, and not what it was about."""
    index = Index()
    index.begun(job(1), [mark_of("logs", name) for name in ("c0", "a", "b")])
    index.ended(job(1, "completed"), [failed("c0")])
    assert index.failed([mark_of("logs", "b")])
    assert not index.failed([mark_of("logs", "x")])


def test_no_job_is_begun_that_would_not_stay_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.gateway.batch_index.BATCH_JOBS_MAX", 8)
    monkeypatch.setattr("processors.gateway.batch_index.BATCH_NAMES_MAX", 8)
    index = Index()
    index.begun(job(1), range(3))
    assert index.has_room
    index.begun(job(2), range(3, 4))
    assert not index.has_room, "half of the names are under way"
    index.ended(job(1, "completed"), [])
    assert index.has_room
    for number in range(3, 6):
        index.begun(job(number), [])
    assert not index.has_room, "half of the jobs are under way"


def failed(custom_id: str) -> Result:
    return Result(custom_id=custom_id, status=500, reading=None, tenant="t", purpose="p", messages=1, about={}, note="")
