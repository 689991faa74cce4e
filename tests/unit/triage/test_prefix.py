"""When a filled prefix pays, and that no cache key is asked for too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.prefix import CALLS_PER_KEY, Prefix

SHORT, FILLED = 1_600, 4_800  # bytes: 400 and 1,200 tokens


def prefix(short_bytes: int = SHORT) -> Prefix:
    """After ten calls of four bytes a token."""
    made = Prefix("v1.logs", short_bytes, "a1.")
    for _ in range(10):
        made.heard(8_000, 2_000, 0, filled=False, now_s=0.0)
    return made


def hear(subject: Prefix, cached_tokens: float, calls: int = 25, now_s: float = 0.0) -> None:
    for _ in range(calls):
        subject.heard(8_000, 2_000, cached_tokens, filled=subject.pays, now_s=now_s)


def test_nothing_is_filled_before_tokens_are_measured() -> None:
    subject = Prefix("v1.logs", SHORT, "a1.")
    assert not subject.wants_filling(0.0)
    assert prefix().wants_filling(0.0)
    assert prefix().bytes_wanted == 1_152 * 4


@pytest.mark.parametrize(("cached_share", "pays"), [(1.0, True), (0.8, True), (0.68, False), (0.0, False)])
def test_what_is_found_in_the_cache_goes_on_and_what_is_not_rests_for_an_hour(cached_share: float, pays: bool) -> None:
    """1,200 tokens beat 400 where more than 74% of them are cached: 1200 (1 - 0.9 h) < 400."""
    subject = prefix()
    subject.filled_to(FILLED, 0.0)
    hear(subject, 1_200 * cached_share)
    assert subject.pays is pays
    assert not subject.wants_filling(3_599.0)
    assert subject.wants_filling(3_601.0) is not pays


def test_a_prefix_that_was_never_found_may_have_been_too_short() -> None:
    subject = prefix()
    subject.filled_to(FILLED, 0.0)
    hear(subject, 0)
    assert subject.bytes_wanted == 2_304 * 4


def test_a_prefix_that_is_found_no_more_is_given_up() -> None:
    subject = prefix()
    subject.filled_to(FILLED, 0.0)
    hear(subject, 1_200, calls=500)
    assert subject.pays
    hear(subject, 0, calls=25)
    assert not subject.pays


def test_too_few_examples_are_tried_again_in_an_hour() -> None:
    subject = prefix()
    subject.filled_to(0, 0.0)
    assert not subject.wants_filling(10.0)
    assert subject.wants_filling(3_601.0)


def test_instructions_that_are_cached_as_they_are_get_no_filling() -> None:
    assert not prefix(short_bytes=6_000).wants_filling(0.0)


@given(gaps=st.lists(st.floats(0, 20), min_size=1, max_size=300))
def test_no_key_has_more_than_its_calls_in_any_minute(gaps: list[float]) -> None:
    subject, now_s = prefix(), 0.0
    calls: dict[str, list[float]] = {}
    for gap in gaps:
        now_s += gap
        calls.setdefault(subject.key(now_s), []).append(now_s)
    for times in calls.values():
        for earlier, later in zip(times, times[CALLS_PER_KEY:], strict=False):
            assert later - earlier >= 60.0


def test_few_calls_need_one_key() -> None:
    subject = prefix()
    assert len({subject.key(number * 5.0) for number in range(100)}) == 1
    assert len({subject.key(1_000.0 + number / 10) for number in range(600)}) == 40
