"""Whether an engine takes more records: not while the account, a budget or the provider lets nothing through."""

import asyncio
import logging

from processors.clock import Clock
from processors.errors import AccountError
from processors.metrics import PAUSED
from topics.catalog import Stage

log = logging.getLogger(__name__)

_UNAVAILABLE = "provider_unavailable"
_STREAK = 3  # calls in a row that find no provider, with no success between: one alone is everyday


class Intake:
    """One an engine. Every Later passes `enter` and `leave` around each attempt and tells how it ended.

    While the account is closed, one caller at a time is let through as a probe, each after the wait that the last
    AccountError asked for; the first that does not meet an AccountError opens intake for all.
    """

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock
        self._turn = asyncio.Lock()
        self._look_again_at = 0.0
        self._account: str | None = None  # the AccountError's code
        self._streak = 0

    @property
    def held(self) -> str | None:
        """The reason that no record is taken; None while intake is open."""
        if self._account is not None:
            return self._account
        return _UNAVAILABLE if self._streak >= _STREAK else None

    async def enter(self) -> bool:
        """Returns when the caller may try; True says that it is the probe. Cancelled, it leaves nothing behind."""
        if self._account is None:
            return False
        await self._turn.acquire()
        probing = False
        try:
            while self._account is not None and (wait_s := self._look_again_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait_s)
            probing = self._account is not None
        finally:
            if not probing:
                self._turn.release()
        return probing

    def leave(self, probing: bool) -> None:
        """After the attempt, with what `enter` returned."""
        if probing:
            self._turn.release()

    def refused(self, error: AccountError) -> None:
        """The account or the budget lets nothing through."""
        self._look_again_at = self._clock.monotonic() + error.retry_after_s
        if self._account != error.code:
            self._open_account()
            self._account = error.code
            PAUSED.labels(self._stage, error.code).set(1)
            log.error(
                "%s: intake is held, nothing is lost: %s; looked at again every %.0f s",
                self._stage, error, error.retry_after_s,
            )  # fmt: skip

    def unavailable(self) -> None:
        """A call found no provider."""
        self._streak += 1
        if self._streak == _STREAK:
            PAUSED.labels(self._stage, _UNAVAILABLE).set(1)
            log.warning("%s: intake is held: no call to the provider has succeeded lately", self._stage)

    def answered(self) -> None:
        """A call was answered, whatever the answer: the account and the provider are well."""
        if self._streak >= _STREAK:
            PAUSED.labels(self._stage, _UNAVAILABLE).set(0)
            log.info("%s: the provider answers again, intake goes on", self._stage)
        self._streak = 0
        if self._account is not None:
            log.info("%s: the account is open again, intake goes on", self._stage)
            self._open_account()

    def _open_account(self) -> None:
        if self._account is not None:
            PAUSED.labels(self._stage, self._account).set(0)
            self._account = None
