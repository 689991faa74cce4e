"""When a Later is tried again, how long that goes on, and what holds intake meanwhile."""

import asyncio
import random
from collections.abc import Callable

import pytest

from processors.errors import AccountSpent, AnswerInvalid, AnswerRefused, BudgetSpent, ProviderUnavailable
from streams.engine.attempts import Attempts
from streams.engine.intake import Intake
from streams.engine.settings import EngineSettings
from streams.engine.stage import Later, Outputs
from tests.fakes import ManualClock, settle
from topics.limits import BUDGET_LOOK_SECONDS
from topics.messages import Rejected
from topics.records import Out

OUTPUTS: Outputs = (Out("out", None, b"v", ()),)


class Script:
    """A Later that meets these errors one after the other, and then gives outputs."""

    def __init__(self, *errors: BaseException, clock: ManualClock | None = None) -> None:
        self.errors = list(errors)
        self.at: list[float] = []
        self._clock = clock

    async def __call__(self) -> Outputs:
        self.at.append(self._clock.monotonic() if self._clock else 0.0)
        if self.errors:
            raise self.errors.pop(0)
        return OUTPUTS


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def intake(clock: ManualClock) -> Intake:
    return Intake("triage", clock)


@pytest.fixture
def attempts(intake: Intake, clock: ManualClock) -> Attempts:
    return Attempts("triage", intake, clock=clock, rng=random.Random(1), settings=EngineSettings())


async def outcome(attempts: Attempts, later: Later, clock: ManualClock, seconds: float = 600.0) -> Outputs:
    task = asyncio.create_task(attempts.run(later))
    await clock.advance(seconds)
    return await task


async def test_a_record_that_fails_by_itself_is_tried_four_times(attempts: Attempts, clock: ManualClock) -> None:
    rejected = await outcome(attempts, Script(*[AnswerInvalid("garbage")] * 9), clock)
    assert rejected == Rejected("model_invalid", "AnswerInvalid: garbage", 4)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AnswerRefused("no"), "model_refused"), (KeyError("bug"), "internal"), (asyncio.CancelledError(), "internal")],
)
async def test_the_last_error_names_the_reason(
    attempts: Attempts, clock: ManualClock, error: BaseException, reason: str
) -> None:
    rejected = await outcome(attempts, Script(*[error] * 9), clock)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason


async def test_a_cancelled_attempt_is_cancelled(attempts: Attempts) -> None:
    async def endless() -> Outputs:
        await asyncio.Event().wait()
        return OUTPUTS

    task = asyncio.create_task(attempts.run(endless))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_outage_is_waited_for_with_growing_delays_and_costs_no_attempt(
    attempts: Attempts, intake: Intake, clock: ManualClock
) -> None:
    later = Script(*[ProviderUnavailable("timeout")] * 8, clock=clock)
    assert await outcome(attempts, later, clock) == OUTPUTS
    waits = [b - a for a, b in zip(later.at, later.at[1:], strict=False)]
    assert all(0.5 * 2**i <= wait <= 1.5 * 2**i for i, wait in enumerate(waits[:5]))
    assert max(waits) <= 45.0
    assert intake.held is None


async def test_intake_is_held_by_the_third_failure_in_a_row_until_a_success(
    attempts: Attempts, intake: Intake, clock: ManualClock
) -> None:
    later = Script(*[ProviderUnavailable("timeout")] * 3, clock=clock)
    task = asyncio.create_task(attempts.run(later))
    held = []
    while not task.done():
        await clock.advance(0.1)
        held.append((len(later.at), intake.held))
    assert {(1, None), (2, None), (3, "provider_unavailable")} <= set(held)
    assert held[-1] == (4, None)


async def test_an_outage_without_end_is_a_dead_letter(attempts: Attempts, clock: ManualClock) -> None:
    later = Script(*[ProviderUnavailable("timeout")] * 1_000, clock=clock)
    rejected = await outcome(attempts, later, clock, 4_000.0)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.attempts) == ("attempts_exhausted", len(later.at))
    assert later.at[-1] - later.at[0] >= 3_600.0


async def test_one_record_at_a_time_probes_a_closed_account_and_one_success_opens_it(
    attempts: Attempts, intake: Intake, clock: ManualClock
) -> None:
    closed = True
    calls: list[tuple[float, int]] = []

    def record(number: int) -> Callable[[], Later]:
        async def later() -> Outputs:
            calls.append((clock.monotonic() - begun, number))
            await asyncio.sleep(0)
            if closed:
                raise AccountSpent("no credit", retry_after_s=15.0)
            return OUTPUTS

        return lambda: later

    begun = clock.monotonic()
    tasks = [asyncio.create_task(attempts.run(record(number)())) for number in range(100)]
    await clock.advance(1.0)
    assert len(calls) == 100, "they were under way when the account closed"
    assert intake.held == "account_spent"
    await clock.advance(60.0)
    probes = calls[100:]
    assert [at for at, _ in probes] == [15.0, 30.0, 45.0, 60.0]
    closed = False
    await clock.advance(15.0)
    assert intake.held is None
    assert await asyncio.gather(*tasks) == [OUTPUTS] * 100


async def test_a_spent_budget_keeps_its_own_records_waiting_and_nobody_else(
    attempts: Attempts, intake: Intake, clock: ManualClock
) -> None:
    spent = Script(BudgetSpent("0.50 USD of this hour are spent", retry_after_s=600.0), clock=clock)
    waiting = asyncio.create_task(attempts.run(spent))
    await settle()
    assert intake.held is None
    assert await outcome(attempts, Script(), clock, 1.0) == OUTPUTS
    await clock.advance(500.0)
    assert len(spent.at) == 1
    await clock.advance(100.0)
    assert await waiting == OUTPUTS
    assert spent.at[1] - spent.at[0] == 600.0


async def test_records_that_wait_for_a_budget_are_tried_again_soon_after_it_may_have_been_raised(
    attempts: Attempts, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    spent = "0.50 USD of this hour are spent"
    later = Script(*[BudgetSpent(spent, retry_after_s=3_600.0)] * 2, clock=clock)
    waiting = asyncio.create_task(attempts.run(later))
    await clock.advance(100.0)
    assert len(later.at) == 1, "nothing has changed, so nothing is asked"
    attempts.look_again()
    await clock.advance(BUDGET_LOOK_SECONDS)
    assert len(later.at) == 2, "it was not raised by enough"
    assert caplog.text.count(spent) == 2, "which is told again"
    await clock.advance(100.0)
    assert len(later.at) == 2
    attempts.look_again()
    await clock.advance(BUDGET_LOOK_SECONDS)
    assert await waiting == OUTPUTS


async def test_looks_at_a_budget_are_no_attempts_of_the_record(attempts: Attempts, clock: ManualClock) -> None:
    later = Script(*[BudgetSpent("spent", retry_after_s=3_600.0)] * 20, clock=clock)
    waiting = asyncio.create_task(attempts.run(later))
    await settle()
    for _ in range(20):
        attempts.look_again()
        await clock.advance(BUDGET_LOOK_SECONDS)
    assert await waiting == OUTPUTS


async def test_a_budget_that_is_raised_during_an_attempt_is_not_missed(attempts: Attempts, clock: ManualClock) -> None:
    asked = 0

    async def later() -> Outputs:
        nonlocal asked
        asked += 1
        if asked == 1:
            attempts.look_again()
            raise BudgetSpent("spent, before it was raised", retry_after_s=3_600.0)
        return OUTPUTS

    assert await outcome(attempts, later, clock, 0.0) == OUTPUTS


async def test_a_probe_that_is_cancelled_hands_its_turn_on(
    attempts: Attempts, intake: Intake, clock: ManualClock
) -> None:
    first = asyncio.create_task(attempts.run(Script(AccountSpent("no credit", 15.0))))
    second = asyncio.create_task(attempts.run(Script()))
    await settle()
    first.cancel()
    await clock.advance(15.0)
    assert await second == OUTPUTS
    assert first.cancelled()
    assert intake.held is None


async def test_a_probe_that_has_to_wait_for_its_budget_hands_its_turn_on(
    attempts: Attempts, intake: Intake, clock: ManualClock
) -> None:
    spent = Script(AccountSpent("no credit", 15.0), BudgetSpent("1 USD of this day is spent", retry_after_s=50_000.0))
    first = asyncio.create_task(attempts.run(spent))
    second = asyncio.create_task(attempts.run(Script(AccountSpent("no credit", 15.0))))
    await clock.advance(60.0)
    assert not first.done()
    assert second.done(), "the account is open again, and the other stream's budget has money"
    assert intake.held is None
    first.cancel()


async def test_a_spent_budget_is_no_outage_however_long_it_lasts(attempts: Attempts, clock: ManualClock) -> None:
    later = Script(
        ProviderUnavailable("timeout"),
        BudgetSpent("1 USD of this day is spent", retry_after_s=50_000.0),
        ProviderUnavailable("timeout"),
        AccountSpent("no credit", retry_after_s=50_000.0),
        ProviderUnavailable("timeout"),
    )
    assert await outcome(attempts, later, clock, 200_000.0) == OUTPUTS
