"""A producer that keeps what it is sent, for tests of what lies before it."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from aiokafka.structs import TopicPartition

from streams.engine.broker import Committed, Membership
from topics.records import Headers


class FakeBatch:
    """Holds at most `records_max`; refuses what is not bytes, as aiokafka's does."""

    def __init__(self, records_max: int = 1_000) -> None:
        self.values: list[bytes | None] = []
        self._records_max = records_max

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers) -> object:
        if not isinstance(value, bytes | None) or not isinstance(key, bytes | None):
            raise TypeError(f"{value!r} is not bytes")
        assert isinstance(headers, list)
        if len(self.values) == self._records_max:
            return None
        self.values.append(value)
        return len(self.values)

    def record_count(self) -> int:
        return len(self.values)

    def size(self) -> int:
        return sum(len(value or b"") for value in self.values)


class FakeProducer:
    """Topics have `partitions` partitions each."""

    def __init__(self, partitions: int = 1, *, batch_records_max: int = 1_000) -> None:
        self.running = False
        self.committed: list[Mapping[TopicPartition, Committed]] = []
        self.sent: dict[tuple[str, int], list[bytes | None]] = {}
        self._partitions = partitions
        self._batch_records_max = batch_records_max

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def partitions_for(self, topic: str) -> int:
        await asyncio.sleep(0)
        return self._partitions

    def create_batch(self) -> FakeBatch:
        return FakeBatch(self._batch_records_max)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Awaitable[object]:
        self.sent.setdefault((topic, partition), []).extend(batch.values)
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer

    async def begin(self) -> None:
        pass

    async def send_offsets(self, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        self.committed.append(offsets)

    async def commit(self) -> None:
        pass

    async def abort(self) -> bool:
        return False
