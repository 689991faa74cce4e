"""Log lines to messages."""

from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from tests.unit.normalise.records import FakeRecord, stream
from topics import limits

LOGS = normaliser_for("logs", stream("log"))


def read(line: str) -> Item:
    item = LOGS.read(FakeRecord(line.encode()))
    assert isinstance(item, Item)
    return item


def test_a_line_is_shown_whole_remembered_without_its_time_and_masked_for_its_template() -> None:
    line = "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user x from 1.2.3.4"
    item = read(line)
    assert item.text == item.full_text == line
    assert item.memory_text == "LabSZ sshd: Invalid user x from 1.2.3.4"
    assert item.template == "LabSZ sshd: Invalid user x from <*>"
    assert item.fields == {"syslog.host": "LabSZ", "syslog.app": "sshd", "syslog.pid": "24200"}


def test_a_long_line_keeps_its_beginning_and_memory_its_digest() -> None:
    one, other = read("word " * 2_000 + "a"), read("word " * 2_000 + "b")
    assert one.truncated
    assert len(one.text) == limits.LOG_LINE_CHARS_MAX
    assert one.text == other.text
    assert len(one.full_text) > len(one.text)
    assert len(one.memory_text) == 32
    assert one.memory_text != other.memory_text
    assert one.memory_text == read("word " * 2_000 + "a").memory_text


def test_nothing_is_remembered() -> None:
    assert LOGS.lookback == 0
