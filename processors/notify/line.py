"""The way to one target: a few calls at once, none while it is away, each message tried within bounds."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import aiohttp

from processors import metrics
from processors.clock import Clock
from processors.notify.form import Request
from processors.notify.post import Away, Refused, Taken, post
from processors.policy import NotifyKind
from topics import limits
from topics.messages import DeadLetterReason

log = logging.getLogger("sluice.notify")


@dataclass(frozen=True, slots=True)
class Failed:
    """The target was not told."""

    reason: DeadLetterReason
    detail: str  # for a person; may have content in it, so it does not go into logs
    attempts: int


class Line:
    """One a target. A failure closes it for a while, for all messages: a target that is away is asked seldom."""

    def __init__(
        self,
        name: str,
        kind: NotifyKind,
        url: str,
        *,
        http: aiohttp.ClientSession,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`name`: the target's, as `notify[0] (slack)`."""
        self._name = name
        self._url = url
        self._http = http
        self._clock = clock
        self._rng = rng
        # Alertmanager knows no revisions: what came last holds, so nothing may overtake on the way.
        self._calls = asyncio.Semaphore(1 if kind == "alertmanager" else limits.NOTIFY_CALLS_MAX)
        self._seconds = metrics.NOTIFICATION_SECONDS.labels(kind)
        self._opens_at = 0.0
        self._failures = 0  # in a row
        self._away_since = 0.0  # where there are any
        self._waiting = 0  # messages that are neither taken nor given up

    async def send(self, build: Callable[[float], Request], overtaken: Callable[[], bool]) -> bool | Failed:
        """True once the target has it; False where it was `overtaken`, which is asked before each attempt.

        `build` makes the request at the time of sending, epoch seconds. Raises nothing but cancellation.
        """
        self._waiting += 1
        try:
            return await self._send(build, overtaken)
        finally:
            self._waiting -= 1

    async def _send(self, build: Callable[[float], Request], overtaken: Callable[[], bool]) -> bool | Failed:
        began, attempts = self._clock.monotonic(), 0
        while True:
            if self._crowded:
                return Failed(
                    "attempts_exhausted", f"{self._waiting} alerts wait for this target, which is away", attempts
                )
            await self._open()
            async with self._calls:
                if overtaken():
                    return False
                if self._closed_s > 0:
                    continue  # while it waited for its turn
                attempts += 1
                answer = await self._attempt(build)
            match answer:
                case Taken():
                    return True
                case Refused():
                    log.error("%s refuses an alert: %s; see the dead letter", self._name, answer.why)
                    return Failed("target_refused", f"{answer.why}: {answer.answer}", attempts)
                case Away():
                    waited_s = self._clock.monotonic() - began
                    if attempts >= limits.NOTIFY_ATTEMPTS_MAX or waited_s >= limits.NOTIFY_SECONDS_MAX:
                        return Failed("attempts_exhausted", f"{answer.why}, after {waited_s:.0f} s", attempts)
                case _:
                    assert_never(answer)

    async def once(self, build: Callable[[float], Request]) -> bool:
        """One attempt, unless the target is away: whether it has it."""
        async with self._calls:
            return self._closed_s <= 0 and isinstance(await self._attempt(build), Taken)

    @property
    def _crowded(self) -> bool:
        """Too many wait for a target that has been away for a while: they would hold up those of the others."""
        away_s = self._clock.monotonic() - self._away_since if self._failures else 0.0
        return self._waiting > limits.NOTIFY_QUEUE_MAX and away_s >= limits.NOTIFY_CROWDED_SECONDS

    @property
    def _closed_s(self) -> float:
        """For how long no call is made."""
        return self._opens_at - self._clock.monotonic()

    async def _open(self) -> None:
        while (wait_s := self._closed_s) > 0:
            await self._clock.sleep(wait_s)

    async def _attempt(self, build: Callable[[float], Request]) -> Taken | Away | Refused:
        began = self._clock.monotonic()
        now_s = self._clock.time()
        answer = await post(self._http, self._url, build(now_s), now_s)
        self._seconds.observe(self._clock.monotonic() - began)
        if isinstance(answer, Away):
            if began >= self._opens_at:  # else others, sent at the same time, have closed it already
                self._close(answer)
        else:
            if self._failures:
                log.info("%s answers again", self._name)
            self._failures, self._opens_at = 0, 0.0
        return answer

    def _close(self, answer: Away) -> None:
        """The wait doubles; the jitter keeps workers that failed together from coming back together."""
        if self._failures == 0:
            self._away_since = self._clock.monotonic()
            log.warning("%s takes nothing (%s): its alerts wait, and are tried again", self._name, answer.why)
        delay_s = limits.NOTIFY_BACKOFF_SECONDS_MIN * 2.0 ** min(self._failures, 16)
        delay_s = min(delay_s, limits.NOTIFY_BACKOFF_SECONDS_MAX) * self._rng.uniform(0.5, 1.0)
        self._failures += 1
        self._opens_at = self._clock.monotonic() + max(delay_s, answer.retry_after_s or 0.0)
