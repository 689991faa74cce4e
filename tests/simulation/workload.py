"""What the simulated workers do: records of several kinds, the stage that decides them, the model that it asks."""

import asyncio
import functools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from aiokafka.structs import TopicPartition

from processors.errors import AccountSpent, AnswerInvalid, ProviderUnavailable
from streams.engine.stage import Later, Outputs
from tests.simulation.history import History
from topics import dead_letters
from topics.messages import Rejected
from topics.records import Out, Record

Kind = Literal["ready", "slow", "failing", "poison", "rejected", "raising", "large", "large-slow"]
"""`ready` is decided at once; `slow` asks the model; `failing` fails a few times before; `poison` always; `rejected`
is a dead letter at once; `raising` breaks the stage's contract; `large` leads to more than its topic takes."""

KINDS: tuple[Kind, ...] = get_args(Kind)
DECIDED = frozenset({"ready", "slow", "failing"})  # the others end as dead letters
LARGE_BYTES = 6_000
_FAILURES_MAX = 2  # of a failing record
_CALL_SECONDS = 0.15  # most calls; a few take far longer
_LONG_CALL_SECONDS = 3.0
_CLOSED_SECONDS = 0.5  # until the account is looked at again


def value(kind: Kind, padding: int) -> bytes:
    """Of an input record."""
    return kind.encode() + b" " + b"." * padding


def kind_of(record: Record) -> Kind:
    assert record.value is not None
    kind = record.value.split(b" ")[0].decode()
    return next(known for known in KINDS if known == kind)


def decided(record: Record) -> tuple[int, int]:
    """Partition and offset of the input that a decision or a dead letter is of."""
    headers = dict(record.headers)
    if "sluice.origin.offset" in headers:
        return int(headers["sluice.origin.partition"]), int(headers["sluice.origin.offset"])
    partition, offset = headers["input"].split(b"/")
    return int(partition), int(offset)


class Model:
    """Asked by all workers; what fails is the same for all of them."""

    def __init__(self, rng: random.Random, history: History) -> None:
        self.away = False
        self.account_closed = False
        self.slowness = 1.0
        self._rng = rng
        self._history = history
        self._failures: Counter[tuple[int, int]] = Counter()

    async def ask(self, record: Record) -> None:
        """Returns when the record is understood; raises what a model's client raises."""
        place = f"{record.partition}/{record.offset}"
        self._history.note("call", place)
        how = "dropped"
        try:
            longest = _LONG_CALL_SECONDS if self._rng.random() < 0.05 else _CALL_SECONDS
            await asyncio.sleep(self._rng.uniform(0, longest) * self.slowness)
            how = "failed"
            if self.away:
                raise ProviderUnavailable("away", retry_after_s=0.1)
            if self.account_closed:
                raise AccountSpent("spent", retry_after_s=_CLOSED_SECONDS)
            self._fail_by_itself(record)
            how = "answered"
        finally:
            self._history.note(how, place)

    def _fail_by_itself(self, record: Record) -> None:
        kind = kind_of(record)
        failures = self._failures[record.partition, record.offset]
        if kind == "poison" or (kind == "failing" and failures < 1 + record.offset % _FAILURES_MAX):
            self._failures[record.partition, record.offset] += 1
            raise AnswerInvalid("garbage")


class SimulatedStage:
    """Of one worker. Notes what it takes and recalls."""

    def __init__(
        self, output: str, model: Model, history: History, *, order: Literal["none", "key"], lookback: int
    ) -> None:
        self._output = output
        self._model = model
        self._history = history
        self._order: Literal["none", "key"] = order
        self._lookback = lookback

    def order(self, topic: str) -> Literal["none", "key"]:
        return self._order

    def lookback(self, topic: str) -> int:
        return self._lookback

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        self._history.note("take", _place(records), *(record.offset for record in records))
        return [self._work(record) for record in records]

    def recall(self, records: Sequence[Record]) -> None:
        self._history.note("recall", _place(records), *(record.offset for record in records))

    def forget(self, topic: str, partition: int) -> None:
        self._history.note("forget", TopicPartition(topic, partition))

    def _work(self, record: Record) -> Outputs | Later:
        kind = kind_of(record)
        if kind == "ready":
            return self._decision(record)
        if kind == "large":
            return self._decision(record, LARGE_BYTES)
        if kind == "rejected":
            return Rejected("undecodable", "not a message")
        if kind == "raising":
            raise KeyError("take must not raise")
        return functools.partial(self._later, record, LARGE_BYTES if kind == "large-slow" else 0)

    async def _later(self, record: Record, padding: int) -> Outputs:
        await self._model.ask(record)
        return self._decision(record, padding)

    def _decision(self, record: Record, padding: int = 0) -> Outputs:
        """As large as its input, so that bytes can be counted."""
        place = b"%d/%d" % (record.partition, record.offset)
        return (Out(self._output, record.key, (record.value or b"") + b"!" * padding, [("input", place)]),)


def dead_letter(record: Record, rejected: Rejected, *, topic: str) -> Out:
    return dead_letters.dead_letter(record, rejected, stage="triage", topic=topic)


def _place(records: Sequence[Record]) -> TopicPartition:
    return TopicPartition(records[0].topic, records[0].partition)
