"""Who gets in."""

import itertools

import pytest

from processors.errors import ConfigurationError
from streams.console.access import Access, TooManyLogins
from tests.fakes import ManualClock
from topics import limits

TOKEN = "0123456789abcdef-right"


def access(clock: ManualClock | None = None, host: str = "0.0.0.0", token: str | None = TOKEN) -> Access:
    numbers = itertools.count()
    return Access(host, token, clock or ManualClock(), lambda: f"session-{next(numbers)}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "console.example", ""])
@pytest.mark.parametrize("token", [None, ""])
def test_beyond_loopback_a_token_is_needed(host: str, token: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"SLUICE_CONSOLE_HOST = .*SLUICE_CONSOLE_TOKEN.*127\.0\.0\.1"):
        access(host=host, token=token)


def test_a_short_token_is_refused_and_not_told() -> None:
    with pytest.raises(ConfigurationError, match=r"has 5 characters and needs 16") as refused:
        access(token="short")
    assert "short" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_everybody_may_look(host: str) -> None:
    assert access(host=host, token=None).knows(None)


def test_the_right_token_opens_a_session_that_ends() -> None:
    clock = ManualClock()
    door = access(clock)
    assert door.login("0123456789abcdef-wrong", "a") is None
    assert not door.knows("session-0")
    session = door.login(TOKEN, "a")
    assert door.knows(session)
    assert not door.knows(None)
    clock._now += limits.CONSOLE_SESSION_SECONDS
    assert not door.knows(session)


def test_logging_out_ends_it() -> None:
    door = access()
    session = door.login(TOKEN, "a")
    assert session is not None
    door.logout(session)
    assert not door.knows(session)


async def test_wrong_tokens_are_bounded_for_each_address() -> None:
    clock = ManualClock()
    door = access(clock)
    for _ in range(limits.CONSOLE_LOGINS_WRONG_MAX):
        assert door.login("wrong", "a") is None
    with pytest.raises(TooManyLogins, match="again in 60 seconds"):
        door.login(TOKEN, "a")
    assert door.login(TOKEN, "b") is not None
    await clock.advance(60)
    assert door.login(TOKEN, "a") is not None


def test_sessions_and_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONSOLE_SESSIONS_MAX", 2)
    monkeypatch.setattr(limits, "CONSOLE_ADDRESSES_MAX", 2)
    door = access()
    sessions = [door.login(TOKEN, "a") for _ in range(3)]
    assert [door.knows(session) for session in sessions] == [False, True, True]
    for address in "abc":
        door.login("wrong", address)
    assert list(door._wrong) == ["b", "c"]


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("localhost:6066", True),
        ("127.0.0.1:6066", True),
        ("[::1]:6066", True),
        ("localhost", True),
        ("evil.example:6066", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_without_a_token_a_name_of_this_machine_is_needed(header: str, admitted: bool) -> None:
    assert access(host="127.0.0.1", token=None).admits_host(header) is admitted
    assert access().admits_host("console.example")
