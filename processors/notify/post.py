"""One HTTP call to a target, and what came of it. The only file here that knows aiohttp."""

from dataclasses import dataclass

import aiohttp

from processors.gateway.headers import retry_after_s
from processors.notify.form import Request
from topics.limits import NOTIFY_ANSWER_CHARS_MAX, NOTIFY_CALL_SECONDS_MAX

_TRY_AGAIN = frozenset({408, 429})  # of 4xx; the others say that the request is wrong, and it will be as wrong again


@dataclass(frozen=True, slots=True)
class Taken:
    """The target has it."""


@dataclass(frozen=True, slots=True)
class Away:
    """The target may take it later."""

    why: str  # names neither address nor content
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The target will never take it."""

    why: str  # as above
    answer: str  # the beginning of what it said: may have content in it


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=NOTIFY_CALL_SECONDS_MAX), trust_env=False)


async def post(http: aiohttp.ClientSession, url: str, request: Request, now_s: float) -> Taken | Away | Refused:
    """Follows no redirect: the target is whom the policy names. Raises nothing but cancellation."""
    try:
        async with http.post(url, data=request.body, headers=request.headers, allow_redirects=False) as response:
            status = response.status
            if 200 <= status < 300:
                return Taken()
            if status >= 500 or status in _TRY_AGAIN:
                return Away(f"status {status}", retry_after_s(response.headers, now_s))
            answer = await response.content.read(NOTIFY_ANSWER_CHARS_MAX)
            return Refused(f"status {status}", answer.decode(errors="replace"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:  # their texts have the address in them
        return Away(type(error).__name__)
