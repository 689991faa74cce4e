"""Asks by Batch jobs what may wait for hours: as many messages a request as in a call, and each parked until it is due.

First the jobs are looked through for the message's text, by its key in exact memory. So a text is in one job, however
often it comes while that is under way, and whoever is asked after a crash finds it. What is in none joins others in a
request. What no job has answered in time, or not with a verdict, is asked as if there were no jobs.
"""

import logging
import math
import random
from collections.abc import Sequence

from processors.answers import NoVerdict
from processors.asking import Answer, Jobs, Model, Waiting
from processors.batches import Batches
from processors.cache import Cache
from processors.clock import Clock
from processors.errors import AnswerLater, AnswerRefused, ProviderUnavailable, RequestRefused
from processors.items import Item
from processors.memory import Key, Keys
from processors.metrics import ASKED_AGAIN
from processors.nano import Nano, Reply
from processors.policy import Stream
from processors.questions import FREE, Answered, Bill
from processors.sharing import Sharing
from topics.limits import (
    BATCH_AGAIN_SECONDS_MIN,
    BATCH_DEADLINE_SECONDS_MIN,
    BATCH_LATE_SECONDS,
    BATCH_NAME_CHARS_MAX,
    BATCH_PAID_MAX,
    BATCH_READINGS_MAX,
    PARK_SECONDS_MAX,
)
from topics.messages import Verdict

log = logging.getLogger("sluice.triage")

_TOLD_SECONDS = 60.0


def postpones(stream: Stream, jobs: Jobs | None) -> bool:
    """Whether the stream's messages may wait for jobs, where there are some.

    Not with a `quality`: what is certified, and whose coin says audit, is settled when a message is asked about and
    holds for its answer; hours later it is not what it was.
    """
    if jobs is None or stream.quality is not None or not stream.parkable:
        return False
    return stream.deadline >= BATCH_DEADLINE_SECONDS_MIN and jobs.lane("nano", stream.deadline) == "batch"


def hurried(stream: Stream) -> Stream:
    """The stream as what is left when jobs have not answered is asked: so much time there is at least."""
    return stream.model_copy(update={"deadline": BATCH_LATE_SECONDS})


class Postponed:
    """Of one stream that `postpones`. `batches`: of the same stream, for what is asked now."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        model: Model,
        jobs: Jobs,
        batches: Batches,
        keys: Keys,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._name = name
        self._clock = clock
        self._alone = Sharing(batches, alone=True)
        self._suspect = Sharing(batches, alone=True, suspect=True)
        self._jobs = jobs
        self._nano = _ByJob(name, stream, model, rng, jobs, keys, clock)
        self._batches = Batches(name, stream, self._nano, clock)
        self._batches.controller = batches.controller  # what one learns of sizes and bills serves both
        self._sharing = Sharing(self._batches)
        self._readings: Cache[str, dict[str, Verdict | NoVerdict]] = Cache(BATCH_READINGS_MAX)  # by call
        self._paid: Cache[str, str] = Cache(BATCH_PAID_MAX)  # by name, the message whose decision has its share
        self._told_s = -math.inf  # when it was last told that jobs cannot be looked at

    async def answer(self, key: Key, item: Item) -> tuple[Answered, bool] | None:
        """As Sharing.answer; None where it has to be asked now. Raises AnswerLater where a job works at it, or may."""
        name, left_s = _name(key), self._nano.left_s(item)
        try:
            found = await self._jobs.collect("nano", self._name, name, deadline_s=left_s)
        except AnswerRefused:  # one message may have spoilt it for all
            ASKED_AGAIN.labels(self._name, "refused").inc()
            return await self._alone.answer(key, item)
        except (ProviderUnavailable, RequestRefused) as error:  # other lanes may be well
            self._tell(error)
            if left_s < PARK_SECONDS_MAX + BATCH_LATE_SECONDS:
                return None
            raise AnswerLater(BATCH_AGAIN_SECONDS_MIN) from error
        match found:
            case Answer():
                return await self._answered(key, item, found)
            case Waiting():
                raise AnswerLater(found.again_s)
        return await self._sharing.answer(key, item) if self._nano.by_job(left_s) else None

    async def close(self) -> None:
        await self._batches.close()

    async def _answered(self, key: Key, item: Item, answer: Answer) -> tuple[Answered, bool] | None:
        verdicts = self._readings.get(answer.call_id)
        if verdicts is None:
            try:
                verdicts = self._read(answer)
            except (TypeError, ValueError):
                log.warning("stream %s: a Batch job's answer to %s cannot be read", self._name, item.id, exc_info=True)
                return None
            self._readings.put(answer.call_id, verdicts)
        name, size, bill = _name(key), len(answer.about), FREE
        own = self._paid.get(name) in (None, item.id)  # its own again, where it was let go before it was decided
        if own:
            self._paid.put(name, item.id)
            bill = Bill(size, answer.tokens.share(size), round(answer.cost_usd_micros / size, 3), answer.lane)
        verdict = verdicts[name]
        if isinstance(verdict, Verdict):
            return Answered(verdict, bill), own
        ASKED_AGAIN.labels(self._name, verdict.why).inc()
        sharing = self._suspect if verdict.why == "sentinel" else self._alone
        alone, asked = await sharing.answer(key, item)
        if asked:
            cost = round(bill.cost_usd_micros + alone.bill.cost_usd_micros, 3)
            bill = Bill(1, bill.tokens + alone.bill.tokens, cost, alone.bill.lane)
        return Answered(alone.verdict, bill, alone.suspect), own or asked

    def _tell(self, error: Exception) -> None:
        """Once a minute, not of each message."""
        now_s = self._clock.monotonic()
        if now_s - self._told_s >= _TOLD_SECONDS:
            self._told_s = now_s
            log.warning("stream %s: Batch jobs cannot be looked at: %s", self._name, error)

    def _read(self, answer: Answer) -> dict[str, Verdict | NoVerdict]:
        reply = self._nano.reply(answer)
        self._batches.controller.called(len(answer.about), 0.0, reply.fixed_share)  # nobody has waited for the call
        return dict(zip(answer.about, reply.verdicts, strict=True))


class _ByJob(Nano):
    """Whose calls are requests of Batch jobs."""

    def __init__(
        self, name: str, stream: Stream, model: Model, rng: random.Random, jobs: Jobs, keys: Keys, clock: Clock
    ) -> None:
        super().__init__(name, hurried(stream), model, rng, clock=clock)
        self._stream = name
        self._jobs = jobs
        self._memory_keys = keys
        self._time = clock.time
        self._deadline_s = stream.deadline

    def left_s(self, item: Item) -> float:
        """Until the answer is of no use, from when the record was written: what it was parked counts."""
        return min(self._deadline_s, item.source.timestamp_ms / 1000 + self._deadline_s - self._time())

    def by_job(self, left_s: float) -> bool:
        """Whether there is time for a job, or was within the last hour: no message is as young as its stream's
        deadline."""
        return self._jobs.lane("nano", left_s + PARK_SECONDS_MAX) == "batch"

    async def call(self, items: Sequence[Item], *, again: int = 0, control_alone: bool = False) -> Reply:
        """Raises AnswerLater once the request waits for a job. Where no job takes it, it is a call as any."""
        named = {_name(self._memory_keys.key(item.tenant, item.memory_text)): item for item in items}
        try:
            waiting = await self._jobs.submit(self.request(named, min(map(self.left_s, items))))
        except RequestRefused as error:
            log.warning("stream %s: a request fits no Batch job and goes by another lane: %s", self._stream, error)
            waiting = None
        if waiting is not None:
            raise AnswerLater(waiting.again_s)
        return await super().call(items, again=again, control_alone=control_alone)


def _name(key: Key) -> str:
    """What a message is called among those that a request is about: half of the hash of its text, with all that an
    answer rests on."""
    return key.hex()[:BATCH_NAME_CHARS_MAX]
