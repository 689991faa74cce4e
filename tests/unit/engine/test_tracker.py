"""The tracker against a naive model: a set of done records, and a second owner that reads the commit."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import tracker as module
from streams.engine.tracker import Tracker
from topics.limits import COMMIT_METADATA_CHARS_MAX, POLL_RECORDS_MAX


def _successor(tracker: Tracker) -> Tracker:
    committed = tracker.commit()
    assert committed is not None
    return Tracker.resume(*committed)


def _offset(tracker: Tracker) -> int:
    committed = tracker.commit()
    assert committed is not None
    return committed.offset


def test_the_worked_example_of_the_module() -> None:
    tracker = Tracker(10)
    for offset in (10, 12):
        tracker.begin(offset)
    tracker.advance(16)
    successor = _successor(tracker)
    assert _offset(tracker) == 10
    assert [offset for offset in (10, 11, 12, 15, 16) if not successor.done_before(offset)] == [10, 12, 16]
    tracker.finish(10)
    assert _offset(tracker) == 12
    tracker.finish(12)
    tracker.advance(17)
    assert tracker.commit() == (17, "")


def test_a_position_past_markers_is_committed_when_nothing_is_outstanding() -> None:
    tracker = Tracker(0)
    tracker.advance(5)
    assert tracker.commit() == (5, "")
    tracker.advance(7)
    assert tracker.commit() == (7, "")


def test_metadata_of_a_foreign_tool_is_ignored() -> None:
    successor = Tracker.resume(42, "moved by hand")
    assert successor.done_before(41)
    assert not successor.done_before(42)


def test_a_record_that_an_earlier_owner_left_and_that_is_gone_does_not_hold_the_commit() -> None:
    tracker = Tracker(3, 8, [3, 5])
    tracker.begin(3)
    tracker.finish(3)
    tracker.advance(4)
    assert _offset(tracker) == 5
    tracker.advance(6)  # 5 was compacted away: it is passed without being delivered
    assert tracker.commit() == (8, "")


def test_a_commit_before_the_inherited_part_is_read_again_keeps_what_it_says() -> None:
    tracker = Tracker(3, 100, [3, 50, 70])
    tracker.finish(3)
    tracker.advance(4)
    successor = _successor(tracker)
    assert [offset for offset in range(3, 101) if not successor.done_before(offset)] == [50, 70, 100]


def test_crowded_comes_before_the_metadata_is_full_and_after_a_thousand_scattered_records() -> None:
    rng = random.Random(7)
    tracker = Tracker(0)
    offset = 0
    while not tracker.crowded:
        offset += rng.randrange(1, 1_000)
        tracker.begin(offset)
        tracker.advance(offset + 1)
    assert tracker.outstanding > 1_000
    assert tracker.commit() is not None, "all of them are named"


def test_twenty_thousand_records_that_wait_close_together_are_named_by_bits() -> None:
    rng = random.Random(7)
    tracker, waiting, offset = Tracker(5), [], 5
    while not tracker.crowded:
        for _ in range(POLL_RECORDS_MAX):
            if rng.random() < 0.9:
                tracker.begin(offset)
                waiting.append(offset)
            offset += 1
        tracker.advance(offset)
    assert len(waiting) > 20_000
    committed = tracker.commit()
    assert committed is not None
    assert len(committed.metadata) <= COMMIT_METADATA_CHARS_MAX
    successor = Tracker.resume(*committed)
    assert [each for each in range(5, offset + 5) if not successor.done_before(each)] == [
        *waiting,
        *range(offset, offset + 5),
    ]
    for each in waiting[:-3]:
        tracker.finish(each)
    (successor, last) = _successor(tracker), waiting[-3:]
    assert [each for each in range(offset) if not successor.done_before(each)] == last


@given(st.sets(st.integers(0, 400), min_size=1), st.integers(0, 2**40), st.integers(1, 30))
def test_bits_say_what_gaps_say(waiting: set[int], start: int, beyond: int) -> None:
    tracker = Tracker(start)
    for offset in sorted(waiting):
        tracker.begin(start + offset)
    tracker.advance(start + max(waiting) + beyond)
    bits, gaps = tracker._commit_bits(), tracker.commit()
    assert bits is not None
    assert gaps is not None
    one, other = Tracker.resume(*bits), Tracker.resume(*gaps)
    assert bits.offset == gaps.offset
    assert one.inherited_end == other.inherited_end
    for offset in range(start, start + 440):
        assert one.done_before(offset) == other.done_before(offset)


def test_while_not_all_can_be_named_there_is_no_commit_and_records_that_end_bring_it_back() -> None:
    tracker = Tracker(0)
    waiting = list(range(0, 50_000, 10))
    for offset in waiting:
        tracker.begin(offset)
    tracker.advance(50_000)
    assert tracker.commit() is None
    random.Random(7).shuffle(waiting)
    while tracker.commit() is None:
        tracker.finish(waiting.pop())
    assert len(waiting) > 1_000
    successor = _successor(tracker)
    assert all(successor.done_before(offset) == (offset not in waiting) for offset in range(0, 50_000, 10))


@given(st.lists(st.integers(1, 2_000), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_names_never_need_more_room_when_a_record_ends(gaps: list[int], rng: random.Random) -> None:
    """So what fits once, fits until more is taken; but for the length in front, for which room is kept."""
    tracker = Tracker(0)
    waiting = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    for offset in waiting:
        tracker.begin(offset)
    tracker.advance(waiting[-1] + 1)
    waiting_end = waiting[-1] + 1
    rng.shuffle(waiting)
    before = 10_000
    while waiting:
        committed = tracker.commit()
        assert committed is not None
        names = len(committed.metadata) - len(module._encode(waiting_end - committed.offset))
        assert names <= before
        before = names
        tracker.finish(waiting.pop())


@pytest.mark.parametrize("number", [0, 31, 32, 1023, 1024, 2**40, 2**62])
def test_large_gaps_survive_the_text(number: int) -> None:
    tracker = Tracker(5)
    tracker.begin(5)
    tracker.begin(6 + number)
    tracker.advance(7 + number)
    successor = _successor(tracker)
    assert not successor.done_before(6 + number)
    assert successor.done_before(5 + number) is (number > 0)
    assert successor.inherited_end == 7 + number


@pytest.mark.parametrize("chars_max", [COMMIT_METADATA_CHARS_MAX, 20])
@settings(max_examples=200)
@given(data=st.data())
def test_owners_that_come_and_go_repeat_nothing_done_and_lose_nothing(data: st.DataObject, chars_max: int) -> None:
    """Several owners in a row; each delivers some records, finishes some, commits at times and then dies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COMMIT_METADATA_CHARS_MAX", chars_max)  # short enough to overflow in small cases
        _owners_that_come_and_go(data, chars_max)


def _owners_that_come_and_go(data: st.DataObject, chars_max: int) -> None:
    gaps = data.draw(st.lists(st.integers(1, 3) | st.integers(30, 5_000), min_size=1, max_size=40))
    log = [sum(gaps[: i + 1]) for i in range(len(gaps))]  # delivered offsets; what lies between never comes
    committed: tuple[int, str] = (0, "")
    published: set[int] = set()  # what a reader of committed outputs sees
    for _ in range(data.draw(st.integers(1, 4))):
        tracker = Tracker.resume(*committed)
        index = next((i for i, offset in enumerate(log) if offset >= committed[0]), len(log))
        running: list[int] = []
        in_transaction: set[int] = set()
        for _ in range(data.draw(st.integers(0, 60))):
            step = data.draw(st.sampled_from(["deliver", "ready", "finish", "commit"]))
            if step in ("deliver", "ready") and index < len(log):
                offset = log[index]
                index += 1
                assert tracker.done_before(offset) == (offset in published)
                if offset in published:
                    pass
                elif step == "deliver":
                    tracker.begin(offset)
                    running.append(offset)
                else:
                    tracker.finish(offset)
                    in_transaction.add(offset)
                tracker.advance(offset + 1)
            elif step == "finish" and running:
                offset = running.pop(data.draw(st.integers(0, len(running) - 1)))
                tracker.finish(offset)
                in_transaction.add(offset)
            elif step == "commit":
                if (at := tracker.commit()) is None:
                    continue
                committed = at
                published |= in_transaction
                in_transaction = set()
                assert len(committed[1]) <= chars_max
                not_done = [offset for offset in log if offset not in published]
                assert committed[0] <= min(not_done, default=committed[0])
    successor = Tracker.resume(*committed)
    for offset in log:
        assert successor.done_before(offset) == (offset in published)
