"""Intervals: by hand, and what holds for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.eval import intervals
from local.eval.intervals import Pair
from local.eval.score import Judged

units = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()).map(lambda each: Pair(*each)), min_size=1)


def test_wilson_by_hand() -> None:
    found = intervals.share(5, 100)
    assert (found.low, found.high) == (pytest.approx(0.0215, abs=1e-4), pytest.approx(0.1118, abs=1e-4))
    assert intervals.share(0, 0) == intervals.Interval(0.0, 1.0)


@given(st.integers(0, 1_000), st.integers(0, 1_000))
def test_a_share_lies_in_its_interval_and_more_draws_narrow_it(yes: int, no: int) -> None:
    if yes + no == 0:
        return
    found, more = intervals.share(yes, yes + no), intervals.share(10 * yes, 10 * (yes + no))
    assert 0 <= found.low <= yes / (yes + no) + 1e-9
    assert yes / (yes + no) - 1e-9 <= found.high <= 1
    assert more.high - more.low < found.high - found.low


@given(units, st.sampled_from([None, "alert"]), st.integers(0, 99))
def test_nothing_differs_from_itself(pairs: list[Pair], positive: str | None, seed: int) -> None:
    same = [pair._replace(theirs=pair.ours) for pair in pairs]
    assert intervals.difference(same, positive, seed) == intervals.Interval(0.0, 0.0)


@given(units, st.integers(0, 99))
def test_the_difference_in_accuracy_lies_in_its_interval(pairs: list[Pair], seed: int) -> None:
    point = (sum(pair.ours for pair in pairs) - sum(pair.theirs for pair in pairs)) / len(pairs)
    found = intervals.difference(pairs, None, seed)
    assert -1 <= found.low <= point + 1e-9
    assert point - 1e-9 <= found.high <= 1


@given(units, st.sampled_from([None, "alert"]), st.integers(0, 99))
def test_the_order_of_the_units_does_not_matter(pairs: list[Pair], positive: str | None, seed: int) -> None:
    assert intervals.difference(pairs, positive, seed) == intervals.difference(pairs[::-1], positive, seed)


def test_more_units_narrow_a_difference() -> None:
    few = [Pair(True, True, True), Pair(True, False, True), Pair(True, True, False), Pair(False, False, True)] * 10
    narrow, wide = intervals.difference(few * 16, "alert", 1), intervals.difference(few, "alert", 1)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3  # the square root of 16 is 4


def test_f1_by_hand_at_its_ends() -> None:
    assert intervals.difference([Pair(True, True, False)] * 9, "alert", 1) == intervals.Interval(1.0, 1.0)
    assert intervals.difference([Pair(False, False, False)] * 9, "alert", 1) == intervals.Interval(0.0, 0.0)


def test_a_block_is_positive_where_any_of_its_lines_is() -> None:
    ours = [Judged("bad", "ok", "b1"), Judged("bad", "bad", "b1"), Judged("ok", "ok", "b2")]
    theirs = [Judged("bad", "ok", "b1"), Judged("bad", "ok", "b1"), Judged("ok", "bad", "b2")]
    assert intervals.pairs(ours, theirs, "bad") == [Pair(True, True, False), Pair(False, False, True)]
    assert intervals.pairs(ours, theirs, None) == [
        Pair(True, False, False),
        Pair(True, True, False),
        Pair(True, True, False),
    ]
