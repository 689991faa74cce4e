"""Programs that do the same job, one after the other on the same broker with the same input."""

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import orjson

from bench import kafka, observed
from bench.kafka import Topic
from bench.observed import Failed, Observed
from bench.peers.job import Task
from bench.programs import Command
from bench.remembered import recalled, remembered
from local.jars import Say
from local.kafka import LocalKafka
from topics.catalog import DECISIONS

BYTES_EACH = 200
_KEYS = [f"key-{number}".encode() for number in range(4_096)]
_VERDICT = {
    "stream": "logs",
    "tenant": "default",
    "label": "routine",
    "severity": "info",
    "confidence": 0.95,
    "priority": 10,
    "fields": {"service": "checkout", "cause": "other"},
    "summary": "A background task ended as it should; nothing has to be done.",
    "decided_by": "memory",
    "model": "gpt-5.4-nano",
    "policy_version": "ab2e836e1ab3",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A program, and the way in which it is to work."""

    name: str
    command: Command
    mode: str
    guarantee: Literal["exactly once", "at least once", "at most once"]
    messages: int
    by_template: bool = False  # no text comes twice: only its template was seen before


class Trials:
    """One local Kafka on the cores beside the programs'."""

    def __init__(self, brokers: str, work: Path, say: Say) -> None:
        self._brokers = brokers
        self.work = work  # a directory for what a program keeps
        self._say = say
        self._runs = 0
        self._inputs: dict[tuple[int, int, bool], Topic] = {}
        self._values = [record.value or b"" for record in remembered(BYTES_EACH).records]
        self._memory = work / "memory.json"
        self._memory.write_bytes(orjson.dumps({value.decode(): _VERDICT for value in self._values}))

    @classmethod
    @contextmanager
    def begin(cls, say: Say) -> Iterator["Trials"]:
        """`say` is told of every line."""
        logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it warns of every topic that is not known at once
        with (
            observed.beside(),
            tempfile.TemporaryDirectory(prefix="sluice-bench-", ignore_cleanup_errors=True) as work,
            LocalKafka(say=say) as broker,
        ):
            yield cls(broker.bootstrap_servers, Path(work), say)

    def run(self, line: Line, partitions: int) -> Observed | None:
        """What the line did with all of its messages; None where it failed, and why has been said."""
        self._runs += 1
        name = f"{line.name}, {partitions} partition{'s'[: partitions > 1]}"
        output = Topic(f"bench.{self._runs}.{DECISIONS.name}", partitions)
        source = self._input(partitions, line)
        asyncio.run(kafka.create(self._brokers, output))
        task = Task(line.mode, self._brokers, source.name, output.name, self._memory, partitions)
        try:
            done = observed.observe(
                [*line.command, *task.arguments()], self._brokers, source, output, self.work / f"{self._runs}.log"
            )
        except Failed as error:
            self._say(f"{name}: failed. {error}")
            return None
        finally:
            asyncio.run(kafka.delete(self._brokers, output))
        self._say(f"{name}: {done.per_s:,.0f} messages/s")
        return done

    def _input(self, partitions: int, line: Line) -> Topic:
        """The records of all lines that read as many of the same kind."""
        like = partitions, line.messages, line.by_template
        if like not in self._inputs:
            topic = Topic(f"bench.in.{len(self._inputs)}", partitions)
            asyncio.run(kafka.create(self._brokers, topic))
            values = self._values
            if line.by_template:
                values = [record.value or b"" for record in asyncio.run(recalled(BYTES_EACH)).records]
            records = zip(cycle(_KEYS), cycle(values), strict=False)
            asyncio.run(kafka.fill(self._brokers, topic, islice(records, line.messages)))
            self._inputs[like] = topic
        return self._inputs[like]
