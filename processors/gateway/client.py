"""Bytes to a model's server and back: the one file that knows aiohttp."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from topics import limits


class NotSent(Exception):
    """No connection: the provider has seen nothing of the call."""


class NoAnswer(Exception):
    """The call was sent and no whole answer came: the provider may have done and billed the work."""


class TooSlow(NoAnswer):
    """It was not there in time."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A response of any status."""

    status: int
    headers: Mapping[str, str]  # looked up without regard to case
    body: bytes


class Client:
    """A pool of kept-alive connections. Proxies and credentials of the environment are not used."""

    def __init__(self, call_seconds: float = limits.CALL_SECONDS_MAX) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=call_seconds, sock_connect=min(call_seconds, limits.CONNECT_SECONDS_MAX)
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),  # bounded by the limiters' windows
            timeout=self._timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Raw:
        """Raises NotSent or NoAnswer. Cancelled, it closes the connection."""
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return Raw(response.status, response.headers, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(str(error) or type(error).__name__) from error
        except TimeoutError as error:
            raise TooSlow(f"no answer in {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, bounded."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limits.REPLY_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {limits.REPLY_BYTES_MAX} bytes")
    return bytes(body)
