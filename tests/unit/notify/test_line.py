"""The way to a target, at a real HTTP server: what is tried again, how often, and what is given up."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from processors.notify.form import Request
from processors.notify.line import Failed, Line
from processors.notify.post import session
from topics import limits


class SkippingClock:
    """Time that passes only in sleeps, which last as long as the event loop takes to turn."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


Answer = Callable[[int], web.Response]
"""To the nth call, from 0."""


class Server:
    """Answers as the test says, and keeps when it was called."""

    def __init__(self, answer: Answer, clock: SkippingClock) -> None:
        self._answer = answer
        self._clock = clock
        self.called_at: list[float] = []

    async def handle(self, _: web.Request) -> web.Response:
        self.called_at.append(self._clock.now)
        return self._answer(len(self.called_at) - 1)


@contextlib.asynccontextmanager
async def line(answer: Answer) -> AsyncIterator[tuple[Line, Server, SkippingClock]]:
    clock = SkippingClock()
    server = Server(answer, clock)
    app = web.Application()
    app.router.add_post("/", server.handle)
    async with TestServer(app) as listening, session() as http:
        url = str(listening.make_url("/"))
        yield Line("notify[0] (slack)", "slack", url, http=http, clock=clock, rng=random.Random(1)), server, clock


def send(a_line: Line, overtaken: Callable[[], bool] = lambda: False) -> asyncio.Task[bool | Failed]:
    return asyncio.create_task(a_line.send(lambda _: Request(b"{}", {}), overtaken))  # type: ignore[arg-type]


def status(*codes: int) -> Answer:
    """The codes in turn, the last of them for good."""
    return lambda call: web.Response(status=codes[min(call, len(codes) - 1)], text="no such channel")


@pytest.mark.parametrize("code", [500, 503, 408, 429])
async def test_what_may_pass_is_tried_again_until_it_is_taken(code: int) -> None:
    async with line(status(code, code, 200)) as (a_line, server, _):
        assert await send(a_line) is True
    assert len(server.called_at) == 3


@pytest.mark.parametrize("code", [400, 401, 404, 410, 302])
async def test_what_will_not_pass_is_given_up_at_once(code: int) -> None:
    async with line(status(code)) as (a_line, server, _):
        assert await send(a_line) == Failed("target_refused", f"status {code}: no such channel", 1)
    assert len(server.called_at) == 1


async def test_retry_after_is_kept() -> None:
    def answer(call: int) -> web.Response:
        return web.Response(status=429, headers={"retry-after": "42"}) if call == 0 else web.Response()

    async with line(answer) as (a_line, server, _):
        assert await send(a_line) is True
    first, second = server.called_at
    assert 42 <= second - first < 43


async def test_a_target_that_stays_away_is_given_up_after_a_while() -> None:
    async with line(status(503)) as (a_line, server, clock):
        began = clock.now
        outcome = await send(a_line)
        waited_s = clock.now - began
    assert isinstance(outcome, Failed)
    assert outcome.reason == "attempts_exhausted"
    assert outcome.attempts == len(server.called_at)
    assert limits.NOTIFY_SECONDS_MAX / 2 < waited_s <= limits.NOTIFY_SECONDS_MAX + limits.NOTIFY_BACKOFF_SECONDS_MAX
    gaps = [b - a for a, b in zip(server.called_at, server.called_at[1:], strict=False)]
    assert gaps[0] <= limits.NOTIFY_BACKOFF_SECONDS_MIN, "a moment's failure is no long wait"
    assert max(gaps) <= limits.NOTIFY_BACKOFF_SECONDS_MAX


async def test_nobody_there_is_as_good_as_away() -> None:
    async with session() as http:
        clock = SkippingClock()
        a_line = Line("x", "slack", "http://127.0.0.1:1/", http=http, clock=clock, rng=random.Random(1))
        outcome = await send(a_line)
    assert isinstance(outcome, Failed)
    assert "127.0.0.1" not in outcome.detail, "the address may be a secret"


async def test_many_that_wait_do_not_ask_a_target_that_is_away_more_often() -> None:
    async with line(status(503, 503, 503, 503, 503, 503, 503, 503, 200)) as (a_line, server, _):
        assert await asyncio.gather(*(send(a_line) for _ in range(50))) == [True] * 50
    failed = [at for at in server.called_at if at < server.called_at[-1]]
    assert len(failed) <= 4 * limits.NOTIFY_CALLS_MAX


async def test_what_a_newer_revision_has_overtaken_is_passed_over_at_the_next_attempt() -> None:
    seen: list[int] = []
    async with line(status(503)) as (a_line, server, _):
        outcome = await send(a_line, overtaken=lambda: len(seen.append(1) or seen) > 2)  # type: ignore[func-returns-value]
    assert outcome is False
    assert len(server.called_at) == 2


async def test_too_many_do_not_wait_for_a_target_that_is_away_for_long() -> None:
    async with line(status(503)) as (a_line, _, clock):
        waiting = [send(a_line) for _ in range(limits.NOTIFY_QUEUE_MAX + 10)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert clock.now - 1_800_000_000 < 2 * limits.NOTIFY_CROWDED_SECONDS + limits.NOTIFY_BACKOFF_SECONDS_MAX
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
