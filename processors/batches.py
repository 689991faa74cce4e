"""Who travels with whom: gathers messages into calls to nano, and asks again alone what a call left unanswered.

A batch leaves when it is full, or when its first message has waited the linger. Where no call is free by then, it goes
on filling until one is. Messages of different tenants never share a call.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from processors.clock import Clock
from processors.errors import AccountError, AnswerError, AnswerInvalid, ProviderUnavailable
from processors.items import Item
from processors.metrics import ASKED_AGAIN, BATCH_MESSAGES
from processors.nano import Nano, Reply
from processors.policy import Stream
from processors.questions import Question
from topics.limits import BATCH_INPUT_CHARS_MAX, BATCH_LINGER_SECONDS_MAX, TRIAGE_CALLS_MAX
from topics.messages import Verdict

log = logging.getLogger("sluice.triage")

_LINGER_SHARE = 1 / 10  # of the deadline: what a message may wait for company


class _Batch:
    """Questions of one tenant, and what makes them leave."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.questions: list[Question] = []
        self.chars = 0
        self.linger: asyncio.Task[None] | None = None

    def add(self, question: Question) -> None:
        self.questions.append(question)
        self.chars += len(question.item.text)


class Batches:
    """The questions of one stream, to nano and back: each is settled exactly once, unless nobody waits for it."""

    def __init__(self, name: str, stream: Stream, nano: Nano, clock: Clock) -> None:
        self._name = name
        self._size = stream.batch_messages
        self._linger_s = min(BATCH_LINGER_SECONDS_MAX, stream.deadline * _LINGER_SHARE)
        self._nano = nano
        self._clock = clock
        self._filling: dict[str, _Batch] = {}  # by tenant
        self._calls = asyncio.Semaphore(TRIAGE_CALLS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sizes = BATCH_MESSAGES.labels(name)

    def put(self, item: Item, *, alone: bool) -> Question:
        """Takes a message on its way; `alone`: it gets no company. What may settle it are the errors of Model.ask,
        AnswerInvalid (no valid answer even alone) and ProviderUnavailable (closed)."""
        question = Question(item)
        if alone or self._size == 1:
            self._ask_alone(question)
            return question
        batch = self._filling.get(item.tenant)
        if batch is not None and batch.chars + len(item.text) > BATCH_INPUT_CHARS_MAX:
            self._leave(batch)
            batch = None
        if batch is None:
            batch = self._filling[item.tenant] = _Batch(item.tenant)
            batch.linger = self._start(self._linger(batch))
        batch.add(question)
        if len(batch.questions) == self._size:
            self._leave(batch)
        return question

    async def close(self) -> None:
        """Abandons every call; who still waits gets ProviderUnavailable."""
        closing = ProviderUnavailable("triage is closing")
        for batch in self._filling.values():
            _fail(batch, closing)
        self._filling.clear()
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _linger(self, batch: _Batch) -> None:
        await self._clock.sleep(self._linger_s)
        self._send(batch)

    def _leave(self, batch: _Batch) -> None:
        """Nobody joins any more; sent now, unless the linger has sent it and it waits for a free call."""
        del self._filling[batch.tenant]
        assert batch.linger is not None, "a batch that fills has a linger"
        if batch.linger.cancel():
            self._send(batch)

    def _ask_alone(self, question: Question) -> None:
        batch = _Batch(question.item.tenant)
        batch.add(question)
        self._send(batch)

    def _send(self, batch: _Batch) -> None:
        """Starts the call. However it fails, those fail with it who have no other call under way."""

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                _fail(batch, ProviderUnavailable("the call was abandoned"))
            elif error := task.exception():
                _fail(batch, error)

        self._start(self._call(batch)).add_done_callback(ended)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _call(self, batch: _Batch) -> None:
        async with self._calls:
            if self._filling.get(batch.tenant) is batch:
                del self._filling[batch.tenant]
            questions = [question for question in batch.questions if question.open]
            if not questions:
                return
            task = asyncio.current_task()
            assert task is not None
            for question in questions:
                question.cancel_when_dropped(task, questions)
            self._sizes.observe(len(questions))
            try:
                reply = await self._nano.call([question.item for question in questions])
            except (AccountError, ProviderUnavailable):
                raise  # says nothing about the messages
            except Exception as error:
                if len(questions) == 1:
                    raise
                # One message may have spoilt it for all: alone, it spoils it for itself only.
                if not isinstance(error, AnswerError):
                    log.warning("a batch of stream %s failed; its messages are asked alone", self._name, exc_info=error)
                self._again(questions, "refused" if isinstance(error, AnswerError) else "error")
                return
        self._settle(questions, reply)

    def _settle(self, questions: Sequence[Question], reply: Reply) -> None:
        for question, verdict in zip(questions, reply.verdicts, strict=True):
            question.charge(reply.tokens, reply.cost_usd_micros)
            if isinstance(verdict, Verdict):
                question.settle(verdict, len(questions))
            elif len(questions) == 1:
                question.fail(AnswerInvalid(f"stream {self._name}: {verdict.detail}"))
            else:
                self._again([question], verdict.why)

    def _again(self, questions: Sequence[Question], why: str) -> None:
        for question in questions:
            if question.open:
                ASKED_AGAIN.labels(self._name, why).inc()
                self._ask_alone(question)


def _fail(batch: _Batch, error: BaseException) -> None:
    for question in batch.questions:
        question.fail(error)
