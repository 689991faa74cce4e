"""Which session a line belongs to and when it ends: every line is in exactly one, in its order, within the bounds."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.items import Item
from processors.policy import Misfit, Session
from processors.sessions import Ended, Sessions, key_of
from tests.unit.sessions.build import KEY, line, read, spec, stream

IDLE_MS = 30_000
BASE = read(line(0))


def item(block: int, template: str = "t", tenant: str = "a") -> Item:
    return Item(
        **{name: getattr(BASE, name) for name in Item.__slots__}
        | {"session": str(block), "template": template, "tenant": tenant}
    )


def join(sessions: Sessions, block: int, at_s: float, offset: int = 0, **more: str) -> Sequence[Ended]:
    return sessions.join(line(block, at_s, offset), item(block, **more), round(at_s * 1000))


def told(ended: Sequence[Ended]) -> list[tuple[str, str, list[int]]]:
    return [(e.session.name[1], e.why, [each.record.offset for each in e.session.lines]) for e in ended]


Step = tuple[int, int]  # block, milliseconds since the line before; may go back


@given(
    steps=st.lists(st.tuples(st.integers(0, 6), st.integers(-20_000, 45_000)), max_size=120),
    lines=st.integers(2, 6),
    lines_max=st.integers(1, 12),
    chars_max=st.integers(600, 8_000),
    remembered_max=st.integers(1, 3),
)
def test_every_line_is_in_exactly_one_session_that_ends_and_bounds_hold(
    steps: list[Step], lines: int, lines_max: int, chars_max: int, remembered_max: int
) -> None:
    sessions = Sessions(
        spec(lines=lines),
        lines_max=lines_max,
        chars_max=chars_max,
        remembered_max=remembered_max,
    )
    ended: list[Ended] = []
    by_block: dict[str, list[int]] = defaultdict(list)
    now_ms = 10**9
    for offset, (block, more_ms) in enumerate(steps):
        now_ms += more_ms
        by_block[str(block)].append(offset)
        ended += sessions.join(line(block, now_ms / 1000, offset), item(block), now_ms)
        assert sessions.lines <= lines_max
        assert sessions.chars <= max(chars_max, 0) or not sessions.open
        assert sessions.lines == sum(len(each.lines) for each in sessions.each_open())
    while sessions.open:
        ended += sessions.relieve()
    counts = Counter(each.record.offset for e in ended for each in e.session.lines)
    assert counts == Counter(range(len(steps)))
    joined: dict[str, list[int]] = defaultdict(list)
    for e in ended:
        assert 1 <= len(e.session.lines) <= lines
        joined[e.session.name[1]] += [each.record.offset for each in e.session.lines]
    assert joined == by_block  # each key's lines in the order in which they came
    assert sessions.lines == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000)), max_size=80))
def test_no_session_lives_beyond_its_idle_time(steps: list[Step]) -> None:
    sessions = Sessions(KEY)
    now_ms = 10**9
    for offset, (block, more_ms) in enumerate(steps):
        now_ms += more_ms
        ended = sessions.join(line(block, now_ms / 1000, offset), item(block), now_ms)
        assert all(now_ms - e.session.tally.last_ms > IDLE_MS for e in ended)
        assert all(now_ms - each.tally.last_ms <= IDLE_MS for each in sessions.each_open())


def test_quiet_sessions_end_by_the_lines_own_timestamps() -> None:
    sessions = Sessions(KEY)
    assert not join(sessions, 1, 100, 0)
    assert not join(sessions, 2, 129, 1)
    assert told(join(sessions, 3, 131, 2)) == [("1", "idle", [0])]
    assert told(sessions.pass_time(160_000)) == [("2", "idle", [1])]
    assert sessions.open == 1


def test_a_late_line_opens_a_new_session_that_counts_from_the_beginning() -> None:
    sessions = Sessions(KEY)
    join(sessions, 1, 100, 0)
    assert told(join(sessions, 1, 131, 1)) == [("1", "idle", [0])]
    ((again),) = sessions.pass_time(10**9)
    assert (told([again]), again.session.tally.lines) == ([("1", "idle", [1])], 1)


def test_an_older_timestamp_joins_and_does_not_turn_time_back() -> None:
    sessions = Sessions(KEY)
    join(sessions, 1, 100, 0)
    join(sessions, 1, 80, 1)
    assert told(join(sessions, 2, 129, 2)) == []
    assert told(join(sessions, 2, 131, 3)) == [("1", "idle", [0, 1])]


def test_what_the_clock_has_ended_does_not_hurry_a_backlog_that_comes_after_it() -> None:
    sessions = Sessions(KEY)
    join(sessions, 1, 100, 0)
    assert told(sessions.pass_time(1_800_000_000_000)) == [("1", "idle", [0])]
    assert told(join(sessions, 2, 101, 1)) == []
    assert told(join(sessions, 2, 102, 2)) == []
    assert sessions.open == 1


def test_a_session_ends_with_as_many_lines_as_it_may_have() -> None:
    sessions = Sessions(spec(lines=2))
    join(sessions, 1, 1, 0)
    ((first),) = join(sessions, 1, 2, 1)
    join(sessions, 1, 3, 2)
    ((second),) = join(sessions, 1, 4, 3)
    assert told([first, second]) == [("1", "lines", [0, 1]), ("1", "lines", [2, 3])]
    assert second.session.tally.lines == 2, "it counts from the beginning"


def test_beyond_the_bound_the_session_opened_first_ends_and_goes_on_counting_later() -> None:
    sessions = Sessions(KEY, lines_max=2)
    join(sessions, 1, 1, 0, template="written")
    join(sessions, 2, 2, 1)
    assert told(join(sessions, 1, 3, 2, template="served")) == [("1", "early", [0, 2])]
    assert told(join(sessions, 1, 4, 3, template="lost")) == []
    *_, (last) = [*join(sessions, 2, 5, 4), *sessions.relieve()]
    assert told([last]) == [("1", "early", [3])]
    forms = last.session.tally.forms
    assert {template: form.count for template, form in forms.items()} == {"written": 1, "served": 1, "lost": 1}


def test_what_ended_early_is_forgotten_once_it_was_idle() -> None:
    sessions = Sessions(KEY, lines_max=1)
    join(sessions, 1, 1, 0)
    assert told(join(sessions, 2, 2, 1)) == [("1", "early", [0])]
    join(sessions, 1, 60, 2)
    ((ended),) = sessions.relieve()
    assert ended.session.tally.lines == 1


def test_lines_that_were_decided_before_are_counted_where_their_session_goes_on() -> None:
    sessions = Sessions(KEY)
    sessions.recall(item(1), 1_000)
    sessions.recall(item(1), 2_000)
    sessions.recall(item(2), 2_000)
    join(sessions, 1, 3, 2)
    one, two = *join(sessions, 2, 60, 3), *sessions.relieve()
    assert (one.session.tally.lines, len(one.session.lines)) == (3, 1)
    assert two.session.tally.lines == 1, "what was idle is over"


def test_tenants_never_share_a_session() -> None:
    sessions = Sessions(KEY)
    join(sessions, 1, 1, 0, tenant="a")
    join(sessions, 1, 1, 1, tenant="b")
    assert [each.name for each in sessions.each_open()] == [("a", "1"), ("b", "1")]


@pytest.mark.parametrize(
    ("by", "text", "fields", "key"),
    [
        (spec(key=r"blk_(-?\d+)"), "Served blk_-42 to blk_7", {}, "-42"),
        (spec(key=r"blk_(-?\d+)"), "nothing here", {}, None),
        (spec(key=r"id=(\w*)"), "id= none", {}, None),
        (spec(key=r"(a)|b"), "b", {}, None),
        (spec(field="syslog.host"), "x", {"syslog.host": "web-1"}, "web-1"),
        (spec(field="syslog.pid"), "x", {"syslog.pid": 7}, "7"),
        (spec(field="syslog.host"), "x", {}, None),
    ],
)
def test_a_key_is_found_in_the_line_or_its_fields(
    by: Session, text: str, fields: dict[str, str | int], key: str | None
) -> None:
    assert key_of(by)(text, fields) == key


def test_a_lines_session_is_told_by_its_normaliser() -> None:
    assert read(line(17)).session == "17"


@pytest.mark.parametrize(
    ("more", "told_of"),
    [
        ({"kind": "email"}, "log lines"),
        ({"order": "key"}, "remove the order"),
        ({"budget": {"usd_per_hour": 1, "when_spent": "park"}}, "out of their session"),
    ],
)
def test_what_does_not_go_with_sessions_is_refused(more: dict[str, object], told_of: str) -> None:
    with pytest.raises((Misfit, ValueError), match=told_of):
        stream(**more)


def test_the_session_is_part_of_a_streams_version() -> None:
    assert len({stream(session=None).version, stream().version, stream(spec(idle="5s")).version}) == 3
