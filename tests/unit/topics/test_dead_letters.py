"""A dead letter is turned into the record again: its own headers, no more and no less."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics import dead_letters
from topics.dead_letters import REPLAY_OF, REPLAYS, NotADeadLetter, dead_letter
from topics.messages import DeadLetterReason, Rejected
from topics.records import Headers


@dataclass
class FakeRecord:
    topic: str = "logs"
    partition: int = 3
    offset: int = 41
    timestamp: int = 1_117_838_570_123
    key: bytes | None = b"\xffkey"
    value: bytes | None = b"\xff\x00raw"
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def died(headers: Headers, *, offset: int = 41) -> Headers:
    """The headers of the dead letter of a record with these."""
    record = FakeRecord(offset=offset, headers=list(headers))
    return dead_letter(record, Rejected("internal", "why"), stage="triage", topic="d").headers


NAMES = st.sampled_from(["tenant", "traceparent", REPLAY_OF, "sluice.foreign", *dead_letters.HEADERS])
HEADER_LISTS = st.lists(st.tuples(NAMES, st.binary(max_size=4)), max_size=12)


@given(HEADER_LISTS)
def test_the_records_own_headers_come_back_whatever_their_names(headers: Headers) -> None:
    letter = dead_letters.read(died(headers))
    assert letter.headers == headers
    assert (letter.topic, letter.partition, letter.offset) == ("logs", 3, 41)
    assert (letter.timestamp_ms, letter.reason, letter.error) == (1_117_838_570_123, "internal", "why")


@given(HEADER_LISTS)
def test_what_others_append_to_a_dead_letter_does_not_go_back(headers: Headers) -> None:
    copied = [*died(headers), ("copied-by", b"a mirror")]
    assert dead_letters.read(copied).headers == headers


def test_a_dead_letter_that_came_back_with_all_its_headers_dies_once() -> None:
    again = died(died([("tenant", b"acme")]), offset=42)
    letter = dead_letters.read(again)
    assert letter.headers == [("tenant", b"acme")]
    assert letter.offset == 42


def test_a_replay_tells_what_it_is_of_and_how_often() -> None:
    headers = dead_letters.read(died([("tenant", b"acme")])).replayed()
    assert headers == [("tenant", b"acme"), (REPLAY_OF, b"logs/3/41"), (REPLAYS, b"1")]
    second = dead_letters.read(died(headers, offset=97))
    assert (second.replays, second.replay_of) == (1, "logs/3/41")
    assert second.replayed() == [("tenant", b"acme"), (REPLAY_OF, b"logs/3/41"), (REPLAYS, b"2")]


@pytest.mark.parametrize("told", [b"", b"-7", b"many", b"9" * 5_000, None], ids=repr)
def test_a_count_that_is_not_ours_counts_as_none(told: bytes) -> None:
    assert dead_letters.read(died([(REPLAYS, told)])).replays == 0


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("tenant", b"acme")],
        [(name, b"x") for name in dead_letters.HEADERS if name.startswith("__connect")],
        [(name, b"x") for name in dead_letters.HEADERS],
    ],
    ids=["none", "others", "Connect's own", "no numbers"],
)
def test_a_record_that_is_no_dead_letter(headers: Headers) -> None:
    with pytest.raises(NotADeadLetter):
        dead_letters.read(headers)


PAGE = (Path(__file__).parents[3] / "docs" / "dead-letters.md").read_text()


@pytest.mark.parametrize("reason", get_args(DeadLetterReason))
def test_the_page_has_a_remedy_for_every_reason(reason: str) -> None:
    assert f"| `{reason}` |" in PAGE
