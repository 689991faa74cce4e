"""Sluice as a program like its peers: the engine with the same job as a stage, with calls, or with the whole triage.

`python -m bench.ours MODE BROKERS INPUT OUTPUT MEMORY`, as in bench/peers/job.py.
"""

import asyncio
import functools
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from bench import messages
from bench.peers.job import CALL_SECONDS, CONCURRENCY, Memory, Task
from bench.remembered import recalled, remembered
from local import pointing
from local.demo import policy as demo_policy
from processors.asking import Ask
from processors.clock import SystemClock
from processors.gateway.gateway import Gateway
from streams import heap, logs, shutdown
from streams.brokers import Brokers
from streams.engine.engine import Engine, EngineSettings
from streams.engine.kafka import KafkaBroker
from streams.engine.stage import Later, Outputs, Stage
from topics import dead_letters
from topics.catalog import DEAD_LETTERS, DECISIONS, Names
from topics.records import Out, Record

Call = Callable[[Record], Awaitable[object]]

_BYTES_EACH = 200
_ANSWER = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["routine", "alert"]}},
    "required": ["label"],
    "additionalProperties": False,
}


class Answering:
    """Answers each record from memory: at once, or where there is a `call`, after it."""

    def __init__(
        self, memory: Memory, output: str, *, order: Literal["none", "key"] = "none", call: Call | None = None
    ):
        self._memory = memory
        self._output = output
        self._order = order
        self._call = call

    def order(self, topic: str) -> Literal["none", "key"]:  # noqa: ARG002
        return self._order

    def lookback(self, topic: str) -> int:  # noqa: ARG002
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        if self._call is None:
            return [self._answer(record) for record in records]
        return [functools.partial(self._later, self._call, record) for record in records]

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass

    async def _later(self, call: Call, record: Record) -> Outputs:
        await call(record)
        return self._answer(record)

    def _answer(self, record: Record) -> tuple[Out]:
        key = record.key
        decision = self._memory.decide(
            record.topic, record.partition, record.offset, record.timestamp, key, record.value
        )
        return (tuple.__new__(Out, (self._output, key, decision, [], None)),)  # at half the price of Out(…)


async def main(task: Task) -> None:
    logs.set_up("text", "WARNING")
    names = Names(task.output.removesuffix(DECISIONS.name))
    async with _stage(task, names) as stage:
        settings = EngineSettings()
        if task.mode not in ("ready", "triage", "templates"):
            settings = EngineSettings(in_flight_records_max=CONCURRENCY // task.partitions)
        engine = Engine(
            stage,
            stage_name="triage",
            topics={task.input: "earliest"},
            names=names,
            broker=KafkaBroker(Brokers(task.brokers)),
            clock=SystemClock(),
            rng=random.Random(messages.SEED),
            dead_letter=functools.partial(dead_letters.dead_letter, stage="triage", topic=names.topic(DEAD_LETTERS)),
            settings=settings,
        )
        heap.suit_batches()  # as `sluice run` does
        with shutdown.on_signals() as stop:
            await engine.run(stop)


@asynccontextmanager
async def _stage(task: Task, names: Names) -> AsyncIterator[Stage]:
    match task.mode:
        case "ready":
            yield Answering(Memory(task.memory), task.output)
        case "triage":
            yield remembered(_BYTES_EACH).stage(names, task.input)
        case "templates":
            yield (await recalled(_BYTES_EACH)).stage(names, task.input)
        case "none" | "key" as order:
            yield Answering(Memory(task.memory), task.output, order=order, call=_wait)
        case "http":
            async with _model() as call:
                yield Answering(Memory(task.memory), task.output, call=call)
        case _:
            raise ValueError(task.mode)


async def _wait(_: Record) -> None:
    await asyncio.sleep(CALL_SECONDS)


@asynccontextmanager
async def _model() -> AsyncIterator[Call]:
    """A short question to the simulated provider that the environment names."""
    policy = pointing.at_models(demo_policy.load())
    policy = policy.model_copy(update={"streams": {}})  # with their budgets, which would be spent in seconds
    clock, rng = SystemClock(), random.Random(messages.SEED)
    async with Gateway(policy, env=os.environ, clock=clock, rng=rng, on_spend=lambda _: None) as gateway:

        async def call(record: Record) -> None:
            assert record.value is not None
            await gateway.ask(
                Ask(
                    tier="nano",
                    stream="logs",
                    tenant="default",
                    purpose="triage",
                    instructions="Label the log line.",
                    input=record.value.decode(),
                    schema_name="answer",
                    schema=_ANSWER,
                    max_output_tokens=50,
                )
            )

        yield call


if __name__ == "__main__":
    asyncio.run(main(Task.told()))
