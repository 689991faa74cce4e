"""Which dead letters go back, decided without a broker."""

from dataclasses import dataclass, field

import orjson
import pytest

from streams.replay_choice import Choice, Going, Stays, Wanted
from streams.replayed import Replayed
from topics import codec, limits
from topics.dead_letters import REPLAYS, dead_letter
from topics.messages import DeadLetterReason, Rejected, Replay

LETTERS = "sluice.dead-letters"
MINI = "sluice.escalations.mini"


@dataclass
class FakeRecord:
    topic: str
    partition: int = 0
    offset: int = 5
    timestamp: int = 1_000
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def letter(
    origin: str = "logs",
    reason: DeadLetterReason = "internal",
    *,
    value: bytes = b"v",
    replays: int = 0,
    offset: int = 5,
) -> FakeRecord:
    """A record of the dead letters."""
    record = FakeRecord(origin, offset=77, value=value, headers=[(REPLAYS, b"%d" % replays)] if replays else [])
    out = dead_letter(record, Rejected(reason, "why"), stage="triage", topic=LETTERS)
    return FakeRecord(LETTERS, offset=offset, value=value, headers=list(out.headers))


def replay_of(record: FakeRecord, *, at_ms: int | None = None) -> tuple[bytes, bytes]:
    """Key and value of what a replay of the dead letter wrote."""
    key = f"{record.topic}/{record.partition}/{record.offset}"
    value = Replay(
        id=key,
        letter_at_ms=record.timestamp if at_ms is None else at_ms,
        of="logs/0/77",
        to="logs/0/99",
        reason="internal",
        replays=1,
        at_ms=2_000,
    )
    return key.encode(), codec.encode(value)


def choice(
    wanted: Wanted, *replays: tuple[bytes, bytes | None], there: tuple[str, ...] = ("logs", "mail", MINI)
) -> Choice:
    replayed = Replayed(LETTERS, {0: range(3, 10), 1: range(0)})
    for key, value in replays:
        replayed.add(key, value)
    return Choice(
        wanted, streams={"logs": "ops", "mail": "support"}, escalations=[MINI], there=there, replayed=replayed
    )


ESCALATED = letter(MINI, value=orjson.dumps({"stream": "ops"}))
BROKEN = letter(MINI, value=b"{")


@pytest.mark.parametrize(
    ("wanted", "record", "goes"),
    [
        (Wanted(), letter(), True),
        (Wanted(reasons=["policy", "internal"]), letter(), True),
        (Wanted(reasons=["policy"]), letter(), False),
        (Wanted(streams=["ops"]), letter("logs"), True),
        (Wanted(streams=["support"]), letter("logs"), False),
        (Wanted(streams=["ops"]), ESCALATED, True),
        (Wanted(streams=["support"]), ESCALATED, False),
        (Wanted(streams=["ops"]), BROKEN, False),
        (Wanted(), BROKEN, True),
        (Wanted(since_ms=1_000), letter(), True),
        (Wanted(since_ms=1_001), letter(), False),
        (Wanted(until_ms=1_001), letter(), True),
        (Wanted(until_ms=1_000), letter(), False),
        (Wanted(key=b"k"), letter(), True),
        (Wanted(key=b""), letter(), False),
    ],
    ids=str,
)
def test_filters(wanted: Wanted, record: FakeRecord, goes: bool) -> None:
    assert isinstance(choice(wanted).of(record), Going) == goes


def test_what_goes_is_named_with_its_time() -> None:
    going = choice(Wanted()).of(letter())
    assert isinstance(going, Going)
    assert (going.id, going.at_ms, going.key, going.value) == (f"{LETTERS}/0/5", 1_000, b"k", b"v")


def test_what_was_sent_back_stays() -> None:
    looked = choice(Wanted(), replay_of(letter()))
    assert looked.of(letter()) == Stays("replayed", "logs")
    assert isinstance(looked.of(letter(offset=6)), Going)


def test_a_tombstone_takes_a_replay_back() -> None:
    key, value = replay_of(letter())
    assert isinstance(choice(Wanted(), (key, value), (key, None)).of(letter()), Going)


def test_another_dead_letter_at_the_offset_of_one_that_was_sent_back_goes() -> None:
    """The topic was deleted and created again, and counts from 0."""
    assert isinstance(choice(Wanted(), replay_of(letter(), at_ms=999)).of(letter()), Going)


@pytest.mark.parametrize("place", ["0/2", "0/10", "1/0", "7/0"])
def test_replays_of_dead_letters_that_are_gone_are_passed_over(place: str) -> None:
    _, value = replay_of(letter())
    looked = choice(Wanted(), (f"{LETTERS}/{place}".encode(), value), (b"other.dead-letters/0/5", value))
    assert isinstance(looked.of(letter()), Going)


@pytest.mark.parametrize(("key", "value"), [(b"x", None), (b"a/0/b", None), (b"a/0/1", b"{}"), (b"\xff", None)])
def test_a_record_that_is_no_replay_is_not_passed_over(key: bytes, value: bytes | None) -> None:
    with pytest.raises(ValueError):
        choice(Wanted(), (key, value))


def test_poison_stays_unless_it_is_asked_for() -> None:
    again = letter(replays=limits.REPLAYS_MAX)
    assert choice(Wanted()).of(again) == Stays("poison", "logs")
    assert isinstance(choice(Wanted(poison=True)).of(again), Going)
    assert isinstance(choice(Wanted()).of(letter(replays=limits.REPLAYS_MAX - 1)), Going)


def test_what_has_nowhere_to_go_stays() -> None:
    assert choice(Wanted()).of(letter("elsewhere")) == Stays("unread", "elsewhere")
    assert choice(Wanted(), there=("mail",)).of(letter("logs")) == Stays("topic_missing", "logs")
    assert choice(Wanted()).of(FakeRecord(LETTERS)) == Stays("foreign", "")
