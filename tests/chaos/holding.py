"""The engine's broker, with its transactions noted in a journal and held open before their commit on request."""

import asyncio
from pathlib import Path
from typing import Any

from streams.engine.broker import Broker, Member, Producer
from tests.chaos.journal import Journal

_LOOK_SECONDS = 0.01


class HoldingBroker:
    """Another broker's members and producers; while the file `hold` is there, transactions stay open."""

    def __init__(self, broker: Broker, journal: Journal, hold: Path) -> None:
        self._broker = broker
        self._journal = journal
        self._hold = hold

    def member(self, group: str, *, session_timeout_ms: int, instance_id: str | None) -> Member:
        return self._broker.member(group, session_timeout_ms=session_timeout_ms, instance_id=instance_id)

    def producer(self, transactional_id: str | None, *, timeout_ms: int) -> Producer:
        producer = self._broker.producer(transactional_id, timeout_ms=timeout_ms)
        return producer if transactional_id is None else _Holding(producer, transactional_id, self._journal, self._hold)


class _Holding:
    """Everything but the beginning and the end of a transaction is the other producer's."""

    def __init__(self, producer: Producer, transactional_id: str, journal: Journal, hold: Path) -> None:
        self._producer = producer
        self._id = transactional_id
        self._journal = journal
        self._hold = hold

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    async def begin(self) -> None:
        self._journal.note("began", call=self._id)
        await self._producer.begin()

    async def commit(self) -> None:
        if self._hold.exists():
            self._journal.note("held", call=self._id)
            while self._hold.exists():  # noqa: ASYNC110 until another process takes it away
                await asyncio.sleep(_LOOK_SECONDS)
        await self._producer.commit()
        self._journal.note("committed", call=self._id)

    async def abort(self) -> bool:
        fenced = await self._producer.abort()
        self._journal.note("aborted", call=self._id)
        return fenced
