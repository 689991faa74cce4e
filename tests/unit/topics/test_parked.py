"""A parked record comes back as it was read first."""

from hypothesis import given
from hypothesis import strategies as st

from topics import parked
from topics.messages import Parked
from topics.records import Record

headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3)
records = st.builds(
    parked.Original,
    topic=st.from_regex(r"[a-z.]{1,9}", fullmatch=True),
    partition=st.integers(0, 9),
    offset=st.integers(0, 2**62),
    timestamp=st.integers(0, 2**41),
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=headers,
)


def on_its_topic(record: Record, until_ms: int) -> parked.Original:
    out = parked.park(record, Parked(until_ms, "the budget"), topic="sluice.parked")
    return parked.Original(out.topic, 3, 77, 5_000, out.key, out.value, out.headers)


@given(records, st.integers(0, 2**41))
def test_what_comes_back_is_what_was_parked(record: parked.Original, until_ms: int) -> None:
    waiting = on_its_topic(record, until_ms)
    assert parked.due_ms(waiting) == until_ms
    assert parked.original(waiting) == record


@given(records)
def test_parked_twice_it_still_names_where_it_was_read_first_and_when_it_is_due_now(record: parked.Original) -> None:
    again = on_its_topic(parked.original(on_its_topic(record, 1_000)), 2_000)
    assert parked.due_ms(again) == 2_000
    assert parked.original(again) == record


@given(records)
def test_a_record_that_somebody_else_wrote_there_is_due_at_once_and_is_itself(record: parked.Original) -> None:
    assert (parked.due_ms(record), parked.original(record)) == (0, record)
