"""Log lines to messages."""

import pytest

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
    assert one.memory_text != other.memory_text
    assert one.memory_text == read("word " * 2_000 + "a").memory_text


def test_no_line_passes_for_the_digest_of_another() -> None:
    """Whoever knows a long line can write down its digest; that must not answer for it."""
    long = read("word " * 2_000).memory_text
    assert read(long[-32:]).memory_text != long
    assert read(long).memory_text != long


@pytest.mark.parametrize(
    "line",
    [
        "<14>Nov 17 09:28:07 web-1 app[14743]: job 12 done",
        "2026-11-17T09:21:51.396279344Z stderr F group payments-capture has not committed",
        "Dec 10 06:55:46 LabSZ sshd[24200]: " + "a long message, " * 40,
    ],
)
def test_a_glimpse_has_the_values_of_the_item(line: str) -> None:
    record = FakeRecord(line.encode(), headers=(("tenant", b"acme"), ("traceparent", b"00-1")))
    normaliser = normaliser_for("logs", stream("log", tenant={"header": "tenant", "default": "x"}))
    item, glimpse = normaliser.read(record), normaliser.glimpse(record)
    assert isinstance(item, Item)
    assert glimpse is not None
    for name in ("tenant", "memory_text", "text", "fields", "template", "kind", "session", "traceparent"):
        assert getattr(glimpse, name) == getattr(item, name), name


def test_who_asks_for_an_agent_is_read_in_full() -> None:
    assert LOGS.glimpse(FakeRecord(b"a line of more than 24 bytes", headers=(("sluice-escalate", b"mini"),))) is None
    assert LOGS.glimpse(FakeRecord(b"a line of more than 24 bytes")) is not None
    assert LOGS.glimpse(FakeRecord(None)) is None


def test_nothing_is_remembered() -> None:
    assert LOGS.lookback == 0
