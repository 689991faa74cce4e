"""The verdict over a trial can fail: what a broken engine would leave behind is found."""

from collections.abc import Iterable

import pytest
from aiokafka import ConsumerRecord

from tests.chaos import checks
from tests.chaos.checks import Counts, Ending
from tests.chaos.fleet import Fault
from tests.chaos.journal import Entry
from tests.chaos.load import Job
from topics import dead_letters
from topics.messages import Rejected

MS = 1_000_000
SECOND = 1_000 * MS
FREE, ASKED, REFUSED = Job("free"), Job("asked", 10), Job("refused", 10)


def record(offset: int, job: Job = FREE, key: bytes = b"k", *, value: bytes | None = None) -> ConsumerRecord:
    value = job.value() if value is None else value
    return ConsumerRecord("in", 0, offset, 0, 0, key, value, None, len(key), len(value), [])


def decided(offset: int, call: str = "", *, at: int | None = None, key: bytes = b"k", written_s: float = 9) -> Ending:
    """What a reader makes of the worker's decision, which lies at offset `at` of its topic."""
    found = record(offset if at is None else at, key=key, value=b"0/%d %s" % (offset, call.encode()))
    return checks.decision(found)._replace(written_ns=int(written_s * SECOND))


def died(offset: int, call: str) -> Ending:
    out = dead_letters.dead_letter(
        record(offset, REFUSED), Rejected("model_refused", f"AnswerRefused: {call}", 3), stage="triage", topic="dead"
    )
    return checks.dead_letter(
        ConsumerRecord("dead", 0, offset, 0, 0, out.key, out.value, None, 1, 1, list(out.headers))
    )


def asking(call: str, began_s: float, ended_s: float | None = None, offset: int = 0) -> list[Entry]:
    """A call of worker `w1`'s name `w1.1`."""
    worker = call.partition(".")[0]
    found = [Entry(int(began_s * SECOND), worker, "call", 0, offset, call)]
    return found if ended_s is None else [*found, Entry(int(ended_s * SECOND), worker, "ended", 0, offset, call)]


def count(
    inputs: Iterable[ConsumerRecord],
    endings: list[Ending],
    entries: Iterable[Entry] = (),
    faults: Iterable[Fault] = (),
    *,
    exactly_once: bool = True,
) -> Counts:
    in_order = sorted(entries)
    return checks.count(inputs, endings, in_order, list(faults), ordered=True, exactly_once=exactly_once)


def test_nothing_is_wrong_where_all_is_well() -> None:
    inputs = [record(0), record(1, ASKED), record(2, REFUSED)]
    entries = [*asking("w1.1", 1, 2, offset=1), *asking("w1.2", 1, 2, offset=2)]
    counts = count(inputs, [decided(0), decided(1, "w1.1"), died(2, "w1.2")], entries)
    assert counts.problems == []
    assert (counts.records, counts.decisions, counts.dead_letters, counts.calls) == (3, 2, 1, 2)
    assert (counts.lost, counts.duplicated, counts.disordered, counts.repeated) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("endings", "lost", "duplicated", "disordered", "problem"),
    [
        ([decided(0)], 1, 0, 0, "lost: Input(partition=0, offset=1)"),
        ([decided(0), decided(1), decided(1, at=2)], 0, 1, 0, "2 times: Input(partition=0, offset=1)"),
        ([decided(0), decided(1), died(1, "w1.1")], 0, 1, 0, "2 times: Input(partition=0, offset=1)"),
        ([decided(0, at=1), decided(1, at=0)], 0, 0, 1, "comes before"),
        ([decided(0), decided(1), decided(2)], 0, 0, 0, "of no record"),
        ([decided(0), died(1, "w1.1")], 0, 0, 0, "a dead letter, which b'free 0 0' does not ask for"),
        ([decided(0), decided(1, key=b"other")], 0, 0, 0, "key b'other' in place of b'k'"),
    ],
)
def test_what_is_wrong_with_the_outputs_is_found(
    endings: list[Ending], lost: int, duplicated: int, disordered: int, problem: str
) -> None:
    counts = count([record(0), record(1)], endings)
    assert (counts.lost, counts.duplicated, counts.disordered) == (lost, duplicated, disordered)
    assert any(problem in told for told in counts.problems), counts.problems


def test_a_decision_in_place_of_a_dead_letter_is_found() -> None:
    counts = count([record(0, REFUSED)], [decided(0)])
    assert "a decision, which b'refused 10 0' does not ask for" in counts.problems[0]


def test_a_dead_letter_that_is_not_byte_for_byte_is_found() -> None:
    counts = count([record(0, REFUSED)], [died(0, "w1.1")._replace(value=b"refused 10")])
    assert "not byte for byte" in counts.problems[0]


def test_the_order_of_different_keys_is_free() -> None:
    inputs = [record(0, key=b"a"), record(1, key=b"b")]
    assert count(inputs, [decided(0, key=b"a", at=1), decided(1, key=b"b", at=0)]).problems == []


KILLED = Fault(10 * SECOND, "w1", "killed")
RELEASED = Entry(10 * SECOND, "w1", "released", 0, -1, "-")


@pytest.mark.parametrize("ended_s", [None, 9.5], ids=["in flight", "answered, not committed"])
@pytest.mark.parametrize(
    ("entries", "faults"), [([], [KILLED]), ([RELEASED], [])], ids=["killed", "lost the partition"]
)
def test_what_was_in_flight_may_be_repeated(ended_s: float | None, entries: list[Entry], faults: list[Fault]) -> None:
    entries = [*asking("w1.1", 9, ended_s), *asking("w2.1", 12, 13), *entries]
    counts = count([record(0, ASKED)], [decided(0, "w2.1")], entries, faults)
    assert counts.problems == []
    assert (counts.calls, counts.in_flight, counts.repeated) == (2, 1, 1)


@pytest.mark.parametrize(
    ("entries", "faults", "problem"),
    [
        (asking("w1.1", 3, 4), [KILLED], "nothing happened while it was in flight"),
        (asking("w1.1", 9, 10), [], "nothing happened while it was in flight"),
        (asking("w1.1", 9), [Fault(10 * SECOND, "w3", "killed")], "nothing happened while it was in flight"),
        (asking("w1.1", 9), [RELEASED._replace(partition=1)], "nothing happened while it was in flight"),
    ],
    ids=["answered long before", "no fault", "another's fault", "another partition"],
)
def test_other_calls_may_not(entries: list[Entry], faults: list[Fault | Entry], problem: str) -> None:
    entries = [*entries, *asking("w2.1", 12, 13), *(each for each in faults if isinstance(each, Entry))]
    hit = [each for each in faults if isinstance(each, Fault)]
    counts = count([record(0, ASKED)], [decided(0, "w2.1")], entries, hit)
    assert problem in counts.problems[0]
    assert count([record(0, ASKED)], [decided(0, "w2.1")], entries, hit, exactly_once=False).problems == []


def test_a_published_answer_may_not_be_asked_for_again() -> None:
    entries = [*asking("w1.1", 8, 9), *asking("w2.1", 12, 13)]
    counts = count([record(0, ASKED)], [decided(0, "w1.1")], entries, [KILLED])
    assert "nothing happened while it was in flight" in counts.problems[0]


@pytest.mark.parametrize("ended_s", [8.2, 12.6])
def test_a_call_that_came_through_may_be_published_though_it_was_repeated(ended_s: float) -> None:
    faults = [Fault(int(8.5 * SECOND), "w1", "frozen"), Fault(int(12.5 * SECOND), "w1", "woken")]
    entries = [*asking("w1.1", 8, ended_s), *asking("w2.1", 12, 13)]
    assert count([record(0, ASKED)], [decided(0, "w1.1", written_s=12.7)], entries, faults).problems == []


def test_two_calls_at_once_for_one_record_are_found() -> None:
    entries = [*asking("w1.1", 8), *asking("w1.2", 9, 9.5)]
    counts = count([record(0, ASKED)], [decided(0, "w1.2")], entries, [KILLED])
    assert counts.problems[-1] == "call of one record twice at once in one process: w1.1 and w1.2"


def test_a_woken_workers_calls_are_told_apart_until_it_has_committed_again() -> None:
    faults = [Fault(5 * SECOND, "w1", "frozen"), Fault(9 * SECOND, "w1", "woken")]
    entries = [*asking("w2.1", 8, 8.5), *asking("w1.1", 9.5, 9.6)]
    counts = count([record(0, ASKED)], [decided(0, "w2.1")], entries, faults)
    assert (counts.problems, counts.zombie, counts.repeated) == ([], 1, 0)
    began = Entry(int(9.8 * SECOND), "w1", "began", -1, -1, "id")
    entries += [began, began._replace(at_ns=10 * SECOND, what="committed")]
    counts = count([record(0, ASKED)], [decided(0, "w2.1")], [*entries, *asking("w1.2", 11, 12)], faults)
    assert "nothing happened while it was in flight" in counts.problems[0]


def test_at_least_once_allows_duplicates_and_no_loss() -> None:
    twice = [decided(0), decided(0, at=1)]
    counts = count([record(0)], twice, exactly_once=False)
    assert (counts.problems, counts.duplicated) == ([], 1)
    assert count([record(0), record(1)], twice, exactly_once=False).problems == ["lost: Input(partition=0, offset=1)"]


def test_it_is_told_whether_a_fault_met_a_worker_at_work() -> None:
    began = Entry(8 * SECOND, "w1", "began", -1, -1, "id")
    entries = [Entry(7 * SECOND, "w1", "health", 2, 0, "-"), began]
    assert count([], [], entries, [KILLED]).faults == {"killed": 1, "at work": 1, "in a transaction": 1}
    entries += [began._replace(at_ns=9 * SECOND, what="committed")]
    assert count([], [], entries, [KILLED]).faults["in a transaction"] == 0
    assert count([], [], (), [KILLED]).faults["at work"] == 0
