"""When a filled prefix pays, and that no cache key is asked for too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.prefix import CALLS_PER_KEY, Opening, Prefix

SHORT, FILLED = 1_600, 5_400  # bytes: about 350 and 1,170 tokens
PAYS = 1_152  # cached tokens of a filled call


def prefix(short_bytes: int = SHORT, filled_bytes: int = FILLED) -> Prefix:
    return Prefix("v1.logs", short_bytes, filled_bytes, "a1.")


def call(subject: Prefix, cached_tokens: float, calls: int = 25, now_s: float = 0.0) -> list[bool]:
    """Which of so many calls began filled, five seconds after each other. Those find so much, if anything is cached."""
    filled = []
    for number in range(calls):
        opening = subject.open(now_s + 5.0 * number)
        subject.heard(opening, cached_tokens if opening.filled and opening.warm else 0, now_s + 5.0 * number)
        filled.append(opening.filled)
    return filled


def test_calls_are_filled_from_the_first_on() -> None:
    assert all(call(prefix(), PAYS, calls=100))


@pytest.mark.parametrize(("cached_tokens", "pays"), [(1_152, True), (1_024, True), (900, False), (0, False)])
def test_what_is_found_in_the_cache_goes_on_and_what_is_not_rests_for_an_hour(cached_tokens: int, pays: bool) -> None:
    """826 tokens are added, and nine tenths of those that are cached are saved."""
    subject = prefix()
    assert sum(call(subject, cached_tokens)) == (25 if pays else 21)  # the first finds nothing, and says nothing
    assert subject.open(3_599.0).filled is pays
    assert subject.open(3_800.0).filled


def test_a_stream_that_never_pays_is_tried_ever_more_seldom() -> None:
    """Two calls a minute for ten days, to a server that caches nothing."""
    subject = prefix()
    filled = 0
    for number in range(10 * 24 * 120):
        now_s = number * 30.0
        opening = subject.open(now_s)
        subject.heard(opening, 0, now_s)
        filled += opening.filled
    assert filled < 0.015 * 10 * 24 * 120


def test_calls_side_by_side_cannot_find_what_none_has_left_yet() -> None:
    """A burst: no answer has come to any key. Eight keys are tried, the others stay short until these have told."""
    subject = prefix()
    burst = [subject.open(0.0) for _ in range(600)]
    assert sum(opening.filled for opening in burst) == 8 * CALLS_PER_KEY
    for opening in burst:
        subject.heard(opening, 0, 1.0)
    assert all(call(subject, PAYS, calls=100, now_s=61.0))
    assert all(subject.open(600.0).filled for _ in range(600))


def test_what_such_calls_find_all_the_same_counts() -> None:
    subject = prefix()
    for opening in [subject.open(0.0) for _ in range(30)]:
        subject.heard(opening, PAYS, 1.0)
    assert all(subject.open(2.0).filled for _ in range(600))


def test_a_prefix_that_is_found_no_more_is_given_up() -> None:
    subject = prefix()
    assert all(call(subject, PAYS, calls=500))
    assert not call(subject, 0, calls=40, now_s=2_500.0)[-1]


def test_one_miss_is_not_the_end() -> None:
    subject = prefix()
    call(subject, PAYS, calls=100)
    call(subject, 0, calls=1, now_s=500.0)
    assert all(call(subject, PAYS, calls=100, now_s=505.0))


def test_answers_to_calls_of_an_earlier_trial_say_nothing() -> None:
    subject = prefix()
    call(subject, 0)
    for _ in range(25):
        subject.heard(Opening("v1.logs.a1.0", True, True, 0), PAYS, 200.0)
    assert not subject.open(200.0).filled


@pytest.mark.parametrize(("short", "filled"), [(300, FILLED), (SHORT, 0)])
def test_where_filling_cannot_pay_it_is_not_tried(short: int, filled: int) -> None:
    assert not any(call(prefix(short, filled), PAYS))


@given(gaps=st.lists(st.floats(0, 20), min_size=1, max_size=300))
def test_no_key_has_more_than_its_calls_in_any_minute(gaps: list[float]) -> None:
    subject, now_s = prefix(), 0.0
    calls: dict[str, list[float]] = {}
    for gap in gaps:
        now_s += gap
        calls.setdefault(subject.open(now_s).key, []).append(now_s)
    for times in calls.values():
        for earlier, later in zip(times, times[CALLS_PER_KEY:], strict=False):
            assert later - earlier >= 60.0


def test_few_calls_need_one_key() -> None:
    subject = prefix()
    assert len({subject.open(number * 5.0).key for number in range(100)}) == 1
    assert len({subject.open(1_000.0 + number / 10).key for number in range(600)}) == 40
