"""Event time of a partition, and when to look at which incident."""

from hypothesis import given
from hypothesis import strategies as st

from streams.incident_agenda import Agenda, StreamTime
from tests.fakes import ManualClock

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


async def test_time_is_the_latest_messages_and_what_passed_since() -> None:
    time = StreamTime(clock := ManualClock(NOW_MS / 1000))
    assert time.pass_(waiting=False) is None, "nothing was heard yet"
    time.heard(NOW_MS - HOUR_MS)
    await clock.advance(10)
    assert time.pass_(waiting=False) == NOW_MS - HOUR_MS + 10_000


async def test_time_stands_still_while_messages_wait_to_be_heard() -> None:
    time = StreamTime(clock := ManualClock(NOW_MS / 1000))
    time.heard(NOW_MS - HOUR_MS)
    await clock.advance(60)
    assert time.pass_(waiting=True) == NOW_MS - HOUR_MS
    await clock.advance(1)
    assert time.pass_(waiting=False) == NOW_MS - HOUR_MS + 1_000, "what passed while they waited does not count later"


async def test_time_never_goes_back() -> None:
    time = StreamTime(clock := ManualClock(NOW_MS / 1000))
    time.heard(NOW_MS - 1_000)
    time.heard(NOW_MS - HOUR_MS)
    assert time.pass_(waiting=False) == NOW_MS - 1_000
    await clock.advance(5)
    time.pass_(waiting=False)
    time.heard(NOW_MS + 1_000)
    assert time.pass_(waiting=False) == NOW_MS + 4_000


async def test_a_message_from_the_future_is_of_now() -> None:
    time = StreamTime(ManualClock(NOW_MS / 1000))
    time.heard(NOW_MS + 24 * HOUR_MS)
    assert time.pass_(waiting=False) == NOW_MS


def test_what_is_due_comes_once_the_most_overdue_first() -> None:
    agenda = Agenda()
    for key, due_ms in ((b"late", 30), (b"soon", 10), (b"next", 20)):
        agenda.look(key, due_ms)
    assert agenda.due(9, at_most=9) == []
    assert agenda.due(20, at_most=1) == [b"soon"]
    assert agenda.due(20, at_most=9) == [b"next"]
    assert agenda.due(20, at_most=9) == []
    assert len(agenda) == 1


def test_what_is_forgotten_is_never_due() -> None:
    agenda = Agenda()
    agenda.look(b"key", 10)
    agenda.forget(b"key")
    assert agenda.due(100, at_most=9) == []
    agenda.look(b"key", 10)
    assert agenda.due(100, at_most=9) == [b"key"]


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 1_000)), max_size=200))
def test_nothing_is_looked_at_later_than_the_earliest_time_that_was_asked_for(asked: list[tuple[bytes, int]]) -> None:
    agenda, earliest = Agenda(), dict[bytes, int]()
    for key, due_ms in asked:
        agenda.look(key, due_ms)
        earliest[key] = min(due_ms, earliest.get(key, due_ms))
    for now_ms in range(0, 1_001, 50):
        due = {key for key, due_ms in earliest.items() if due_ms <= now_ms}
        assert set(agenda.due(now_ms, at_most=9)) == due
        for key in due:
            del earliest[key]


def test_a_busy_incident_takes_no_memory_for_each_of_its_messages() -> None:
    agenda = Agenda()
    for due_ms in range(10_000):
        agenda.look(b"busy", due_ms)
    assert len(agenda._heap) == 1
