"""A message that waits for a model's answer, on behalf of everybody who sent the same text."""

import asyncio
from dataclasses import dataclass

from processors.items import Item
from topics.messages import Lane, Tokens, Verdict


@dataclass(frozen=True, slots=True)
class Bill:
    """One message's share of every call that its answer took."""

    batch_size: int  # messages in the call that answered
    tokens: Tokens
    cost_usd_micros: float
    lane: Lane | None = None  # of the call that answered

    def with_also(self, other: "Bill") -> "Bill":
        """This one, and what another call about the same message took."""
        cost = round(self.cost_usd_micros + other.cost_usd_micros, 3)
        return Bill(max(self.batch_size, other.batch_size), self.tokens + other.tokens, cost, self.lane)

    def paid(self) -> "Bill":
        """The same answer, paid for by another message with the same text."""
        return Bill(self.batch_size, Tokens(), 0.0, self.lane)


FREE = Bill(0, Tokens(), 0.0)


@dataclass(frozen=True, slots=True)
class Answered:
    """A verdict and what it cost."""

    verdict: Verdict
    bill: Bill
    suspect: bool = False  # a batch that it was in failed its control: nobody may learn from it
    seconds: float = 0.0  # from the question to the answer


class Question:
    """Settled at most once. Made on the running event loop."""

    def __init__(self, item: Item, asked_s: float, *, again: bool = False) -> None:
        """`asked_s`: now, monotonic. `again`: it was answered before, and this is another vote."""
        self.item = item
        self.asked_s = asked_s
        self.again = again
        self._tokens = Tokens()  # billed so far
        self._cost_usd_micros = 0.0
        self._outcome: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self.waiters = 0
        self._claimed = False
        self.suspect = False

    async def answer(self) -> Answered:
        """Waits for the answer, or raises the error that it was settled with.

        A waiter that is cancelled takes nothing from the others; with the last one the question is dropped.
        """
        self.waiters += 1
        try:
            await asyncio.wait((self._outcome,))
            return self._outcome.result()
        finally:
            self.waiters -= 1
            if self.waiters == 0:
                self._outcome.cancel()

    def claim(self) -> bool:
        """True for the first caller only: whose the bill, or the failure, is."""
        first, self._claimed = not self._claimed, True
        return first

    @property
    def open(self) -> bool:
        """Whether an answer is still wanted."""
        return not self._outcome.done()

    @property
    def joinable(self) -> bool:
        """Whether somebody who comes now gets an answer: it is on its way, or has just come."""
        return self.open or not (self._outcome.cancelled() or self._outcome.exception())

    def charge(self, tokens: Tokens, cost_usd_micros: float) -> None:
        """Adds this message's share of a call."""
        self._tokens += tokens
        self._cost_usd_micros += cost_usd_micros

    def settle(self, verdict: Verdict, batch_size: int, lane: Lane | None, seconds: float) -> None:
        if self.open:
            bill = Bill(batch_size, self._tokens, round(self._cost_usd_micros, 3), lane)
            self._outcome.set_result(Answered(verdict, bill, self.suspect, seconds))

    def fail(self, error: BaseException) -> None:
        if self.open:
            self._outcome.set_exception(error)
            self._outcome.exception()  # waiters may be leaving just now: asyncio need not report it as never seen

    def cancel_when_dropped(self, call: asyncio.Task[None], companions: "list[Question]") -> None:
        """Cancels `call` once the last of `companions` that it is about is dropped."""

        def settled(outcome: asyncio.Future[Answered]) -> None:
            if outcome.cancelled() and not any(question.open for question in companions):
                call.cancel()

        self._outcome.add_done_callback(settled)
