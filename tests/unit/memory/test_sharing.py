"""What a process makes of the records of the topic `memory`, and what it would tell."""

from dataclasses import replace

import pytest

from processors.remembered import Erased, Erasures, Remembered
from streams import shared_memory
from streams.shared_memory import SharedMemory
from tests.fakes import ManualClock
from tests.unit.memory.build import DAY_MS, verdict
from topics import codec, limits
from topics.records import Record

NOW_MS = 1_800_000_000_000


class Heard:
    def __init__(self) -> None:
        self.entries: list[Remembered] = []
        self.forgotten: list[str] = []
        self.erased: list[Erasures] = []

    def heard(self, entry: Remembered) -> None:
        self.entries.append(entry)

    def forget(self, digest: str) -> None:
        self.forgotten.append(digest)

    def erase(self, erasures: Erasures) -> None:
        self.erased.append(erasures)


class Told:
    """A record of the topic."""

    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self.topic, self.partition, self.offset, self.timestamp = "sluice.memory", 0, 0, NOW_MS
        self.key, self.value, self.headers = key, value, ()


def entry(**settings: object) -> Remembered:
    values = {
        "stream": "logs",
        "kind": "template",
        "digest": "ab",
        "tenant": "acme",
        "ids": ("logs/0/1",),
        "event_ms": 7,
        "policy_version": "1",
        "model": "nano",
        "verdict": verdict("routine", tier="memory"),
        "counts": {"routine": 3.0},
        "at_ms": NOW_MS,
        "by": "other",
    }
    return Remembered(**values | settings)  # type: ignore[arg-type]


def told(entry: Remembered) -> Record:
    return Told(shared_memory.key(entry.stream, entry.kind, entry.digest), codec.encode(entry))


def marker(**settings: object) -> Record:
    return Told(b"/erased/x", codec.encode(Erased(**{"at_ms": NOW_MS + 1} | settings)))  # type: ignore[arg-type]


def memory() -> tuple[SharedMemory, Heard]:
    shared, heard = SharedMemory(ManualClock(NOW_MS / 1000), by="me"), Heard()
    shared.listen("logs", "template", heard)
    return shared, heard


def test_each_hears_what_others_tell_of_its_stream_and_kind() -> None:
    shared, heard = memory()
    shared.take([told(entry()), told(entry(stream="mail")), told(entry(kind="near")), told(entry(by="me"))])
    assert heard.entries == [entry()]


def test_old_entries_are_as_if_they_were_not_there() -> None:
    shared, heard = memory()
    shared.take([told(entry(at_ms=NOW_MS - 31 * DAY_MS)), told(entry(at_ms=NOW_MS - 29 * DAY_MS))])
    assert [one.at_ms for one in heard.entries] == [NOW_MS - 29 * DAY_MS]


def test_a_tombstone_is_obeyed() -> None:
    shared, heard = memory()
    shared.take([Told(b"logs/template/ab", None), Told(b"mail/template/cd", None), Told(b"/erased/x", None)])
    assert heard.forgotten == ["ab"]


def test_bad_records_are_passed_over() -> None:
    shared, heard = memory()
    other_key = Told(b"logs/template/cd", codec.encode(entry()))
    shared.take([Told(None, b"{}"), Told(b"a", b"\xff"), Told(None, None), other_key, told(entry())])
    assert heard.entries == [entry()]


@pytest.mark.parametrize("what", [{"tenant": "acme"}, {"id": "logs/0/1"}])
async def test_what_was_on_its_way_when_it_was_erased_does_not_come_back(what: dict[str, str]) -> None:
    shared, heard = memory()
    shared.take([marker(**what)])
    later, others = entry(at_ms=NOW_MS + 2), entry(tenant="umbrella", ids=("logs/0/2",))
    shared.take([told(entry()), told(later), told(others)])
    assert heard.entries == [later, others]
    await shared.settle()
    assert [erasures.cover("acme", ("logs/0/1",), NOW_MS) for erasures in heard.erased] == [True]
    assert not heard.erased[0].cover("umbrella", ("logs/0/2",), NOW_MS)
    await shared.settle()
    assert len(heard.erased) == 1


async def test_what_waits_to_be_told_is_erased_too() -> None:
    shared, _ = memory()
    shared.remember(entry())
    shared.remember(entry(digest="cd", tenant="umbrella"))
    shared.take([marker(tenant="acme")])
    await shared.settle()
    assert [one.tenant for one in shared._waiting.values()] == ["umbrella"]


def test_of_several_entries_of_one_key_the_newest_waits_and_they_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_QUEUE_MAX", 2)
    shared, _ = memory()
    for count in (1.0, 2.0):
        shared.remember(entry(counts={"routine": count}))
    shared.remember(entry(digest="cd"))
    shared.remember(entry(digest="ef"))
    assert [(one.digest, one.counts["routine"]) for one in shared._waiting.values()] == [("ab", 2.0), ("cd", 3.0)]
    assert {(one.by, one.at_ms) for one in shared._waiting.values()} == {("me", NOW_MS)}
    assert shared.dropped == 1


def test_erasures_are_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_ERASURES_MAX", 2)
    erasures = Erasures()
    assert not erasures
    for tenant in ("a", "b", "a", "c"):
        erasures.add(Erased(at_ms=5, tenant=tenant))
    assert erasures
    assert [erasures.cover(tenant, (), 5) for tenant in "abc"] == [True, False, True]
    assert not erasures.cover("a", (), 6)


def test_an_entry_travels_whole() -> None:
    one = entry(counts={"a": 1.5, "b": 2.0}, run=2, signature="x <*>\x00500", features="AA==")
    assert codec.decode(Remembered, codec.encode(one)) == one
    assert replace(one, at_ms=1) != one
