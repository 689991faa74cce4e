"""Who travels with whom: gathers messages into calls to nano, and asks again alone what a call left unanswered.

How many travel together, and how long the first waits for company, is the controller's to say (processors/batching.py).
Whatever came in the same turn of the event loop is at hand, and companions are drawn from it at random. Where no call
is free when a batch should leave, it goes on filling until one is. Messages of different tenants never share a call.

Each call has a control, which fails where a text dictates the answers. So has that about a message alone: it could
dictate its own answer only, but memory, students and audits would learn from it.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from processors.batching import Controller
from processors.clock import Clock
from processors.errors import AccountError, AnswerError, AnswerInvalid, AnswerLater, ProviderUnavailable
from processors.items import Item
from processors.metrics import ASKED_AGAIN, BATCH_MESSAGES
from processors.nano import Nano, Reply
from processors.policy import Stream
from processors.questions import Question
from topics.limits import BATCH_INPUT_CHARS_MAX, TRIAGE_CALLS_MAX
from topics.messages import Verdict

log = logging.getLogger("sluice.triage")


class _Waiting:
    """One tenant's questions that wait for company, with the times at which they came."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.came: list[tuple[float, Question]] = []
        self.linger: asyncio.Task[None] | None = None
        self.dealing = False  # as soon as this turn of the event loop is over

    def take(self, size: int) -> list[tuple[float, Question]]:
        """The first `size` of them, or as many as one call has room for."""
        chars = count = 0
        for _, question in self.came[:size]:
            chars += len(question.item.text)
            if count and chars > BATCH_INPUT_CHARS_MAX:
                break
            count += 1
        taken, self.came = self.came[:count], self.came[count:]
        return taken


class Batches:
    """The questions of one stream, to nano and back: each is settled exactly once, unless nobody waits for it."""

    def __init__(self, name: str, stream: Stream, nano: Nano, clock: Clock) -> None:
        self.controller = Controller(stream.deadline, fixed=stream.batch)
        self._name = name
        self._nano = nano
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}  # by tenant
        self._calls = asyncio.Semaphore(TRIAGE_CALLS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sizes = BATCH_MESSAGES.labels(name)

    def put(self, item: Item, *, alone: bool = False, again: bool = False, suspect: bool = False) -> Question:
        """Takes a message on its way; `alone`: it gets no company; `again`: it stands before its company; `suspect`: a
        batch that it was in failed its control, so that nobody may learn from its answer. What may settle it are the
        errors of Model.ask, AnswerInvalid (no valid answer even alone) and ProviderUnavailable (closed).

        Once its question is settled, a message may be put again, for another vote in other company.
        """
        now_s = self._clock.monotonic()
        question = Question(item, now_s, again=again)
        question.suspect = suspect
        if alone or self.controller.size == 1:
            self._send([question])
            return question
        self.controller.arrived(now_s)
        waiting = self._waiting.get(item.tenant)
        if waiting is None:
            waiting = self._waiting[item.tenant] = _Waiting(item.tenant)
        waiting.came.append((now_s, question))
        self._deal_soon(waiting)
        return question

    async def close(self) -> None:
        """Abandons every call; who still waits gets ProviderUnavailable."""
        closing = ProviderUnavailable("triage is closing")
        for waiting in self._waiting.values():
            _fail([question for _, question in waiting.came], closing)
        self._waiting.clear()
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _deal_soon(self, waiting: _Waiting) -> None:
        if not waiting.dealing:
            waiting.dealing = True
            asyncio.get_running_loop().call_soon(self._deal, waiting)

    def _deal(self, waiting: _Waiting) -> None:
        """Sends as many full batches as there are, drawn at random; the rest goes on waiting."""
        waiting.dealing = False
        if self._waiting.get(waiting.tenant) is not waiting:
            return  # they have left
        self._nano.rng.shuffle(waiting.came)
        while waiting.came:
            batch = waiting.take(self.controller.size)
            if len(batch) < self.controller.size and not waiting.came:
                waiting.came = batch
                break
            self._send([question for _, question in batch])
        if waiting.came:
            if waiting.linger is None:
                waiting.linger = self._linger_for(waiting)
            return
        del self._waiting[waiting.tenant]
        if waiting.linger is not None:
            waiting.linger.cancel()

    def _linger_for(self, waiting: _Waiting) -> asyncio.Task[None]:
        taken: list[Question] = []
        return self._start(self._linger(waiting, taken), taken)

    async def _linger(self, waiting: _Waiting, taken: list[Question]) -> None:
        """Sends what waits when it is time, or as soon after as a call is free."""
        while waiting.came:
            times = [came_s for came_s, _ in waiting.came]
            seconds = self.controller.leaves_at_s(min(times), max(times)) - self._clock.monotonic()
            if seconds <= 0:
                break
            await self._clock.sleep(seconds)
        async with self._calls:
            taken += [question for _, question in waiting.take(self.controller.size)]
            waiting.linger = None
            if waiting.came:
                self._deal_soon(waiting)
            else:
                del self._waiting[waiting.tenant]
            await self._ask(taken)

    def _send(self, questions: list[Question]) -> None:
        self._start(self._call(questions), questions)

    def _start(self, work: Coroutine[Any, Any, None], questions: Sequence[Question]) -> asyncio.Task[None]:
        """However it fails, those of `questions` fail with it who have no other call under way."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                _fail(questions, ProviderUnavailable("the call was abandoned"))
            elif error := task.exception():
                _fail(questions, error)

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    async def _call(self, questions: Sequence[Question]) -> None:
        async with self._calls:
            await self._ask(questions)

    async def _ask(self, asked: Sequence[Question]) -> None:
        """One call about those of `asked` whose answer is still wanted."""
        questions = [question for question in asked if question.open]
        if not questions:
            return
        task = asyncio.current_task()
        assert task is not None
        for question in questions:
            question.cancel_when_dropped(task, questions)
        self._sizes.observe(len(questions))
        questions.sort(key=lambda question: not question.again)
        items, again = [question.item for question in questions], sum(question.again for question in questions)
        # What was answered before has passed a control, in a batch that it would have spoilt
        control_alone = not (questions[0].suspect or questions[0].again)
        try:
            reply = await self._nano.call(items, again=again, control_alone=control_alone)
        except (AccountError, AnswerLater, ProviderUnavailable):
            raise  # says nothing about the messages
        except Exception as error:
            if len(questions) == 1:
                raise
            # One message may have spoilt it for all: alone, it spoils it for itself only.
            if not isinstance(error, AnswerError):
                log.warning("a batch of stream %s failed; its messages are asked alone", self._name, exc_info=error)
            self._again(questions, "refused" if isinstance(error, AnswerError) else "error")
            return
        self.controller.called(len(questions), reply.latency_s, reply.fixed_share)
        self._settle(questions, reply)

    def _settle(self, questions: list[Question], reply: Reply) -> None:
        for question, verdict in zip(questions, reply.verdicts, strict=True):
            question.charge(reply.tokens, reply.cost_usd_micros)
            if isinstance(verdict, Verdict):
                question.settle(verdict, len(questions), reply.lane, self._clock.monotonic() - question.asked_s)
            elif len(questions) == 1 and verdict.why != "sentinel":
                question.fail(AnswerInvalid(f"stream {self._name}: {verdict.detail}"))
            else:
                self._again([question], verdict.why)

    def _again(self, questions: Sequence[Question], why: str) -> None:
        for question in questions:
            if question.open:
                ASKED_AGAIN.labels(self._name, why).inc()
                question.suspect |= why == "sentinel"
                self._send([question])


def _fail(questions: Sequence[Question], error: BaseException) -> None:
    for question in questions:
        question.fail(error)
