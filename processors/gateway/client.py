"""Bytes to a model's server and back: the one file that knows aiohttp."""

from collections.abc import Callable, Mapping
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
        self._timeout = self._bounded(call_seconds)
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

    def _bounded(self, seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, limits.CONNECT_SECONDS_MAX))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], seconds: float | None = None) -> Raw:
        """As `exchange`; `seconds` instead of the client's own bound."""
        return await self.exchange("POST", url, headers, body, seconds)

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        seconds: float | None = None,
        each_line: Callable[[bytes], None] | None = None,
    ) -> Raw:
        """Raises NotSent or NoAnswer. Cancelled, it closes the connection.

        `each_line` gets the lines of a good answer one by one, and the Raw is then without a body.
        """
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        timeout = self._timeout if seconds is None else self._bounded(seconds)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                if each_line is not None and response.status == 200:
                    await _read_lines(response, each_line)
                    return Raw(200, response.headers, b"")
                return Raw(response.status, response.headers, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(str(error) or type(error).__name__) from error
        except TimeoutError as error:
            raise TooSlow(f"no answer in {timeout.total:g} s") from error
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


async def _read_lines(response: aiohttp.ClientResponse, each_line: Callable[[bytes], None]) -> None:
    """Bounded in all and by line; a last line may have no end."""
    rest, seen = b"", 0
    async for chunk in response.content.iter_any():
        seen += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if seen > limits.BATCH_OUTPUT_BYTES_MAX or len(rest) > limits.REPLY_BYTES_MAX:
            raise aiohttp.ClientPayloadError("the file is longer, or has a longer line, than is read")
        for line in lines:
            if line:
                each_line(line)
    if rest:
        each_line(rest)
