"""Which log lines are one event, and which never are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.template_signatures import STATUSES, Signatures
from processors.template_words import carries_outcome, outcomes
from topics import limits


def same(*lines: str) -> bool:
    return len({Signatures().of(line) for line in lines}) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ("block blk_12 of size 7", "block blk_-9913 of size 67108864"),
        ("from 10.0.0.1:22 port 5", "from 192.168.100.200:60022 port 61"),
        ("GET /v2/servers/78dc1847-8848-49cc took 3 ms", "GET /v2/servers/0fe1b2aa-ccdd-11ff took 30 ms"),
        ("mask 0x05 at 0x0b85eee0", "mask 0xff1 at 0x1"),
    ],
)
def test_lines_that_differ_in_parameters_are_one_event(lines: tuple[str, str]) -> None:
    assert same(*lines)


@pytest.mark.parametrize(
    "lines",
    [
        ("login failed for u1", "login succeeded for u1"),
        ("job-7-failed after 3 s", "job-7-finished after 3 s"),
        ("x2 authentication_failure_1", "x2 authentication_success_1"),
        ("node9.state.isDown", "node9.state.isUp"),
        ("GET /a status=500 in 3 ms", "GET /a status=200 in 3 ms"),
        ("exit code 1", "exit code 0"),
        ("exited with code: 137", "exited with code: 0"),
        ("upstream said HTTP 503", "upstream said HTTP 200"),
        ('"GET / HTTP/1.1" 404 209', '"GET / HTTP/1.1" 200 209'),
        ("rpc rc=-1", "rpc rc=1"),
        ("statusCode=500, took 3", "statusCode=200, took 3"),
        ("query failed: errno 111", "query failed: errno 110"),
        ("error ORA-00942 at 3", "error ORA-01555 at 3"),
        ("worker 3 received signal 9", "worker 3 received signal 15"),
        ("session of alice opened", "session of alice closed"),
    ],
)
def test_lines_of_another_outcome_are_never_one_event(lines: tuple[str, str]) -> None:
    assert not same(*lines)


def test_a_status_is_told_apart_from_an_address_behind_the_same_word() -> None:
    assert same("response from: 10.0.0.1:80 ok", "response from: 10.0.0.2:80 ok")
    assert same("error: 10.0.0.1:80 is away", "error: 10.0.0.2:80 is away")


def test_a_parameter_cannot_pass_for_a_status() -> None:
    """Whoever chooses a name may write a status into it; the line's own still counts."""
    names = ("bob", "x1status:200", "status=200", "status=500")
    for name in names:
        assert not same(f"user {name} GET / status=500", f"user {name} GET / status=200")


def test_a_line_that_says_nothing_but_parameters_has_no_signature() -> None:
    assert Signatures().of("12 34 0x55") is None
    assert Signatures().of("") is None


def test_no_line_can_pretend_to_be_the_signature_of_another() -> None:
    signature = Signatures().of("GET /a status=500")
    assert signature is not None
    assert STATUSES in signature
    assert Signatures().of(signature) is None
    assert not same("GET /a status=500", "GET /a status=<*>", "GET /a status=<*>\n500")


def test_a_long_line_has_no_signature() -> None:
    assert Signatures().of("a" * (limits.SIGNATURE_CHARS_MAX + 1)) is None


def test_what_was_forgotten_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIGNATURE_SHAPES_MAX", 3)
    signatures = Signatures()
    lines = [f"word{letter} is {letter}1{letter} long" for letter in "abcdefgh"] * 2
    assert [signatures.of(line) for line in lines] == [Signatures().of(line) for line in lines]


def test_a_request_by_any_id_is_one_event() -> None:
    ids = ("939eb332-c1c1-4e67-99b8-8695f8f1980a", "c0ffee00-abcd-4e67-99b8-8695f8f1980a")
    assert same(*(f"[req-{id_}] done" for id_ in ids))
    assert same("session 0x14f4a6318b80005 is there", "session 0xab is there", "session 0x1 is there")
    assert not same("host dead0001 is there", "host node0001 is there")


_WORDS = st.sampled_from(
    [
        "failed",
        "ok",
        "blk_1",
        "10.0.0.1:80",
        "status=200",
        "code",
        "0x1f",
        "job-7-failed",
        "7",
        "é1",
        "<*>",
        "a\tb",
        "-",
    ]
)


@given(st.lists(st.one_of(_WORDS, st.text(max_size=8)), min_size=1, max_size=12))
def test_of_any_line_every_word_without_a_digit_counts(words: list[str]) -> None:
    line = " ".join(words)
    signature = Signatures().of(line)
    if signature is not None:
        plain = [word for word in line.split(" ") if not any(letter.isdigit() for letter in word)]
        told = signature.partition(STATUSES)[0].split(" ")
        assert [word for word in told if word in plain and word != "<*>"] == [word for word in plain if word != "<*>"]


@pytest.mark.parametrize(
    "word",
    [
        "failed",
        "FAILURE",
        "authentication_failure",
        "isDenied",
        "no_route",
        "NotFound",
        "OK",
        "compromised",
        "malware",
        "evicted",
        "hung",
        "throttling",
        "unresponsive",
        "Intrusion",
    ],
)
def test_what_carries_the_outcome(word: str) -> None:
    assert carries_outcome(word)


@pytest.mark.parametrize(
    "word", ["alice", "node", "default", "known2", "token", "upper", "Norway", "hotel", "week", "idler"]
)
def test_what_does_not(word: str) -> None:
    assert not carries_outcome(word)


def test_outcomes_come_in_their_order() -> None:
    assert outcomes("It FAILED, not denied. OK?") == ("fail", "not", "denied", "ok")
    assert outcomes("we don't") == outcomes("we don’t") != outcomes("we do")
