"""What a model is shown of a session, and when memory takes two for the same."""

from collections.abc import Iterable

from processors.items import Item
from processors.normalise.texts import memory_text
from processors.session_item import session_item
from processors.sessions import Sessions
from tests.unit.sessions.build import line, read, spec
from topics import limits

SPEC = spec(lines=5_000)


def judged(block: object, texts: Iterable[str]) -> Item:
    sessions = Sessions(SPEC, lines_max=5_000)
    for offset, text in enumerate(texts):
        record = line(block, at_s=offset, offset=offset, text=text)
        sessions.join(record, read(record, SPEC), record.timestamp)
    ((ended),) = sessions.relieve()
    return session_item(ended.session)


def test_forms_are_counted_and_each_shows_its_first_line() -> None:
    item = judged(42, ["served to 10.0.0.1", "served to 10.0.0.2", "deleted"])
    assert item.text.startswith("3 lines in 2 s\n2 × ")
    assert "2 × 081109 203530 14 INFO dfs.DataNode: served to 10.0.0.1 blk_42" in item.text
    assert "1 × 081109 203530 14 INFO dfs.DataNode: deleted blk_42" in item.text
    assert item.text.endswith("last: 081109 203530 14 INFO dfs.DataNode: deleted blk_42")
    assert (item.session, item.kind, item.truncated) == ("42", "log", True)


def test_it_goes_by_its_last_line() -> None:
    item = judged(42, ["allocated", "served"])
    assert (item.id, item.source.offset) == ("in/0/1", 1)


def test_sessions_in_which_the_same_happened_are_one_to_memory() -> None:
    one = judged(42, ["served to 10.0.0.1", "deleted", "served to 10.0.0.2"])
    other = judged(7, ["deleted", "served to 10.9.9.1", "served to 10.9.9.2"])
    assert one.memory_text == other.memory_text
    assert one.memory_text != judged(7, ["deleted", "served to 10.9.9.1"]).memory_text
    assert one.memory_text != judged(7, ["served to 10.9.9.1", "deleted", "served to 10.9.9.1 late"]).memory_text


def test_many_and_a_few_more_are_one_to_memory_but_few_are_exact() -> None:
    assert judged(1, ["served"] * 40).memory_text == judged(1, ["served"] * 60).memory_text
    assert judged(1, ["served"] * 40).memory_text != judged(1, ["served"] * 70).memory_text
    assert judged(1, ["served"] * 7).memory_text != judged(1, ["served"] * 8).memory_text


def test_no_line_can_pass_for_a_session() -> None:
    session = judged(1, ["served"]).memory_text
    assert len(session) > len(memory_text("x" * 10_000))
    assert memory_text(session) != session


def test_what_does_not_fit_is_the_ordinary_and_the_odd_stays() -> None:
    texts = [f"served by {'ab'[n % 2]}{chr(97 + n // 26)}{chr(97 + n % 26)} {'x' * 300}" for n in range(150)]
    texts[60] = "the write failed on the third node"
    item = judged(1, [*texts, *texts])
    assert len(item.text) <= limits.MESSAGE_TEXT_CHARS_MAX
    assert len(item.full_text) <= limits.ESCALATION_TEXT_CHARS_MAX
    assert "2 × 081109 203530 14 INFO dfs.DataNode: the write failed on the third node" in item.text
    assert "lines of other forms left out" in item.text
    assert "the write failed" in (item.template or "")


def test_forms_beyond_the_bound_are_counted_together() -> None:
    texts = [f"step {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(limits.SESSION_FORMS_MAX + 20)]
    item = judged(1, texts)
    assert "20 lines of other forms left out" in item.full_text
    assert item.memory_text != judged(1, texts[:-20]).memory_text


def test_rules_see_what_all_lines_say_and_the_worst_severity() -> None:
    item = judged(1, ["served"])
    assert item.fields["log.level"] == "info"
    sessions = Sessions(SPEC)
    for offset, level in enumerate((b"INFO", b"WARN", b"INFO")):
        record = line(9, offset=offset)
        value = (record.value or b"").replace(b"INFO", level)
        record = type(record)("in", 0, offset, 0, None, value)
        sessions.join(record, read(record, SPEC), 0)
    ((ended),) = sessions.relieve()
    assert session_item(ended.session).fields["log.level"] == "warn"
