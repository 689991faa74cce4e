"""One record's Later, tried until it gives outputs or the record is rejected."""

import asyncio
import logging
import random

from processors.clock import Clock
from processors.errors import AccountError, AnswerError, AnswerRefused, BudgetSpent, ProviderUnavailable
from processors.metrics import PAUSED, RETRIED
from streams.engine.intake import Intake
from streams.engine.settings import EngineSettings
from streams.engine.stage import Forgotten, Joint, Later, Outputs, Together
from topics.catalog import Stage
from topics.limits import BUDGET_LOOK_SECONDS
from topics.messages import DeadLetterReason, Rejected

log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.2
_DELAY_S_MAX = 30.0
_LOOK_SECONDS = 1.0  # so often a record that waits for the provider looks whether others get answers


class Attempts:
    """How often and when a Later is started again. One an engine."""

    def __init__(
        self, stage: Stage, intake: Intake, *, clock: Clock, rng: random.Random, settings: EngineSettings
    ) -> None:
        self._stage = stage
        self._intake = intake
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self.waiting_for_budget = 0  # records: they find out nothing about the account or the provider
        self._budget_open_at = 0.0  # when the budget that was last told about has money again
        self._looks = 0  # that were asked for so far

    def look_again(self) -> None:
        """Budgets may have been raised: what waits for one is tried again, within BUDGET_LOOK_SECONDS."""
        self._looks += 1
        self._budget_open_at = 0.0  # one that is spent all the same is told again

    async def run(self, later: Later | Joint) -> Outputs | Together:
        """The Later's outputs, or why the record goes to dead-letters. Raises Forgotten and cancellation only."""
        intake = self._intake
        failures = unavailable = 0
        unavailable_since = 0.0
        while True:
            looks = self._looks  # before the attempt: a budget that is raised during it is not missed
            try:
                outputs = await self._attempt(later)
            except BudgetSpent as error:
                RETRIED.labels(self._stage, error.code).inc()
                unavailable = 0
                await self._wait_for_budget(error, looks)
            except AccountError as error:
                RETRIED.labels(self._stage, error.code).inc()
                unavailable = 0  # somebody answered; and what is waited for now is no outage
                intake.refused(error)
            except ProviderUnavailable as error:
                RETRIED.labels(self._stage, type(error).__name__).inc()
                intake.unavailable()
                now = self._clock.monotonic()
                unavailable += 1
                if unavailable == 1:
                    unavailable_since = now
                if now - unavailable_since >= self._settings.provider_outage_seconds_max:
                    detail = f"no provider for {now - unavailable_since:.0f} s: {error}; replay it once one answers"
                    return Rejected("attempts_exhausted", detail, failures + unavailable)
                await self._wait(unavailable, at_least_s=error.retry_after_s)
            except Forgotten:
                raise
            except Exception as error:
                RETRIED.labels(self._stage, type(error).__name__).inc()
                if isinstance(error, AnswerError):
                    intake.answered()
                else:
                    log.warning("%s: an attempt at a record failed", self._stage, exc_info=error)
                failures += 1
                unavailable = 0
                if failures >= self._settings.attempts_max:
                    return Rejected(_reason(error), f"{type(error).__name__}: {error}", failures)
                await self._wait(failures, at_least_s=0.0)
            else:
                intake.answered()
                return outputs

    async def _attempt(self, later: Later | Joint) -> Outputs | Together:
        """A probe gives its turn away with its attempt: what it then waits for, others must not."""
        probing = await self._intake.enter()
        try:
            return await _once(later)
        finally:
            self._intake.leave(probing)

    async def _wait_for_budget(self, error: BudgetSpent, looks: int) -> None:
        """A budget is one stream's, so intake is not held: its records wait, its partitions fill, others go on.

        Until the period is over or, since `looks`, another look was asked for. Looking without that would ask for all
        that waits, again and again, and be told the same.
        """
        now = self._clock.monotonic()
        ends_at = now + error.retry_after_s
        if now >= self._budget_open_at:
            self._budget_open_at = ends_at
            log.error("%s: %s; its records wait %.0f s, nothing is lost", self._stage, error, error.retry_after_s)
        paused = PAUSED.labels(self._stage, error.code)
        paused.set(1)
        self.waiting_for_budget += 1
        try:
            while looks == self._looks and (left_s := ends_at - self._clock.monotonic()) > 0:
                await self._clock.sleep(min(left_s, BUDGET_LOOK_SECONDS))
        finally:
            self.waiting_for_budget -= 1
            if self.waiting_for_budget == 0:
                paused.set(0)

    async def _wait(self, times: int, *, at_least_s: float) -> None:
        """Grows twofold; the jitter keeps records that failed together from coming back together. Ends early when the
        provider answers again."""
        delay_s = min(max(_FIRST_DELAY_S, at_least_s) * 2.0 ** min(times - 1, 16), _DELAY_S_MAX)
        delay_s *= self._rng.uniform(0.5, 1.5)
        held = self._intake.held is not None
        while delay_s > 0 and (self._intake.held is not None or not held):
            await self._clock.sleep(min(delay_s, _LOOK_SECONDS))
            delay_s -= _LOOK_SECONDS


async def _once(later: Later | Joint) -> Outputs | Together:
    try:
        return await later()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("something that the record waited for was cancelled") from error  # not we: an attempt


def _reason(error: Exception) -> DeadLetterReason:
    if isinstance(error, AnswerRefused):
        return "model_refused"
    return "model_invalid" if isinstance(error, AnswerError) else "internal"
