"""The Laters in flight of one engine, by record: they outlive a rebalance, so that nothing is asked or paid twice.

Not so those of a Gathering, which are of several records: in another life these gather anew.
"""

import asyncio
from collections.abc import Callable, Collection

from aiokafka.structs import TopicPartition

from processors.metrics import IN_FLIGHT
from streams.engine.attempts import Attempts
from streams.engine.stage import Forgotten, Joint, Later, Outputs, Together
from streams.engine.tasks import spawn
from topics.catalog import Stage
from topics.records import Record


class Call:
    """One record's Later, running or ended. Who attaches is told of its end."""

    __slots__ = ("anew", "on_end", "outputs", "record", "task")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.outputs: Outputs | Together | None = None  # None while it runs
        self.on_end: Callable[[Call], None] | None = None  # None while the partition is between two owners
        self.task: asyncio.Task[None] | None = None
        self.anew: asyncio.Future[Outputs | Later] = asyncio.get_running_loop().create_future()
        """What the record's result is in the partition's next life, for a Later that cannot go on there."""

    def attach(self, result: Outputs | Later) -> None:
        """The record has come again."""
        if not self.anew.done():
            self.anew.set_result(result)


class Calls:
    """Starts Laters and keeps their outputs until these are committed. At most one a record, whoever asks."""

    def __init__(self, stage: Stage, tasks: asyncio.TaskGroup, attempts: Attempts) -> None:
        self._tasks = tasks
        self._attempts = attempts
        self._calls: dict[TopicPartition, dict[int, Call]] = {}
        self._gauge = IN_FLIGHT.labels(stage)
        self.in_flight = 0

    def of(self, partition: TopicPartition) -> dict[int, Call]:
        """The partition's calls by offset: running, or ended and not committed."""
        return self._calls.setdefault(partition, {})

    def start(
        self, partition: TopicPartition, record: Record, later: Later | Joint, on_end: Callable[[Call], None]
    ) -> None:
        """Begins the record's Later; `on_end` is called once, on the event loop."""
        call = Call(record)
        call.on_end = on_end
        self.of(partition)[record.offset] = call
        call.task = spawn(self._tasks, self._run(call, later))
        if call.task is not None:
            self.in_flight += 1
            self._gauge.inc()

    def drop(self, partition: TopicPartition, offset: int) -> None:
        """The record is committed, or another worker's: its outputs are not needed any more."""
        call = self.of(partition).pop(offset, None)
        if call is not None and call.task is not None:
            call.task.cancel()  # does nothing to one that has ended

    def keep_only(self, partitions: Collection[TopicPartition]) -> None:
        """Cancels the calls of all other partitions."""
        for partition in self._calls.keys() - set(partitions):
            for offset in list(self.of(partition)):
                self.drop(partition, offset)
            del self._calls[partition]

    async def _run(self, call: Call, later: Later | Joint) -> None:
        try:
            call.outputs = await self._outputs(call, later)
        finally:
            self.in_flight -= 1
            self._gauge.dec()
        if call.on_end is not None:
            call.on_end(call)

    async def _outputs(self, call: Call, later: Later | Joint) -> Outputs | Together:
        try:
            return await self._attempts.run(later)
        except Forgotten:
            anew = await call.anew  # for ever, unless the record comes again or the call is dropped
        return await self._attempts.run(anew) if callable(anew) else anew
