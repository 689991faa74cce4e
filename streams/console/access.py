"""Who may see the console: everybody on this machine, or whoever has the token. Sessions live in memory."""

import hashlib
import hmac
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable

from yarl import URL

from processors.clock import Clock
from processors.errors import ConfigurationError
from topics import limits

_MINUTE_S = 60.0


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class TooManyLogins(Exception):
    """Of one address in a minute."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"too many wrong tokens: try again in {after_s:.0f} seconds")
        self.after_s = after_s


class Access:
    """`new_id` makes an unguessable session id."""

    def __init__(self, host: str, token: str | None, clock: Clock, new_id: Callable[[], str]) -> None:
        """Raises ConfigurationError where others could look and no token keeps them out. It is never told."""
        token = token or None
        if token is None and not is_loopback(host):
            raise ConfigurationError(
                f"SLUICE_CONSOLE_HOST = {host}: the console would be open to every machine that reaches this one. "
                f"Set SLUICE_CONSOLE_TOKEN to {limits.CONSOLE_TOKEN_CHARS_MIN} or more random characters "
                "(`openssl rand -hex 24`), or listen on 127.0.0.1."
            )
        if token is not None and len(token) < limits.CONSOLE_TOKEN_CHARS_MIN:
            raise ConfigurationError(
                f"SLUICE_CONSOLE_TOKEN has {len(token)} characters and needs {limits.CONSOLE_TOKEN_CHARS_MIN}, or it "
                "could be guessed. Make one with `openssl rand -hex 24`."
            )
        self._token = token
        self._clock = clock
        self._new_id = new_id
        self._sessions: OrderedDict[bytes, float] = OrderedDict()  # digests of ids → when they end
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()  # by address, when it was wrong

    @property
    def needs_token(self) -> bool:
        return self._token is not None

    def admits_host(self, header: str) -> bool:
        """Whether a request names us by a name of this machine.

        Without a token, a page from elsewhere whose name was pointed here (DNS rebinding) could read ours. With one, a
        browser sends no cookie to that name.
        """
        if self.needs_token:
            return True
        try:
            host = URL(f"http://{header}").host
        except ValueError:
            return False
        return host is not None and is_loopback(host)

    def login(self, given: str, address: str) -> str | None:
        """A session's id; None for a wrong token. Raises TooManyLogins."""
        now_s = self._clock.monotonic()
        wrong = self._wrong.get(address, deque[float]())
        while wrong and now_s - wrong[0] >= _MINUTE_S:
            wrong.popleft()
        if len(wrong) >= limits.CONSOLE_LOGINS_WRONG_MAX:
            raise TooManyLogins(_MINUTE_S - (now_s - wrong[0]))
        if not self._is_token(given):
            wrong.append(now_s)
            self._wrong[address] = wrong
            self._wrong.move_to_end(address)
            if len(self._wrong) > limits.CONSOLE_ADDRESSES_MAX:
                self._wrong.popitem(last=False)
            return None
        self._wrong.pop(address, None)
        id_ = self._new_id()
        self._sessions[_digest(id_)] = now_s + limits.CONSOLE_SESSION_SECONDS
        if len(self._sessions) > limits.CONSOLE_SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return id_

    def logout(self, session: str) -> None:
        self._sessions.pop(_digest(session), None)

    def knows(self, session: str | None) -> bool:
        """Whether a request may see anything: always, where no token is needed."""
        if not self.needs_token:
            return True
        return session is not None and self._sessions.get(_digest(session), 0.0) > self._clock.monotonic()

    def _is_token(self, given: str) -> bool:
        """Takes as long whatever is wrong with it, its length included."""
        return self._token is not None and hmac.compare_digest(_digest(given), _digest(self._token))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
