"""Exact memory told, heard and erased."""

from dataclasses import replace

import pytest

from processors import exact_sharing
from processors.exact_sharing import ExactSharing
from processors.memory import Keys
from processors.remembered import Erased, Erasures, Remembered, kept_ids
from tests.fakes import ManualClock
from tests.unit.memory.build import line, stream, verdict
from topics.limits import MEMORY_AGE_MS_MAX
from topics.messages import Verdict


class Store:
    def __init__(self) -> None:
        self.kept: dict[bytes, Verdict] = {}

    def put(self, key: bytes, verdict: Verdict) -> None:
        self.kept[key] = verdict

    def forget(self, key: bytes) -> None:
        self.kept.pop(key, None)


CLOCK = ManualClock()
KEYS = Keys("logs", stream().version, "nano")
ANSWER = verdict("routine", tier="memory")


def exact(told: list[Remembered] | None = None, clock: ManualClock = CLOCK) -> tuple[ExactSharing, Store]:
    store = Store()
    remember = (lambda _: None) if told is None else told.append
    return ExactSharing("logs", stream(), "nano", store, clock, remember=remember), store


def paid(sharing: ExactSharing, text: str, tenant: str = "acme") -> bytes:
    key = KEYS.key(tenant, text)
    sharing.put(key, line(text, tenant=tenant), ANSWER)
    return key


def test_what_one_paid_for_is_in_the_memory_of_another() -> None:
    told: list[Remembered] = []
    (one, own), (other, store) = exact(told), exact()
    key = paid(one, "disk full")
    other.heard(told[0])
    assert own.kept == store.kept == {key: ANSWER}


@pytest.mark.parametrize(
    "settings", [{"policy_version": "other"}, {"model": "other"}, {"digest": "no"}, {"verdict": verdict("unheard-of")}]
)
def test_an_entry_of_something_else_is_not_taken(settings: dict[str, object]) -> None:
    told: list[Remembered] = []
    paid(exact(told)[0], "disk full")
    other, store = exact()
    other.heard(replace(told[0], **settings))
    assert store.kept == {}


def test_it_is_erased_by_digest_by_tenant_and_by_message() -> None:
    sharing, store = exact()
    first, second, third = paid(sharing, "a"), paid(sharing, "b"), paid(sharing, "c", tenant="umbrella")
    sharing.forget("no digest")
    sharing.forget(first.hex())
    assert store.kept.keys() == {second, third}
    for erased, left in (
        (Erased(at_ms=1, id="another/0/1"), {second, third}),
        (Erased(at_ms=1, id=line("b").id), {third}),
        (Erased(at_ms=1, tenant="umbrella"), set()),
    ):
        erasures = Erasures()
        erasures.add(erased)
        sharing.erase(erasures)
        assert store.kept.keys() == left


def test_a_dialogue_is_erased_by_any_turn_that_was_judged_with_it() -> None:
    sharing, store = exact()
    item = replace(line("b"), made_of=("chat/0/1", "chat/0/2"))
    for turn in (*item.made_of, item.id):
        sharing.put(KEYS.key("acme", "b"), item, ANSWER)
        erasures = Erasures()
        erasures.add(Erased(at_ms=1, id=turn))
        sharing.erase(erasures)
        assert store.kept == {}


def test_an_entry_names_the_first_message_that_it_was_learnt_from_and_the_latest() -> None:
    assert kept_ids(["a", "b", "a"]) == ("a", "b")
    many = [str(number) for number in range(20)]
    assert kept_ids(many) == ("0", *many[5:])


def test_nothing_is_in_memory_that_could_not_be_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_sharing, "MEMORY_ENTRIES_MAX", 2)
    sharing, store = exact()
    keys = [paid(sharing, text) for text in "abc"]
    assert store.kept.keys() == set(keys[1:])


async def test_what_no_model_has_said_again_for_long_is_asked_anew() -> None:
    told: list[Remembered] = []
    clock = ManualClock()
    (one, own), (other, store) = exact(told, clock), exact(clock=clock)
    old, kept = paid(one, "disk full"), paid(one, "disk 7 full")
    heard = [replace(entry, at_ms=round(clock.time() * 1000)) for entry in told]
    for entry in heard:
        other.heard(entry)
    await clock.advance(MEMORY_AGE_MS_MAX / 1000 / 2)
    paid(one, "disk 7 full")
    other.heard(replace(heard[1], at_ms=round(clock.time() * 1000)))
    await clock.advance(MEMORY_AGE_MS_MAX / 1000 / 2)
    for sharing, memory in ((one, own), (other, store)):
        sharing.expire()
        assert memory.kept.keys() == {old, kept}, "it is not older than it may be"
    await clock.advance(1)
    for sharing, memory in ((one, own), (other, store)):
        sharing.expire()
        assert memory.kept.keys() == {kept}
