"""The store of recent messages, with and without full text search, and the tools that look into it."""

from collections.abc import Iterator
from typing import Any

import pytest

from processors.agents.recent import Like, Recent
from processors.agents.recent_tools import Counts, Related
from tests.fakes import ManualClock
from tests.unit.agents.build import AT_MS, escalation
from tests.unit.triage.build import item
from topics import limits
from topics.messages import Source

MINUTE_MS = 60_000


def message(offset: int, text: str, *, minutes: float = 0, **settings: Any) -> Any:
    """A message that came so many minutes after the escalated one."""
    source = Source("syslog", 0, offset, None, AT_MS + int(minutes * MINUTE_MS))
    return item(text, id=f"syslog/0/{offset}", source=source, **settings)


@pytest.fixture(params=[True, False], ids=["fts5", "like"])
def store(request: pytest.FixtureRequest) -> Iterator[Recent]:
    recent = Recent(full_text_search=request.param)
    yield recent
    recent.close()


def found(store: Recent, tenant: str, text: str, limit: int = 10, but: str = "") -> list[str]:
    return [seen.text for seen in store.related(tenant, text, limit, but=but)]


def test_messages_that_share_words_are_found_across_streams(store: Recent) -> None:
    store.add([message(1, "disk sda1 failed"), message(2, "all is well"), message(3, "my disk!", stream="mail")])
    assert set(found(store, "acme", "DISK failure")) == {"disk sda1 failed", "my disk!"}
    assert found(store, "acme", "disk", but="syslog/0/1") == ["my disk!"]
    assert len(found(store, "acme", "disk", limit=1)) == 1
    assert found(store, "acme", "  ,;%_' ") == []


def test_no_tenant_sees_anothers_messages(store: Recent) -> None:
    store.add([message(1, "disk of acme"), message(2, "disk of umbrella", tenant="umbrella")])
    assert found(store, "acme", "disk umbrella") == ["disk of acme"]
    assert found(store, "nobody", "disk") == []
    for words in ("disk", ""):
        counted = store.counts(Like(tenant="acme", words=words), AT_MS - 1, 10, 1)
        assert counted.buckets == (1,)


@pytest.mark.parametrize("query", ['" OR tenant:umbrella', "disk') OR 1=1 --", "text:disk NEAR(x y)", "dis* ^disk - +"])
def test_a_query_is_words_and_nothing_else(store: Recent, query: str) -> None:
    store.add([message(1, "disk of acme"), message(2, "disk of umbrella", tenant="umbrella")])
    assert "disk of umbrella" not in found(store, "acme", query)
    store.counts(Like(tenant="acme", words=query), AT_MS, 1, 1)


def test_labels_come_before_or_after_their_message(store: Recent) -> None:
    store.label([("syslog/0/1", "alert", "critical")])
    store.add([message(1, "disk one"), message(2, "disk two")])
    store.label([("syslog/0/2", "routine", None)])
    labels = {seen.id: (seen.label, seen.severity) for seen in store.related("acme", "disk", 10, but="")}
    assert labels == {"syslog/0/1": ("alert", "critical"), "syslog/0/2": ("routine", None)}


def test_a_message_read_twice_is_kept_once_and_the_oldest_are_forgotten() -> None:
    store = Recent(messages_max=3)
    for _ in range(2):
        store.add([message(1, "disk 1", minutes=1), message(2, "disk 2", minutes=2)])
    assert store.size == 2
    assert store.complete_since_ms == 0
    store.add([message(n, f"disk {n}", minutes=n) for n in (3, 4, 5)])
    assert store.size == 3
    assert sorted(found(store, "acme", "disk")) == ["disk 3", "disk 4", "disk 5"]
    assert store.complete_since_ms == AT_MS + 2 * MINUTE_MS + 1
    store.label((f"syslog/0/{n}", "routine", None) for n in range(10))
    store.close()


def test_long_messages_keep_their_beginning_and_dialogues_their_end(store: Recent) -> None:
    long = "first " + "x" * limits.RECENT_TEXT_CHARS_MAX + " last"
    store.add([message(1, long), message(2, long, kind="dialogue", stream="chat")])
    assert [text[:5] for text in found(store, "acme", "first")] == ["first"]
    assert [text[-4:] for text in found(store, "acme", "last")] == ["last"]
    assert all(len(text) == limits.RECENT_TEXT_CHARS_MAX for text in found(store, "acme", "first last"))


async def test_related_gives_what_else_happened_with_labels(store: Recent) -> None:
    store.add([message(7, "billing: disk failure on sda1"), message(8, "rack 4 lost power, disk down", minutes=-1)])
    store.label([("syslog/0/8", "alert", "critical")])
    tool = Related(store)
    seen = {
        "at": "2027-01-15T07:59:00+00:00",
        "stream": "logs",
        "label": "alert",
        "severity": "critical",
        "text": "rack 4 lost power, disk down",
    }
    for query in ("power", ""):  # without a query: the words of the message itself
        assert await tool.call(Related.Arguments(query=query, limit=10**9), escalation()) == [seen]
    assert await tool.call(Related.Arguments(query="power", limit=-1), escalation()) == [seen]
    assert await tool.call(Related.Arguments(query="power", limit=5), escalation(tenant="umbrella")) == []


async def test_counts_show_lines_of_the_same_template_before_and_since(store: Recent) -> None:
    template = escalation().template
    lines = [message(n, "disk", minutes=-n, template=template) for n in range(1, 5)]
    others = [message(20, "disk", template="another"), message(21, "disk", template=template, tenant="umbrella")]
    later = [message(22, "disk", minutes=2, template=template)]
    store.add([message(7, "disk", template=template), *lines, *others, *later])
    store.label((line.id, "alert", "critical") for line in lines)
    clock = ManualClock(AT_MS / 1000 + 600)
    counted: Any = await Counts(store, clock).call(Counts.Arguments(like="", minutes=12), escalation())
    assert counted["spans"] == (0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1)
    assert (counted["total"], counted["since"], counted["minutes_per_span"]) == (5, 1, 1)
    assert counted["labels"] == {"alert": 4}
    assert counted["complete"] is True


async def test_counts_by_words_and_of_a_whole_stream(store: Recent) -> None:
    store.add([message(1, "disk failed", stream="mail"), message(2, "disk failed"), message(3, "disk works")])
    tool = Counts(store, ManualClock(AT_MS / 1000))
    by_words: Any = await tool.call(Counts.Arguments(like="failed disk", minutes=5), escalation())
    assert by_words["total"] == 2
    no_template = escalation(template=None)
    of_stream: Any = await tool.call(Counts.Arguments(like=" ", minutes=5), no_template)
    assert of_stream["total"] == 2


async def test_counts_say_when_they_do_not_know_all(store: Recent) -> None:
    store.incomplete_until(AT_MS - 30 * MINUTE_MS)
    tool = Counts(store, ManualClock(AT_MS / 1000))
    for minutes, complete in ((10, True), (60, False), (10**12, False)):
        counted: Any = await tool.call(Counts.Arguments(like="", minutes=minutes), escalation())
        assert counted["complete"] is complete
