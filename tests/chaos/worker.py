"""A worker process for tests that kill it: one real engine, whose stage does what a record's value says.

    python -m tests.chaos.worker '{"name": "w1", …}'

It writes a journal of its model calls, and looks for two files in its folder: while `model-down` is there, every
model call fails; while `hold` is there, transactions stay open before their commit.
"""

import asyncio
import dataclasses
import functools
import itertools
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from processors.clock import SystemClock
from processors.errors import AnswerInvalid, AnswerRefused, ProviderUnavailable
from streams import logs
from streams.brokers import Brokers
from streams.engine.engine import Engine, EngineSettings
from streams.engine.kafka import KafkaBroker
from streams.engine.stage import Later, Outputs
from streams.shutdown import on_signals
from tests.chaos.holding import HoldingBroker
from tests.chaos.journal import Journal
from tests.chaos.load import Job
from topics import dead_letters
from topics.catalog import DEAD_LETTERS, DECISIONS, Names
from topics.messages import Rejected
from topics.records import Out, Record

MODEL_DOWN = "model-down"
HOLD = "hold"
_HEALTH_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker is started with."""

    name: str
    folder: str
    bootstrap_servers: str
    prefix: str
    order: Literal["none", "key"]
    settings: Mapping[str, Any]  # EngineSettings

    def to_json(self) -> str:
        return orjson.dumps(self).decode()

    @classmethod
    def of(cls, text: str) -> "Work":
        return cls(**orjson.loads(text))


class Asking:
    """One process's tries at one record: called again after a failure, and not after a crash."""

    _numbers = itertools.count(1)

    def __init__(self, stage: "JobStage", record: Record, job: Job) -> None:
        self._stage = stage
        self._record = record
        self._job = job
        self._name = f"{stage.work.name}.{next(self._numbers)}"
        self._failures = 0

    async def __call__(self) -> Outputs:
        self._note("call")
        try:
            await asyncio.sleep(self._job.ms / 1000)
        except asyncio.CancelledError:
            self._note("cancelled")
            raise
        if self._stage.model_down.exists():
            self._note("unavailable")
            raise ProviderUnavailable("the model is down")
        refused = self._job.kind == "refused"
        if refused or self._failures < self._job.failures:
            self._failures += 1
            last = self._failures == self._stage.settings.attempts_max
            self._note("ended" if last else "failed")
            raise AnswerRefused(self._name) if refused else AnswerInvalid(self._name)
        self._note("ended")
        return (self._stage.decision(self._record, self._name),)

    def _note(self, what: Literal["call", "failed", "unavailable", "cancelled", "ended"]) -> None:
        self._stage.journal.note(what, self._record.partition, self._record.offset, self._name)


class JobStage:
    """Does each record's Job. A decision says which record it is of, and whose call led to it."""

    def __init__(self, work: Work, settings: EngineSettings, journal: Journal) -> None:
        self.work = work
        self.settings = settings
        self.journal = journal
        self.model_down = Path(work.folder, MODEL_DOWN)
        self._decisions = Names(work.prefix).topic(DECISIONS)

    def order(self, topic: str) -> Literal["none", "key"]:
        return self.work.order

    def lookback(self, topic: str) -> int:
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [self._one(record) for record in records]

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        self.journal.note("released", partition)

    def decision(self, record: Record, call: str = "") -> Out:
        value = f"{record.partition}/{record.offset} {call}".encode()
        return Out(self._decisions, record.key, value, [])

    def _one(self, record: Record) -> Outputs | Later:
        assert record.value is not None
        job = Job.of(record.value)
        if job.kind == "free":
            return (self.decision(record),)
        if job.kind == "rejected":
            return Rejected("policy", "asks for it")
        return Asking(self, record, job)


async def main(work: Work) -> None:
    """Until SIGTERM."""
    settings = EngineSettings(**work.settings)
    journal = Journal(Path(work.folder), work.name)
    names = Names(work.prefix)
    engine = Engine(
        JobStage(work, settings, journal),
        stage_name="triage",
        topics={work.prefix + "in": "earliest"},
        names=names,
        broker=HoldingBroker(KafkaBroker(Brokers(work.bootstrap_servers)), journal, Path(work.folder, HOLD)),
        clock=SystemClock(),
        rng=random.Random(work.name),
        dead_letter=functools.partial(dead_letters.dead_letter, stage="triage", topic=names.topic(DEAD_LETTERS)),
        settings=settings,
    )
    with on_signals() as stop:
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(_tell(engine, journal))
            await engine.run(stop)
            telling.cancel()
    journal.note("stopped")


async def _tell(engine: Engine, journal: Journal) -> None:
    while True:
        health = engine.health()
        journal.note("health", health.partitions if health.joined else -1, health.in_flight, health.held or "-")
        await asyncio.sleep(_HEALTH_SECONDS)


if __name__ == "__main__":
    logs.set_up("text", "INFO")
    asyncio.run(main(Work.of(sys.argv[1])))
