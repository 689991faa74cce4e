"""Bugs planted on purpose, each one that somebody could make: the checkers must find it.

A checker that has never failed proves nothing. Where the engine has two guards against the same harm, the second is
taken away too, and the test says which it is.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.engine import delivery, engine, partition
from streams.engine.broker import Committed, Fenced
from streams.engine.calls import Call
from streams.engine.delivery import Delivery, ExactlyOnce
from streams.engine.in_hand import InHand
from streams.engine.outbox import Outbox, Sealed
from streams.engine.publisher import Publisher
from streams.engine.stage import Later, Outputs
from streams.engine.tracker import Tracker
from tests.simulation.__main__ import run
from tests.simulation.group import Group
from topics.records import Record

SCHEDULES_MAX = 300  # the same seeds that hold without a plant


def assert_found(kind: str) -> None:
    """Some schedule fails with this kind of finding. Without a plant all of them hold: see test_engine."""
    for seed in range(SCHEDULES_MAX):
        _, findings = run(seed)
        if any(finding.kind == kind for finding in findings):
            return
    pytest.fail(f"{SCHEDULES_MAX} schedules, and none is {kind}")


def without_stable_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets as Kafka had them before: fetched while they change, committed by anyone."""

    def fetch(group: Group, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        return group.fetch_unstable(partitions)

    monkeypatch.setattr(Group, "fetch", fetch)
    monkeypatch.setattr(Group, "check_generation", lambda _group, _membership: None)


def test_a_commit_though_a_batch_was_refused_loses_its_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_away(_sent: object) -> None:
        pass

    monkeypatch.setattr(delivery, "_look_at", look_away)
    assert_found("lost")


def test_offsets_fetched_before_the_producer_is_started_double_what_the_last_owner_commits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guards behind it, taken away: the fetch waits for open transactions, and offsets name their generation."""

    class Found:
        def __init__(self, committed: dict[TopicPartition, Committed]) -> None:
            self._committed = committed

        async def committed(self, _partitions: Collection[TopicPartition]) -> dict[TopicPartition, Committed]:
            return self._committed

    class FetchesFirst(Publisher):
        async def _start(self, delivery: Delivery) -> Outbox:
            offsets = self._offsets
            found = Found(await offsets.committed([each.at for each in self.partitions]))
            self._offsets = found  # type: ignore[assignment]
            try:
                return await super()._start(delivery)
            finally:
                self._offsets = offsets

    monkeypatch.setattr(engine, "Publisher", FetchesFirst)
    without_stable_offsets(monkeypatch)
    assert_found("doubled")


def test_metadata_that_a_new_owner_ignores_doubles_what_was_done_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Tracker):
        @classmethod
        def resume(cls, offset: int, metadata: str) -> Tracker:  # noqa: ARG003
            return Tracker(offset)

    monkeypatch.setattr(partition, "Tracker", Forgetful)
    assert_found("doubled")


def test_a_fenced_producer_that_is_started_again_in_place_doubles_what_its_successor_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guard behind it, taken away: offsets name their generation."""

    class Stubborn(ExactlyOnce):
        async def publish(self, batches: Sequence[Sealed], offsets: Mapping[TopicPartition, Committed]) -> None:
            try:
                await super().publish(batches, offsets)
            except Fenced:
                await self.producer.start()
                await super().publish(batches, offsets)

    monkeypatch.setattr(engine, "ExactlyOnce", Stubborn)
    without_stable_offsets(monkeypatch)
    assert_found("doubled")


def test_a_retry_that_lets_its_key_go_on_breaks_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(InHand):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._lanes = defaultdict(deque)

        def _go_on(self, record: Record, result: Outputs | Later | Call) -> None:
            super()._go_on(record, self._hastily(record, result) if callable(result) else result)

        def _hastily(self, record: Record, later: Later) -> Later:
            async def attempt() -> Outputs:
                try:
                    return await later()
                except Exception:
                    if self._keyed and (lane := self._lanes[record.key]):
                        asyncio.get_running_loop().call_soon(self._go_on, *lane.popleft())
                    raise

            return attempt

    monkeypatch.setattr(partition, "InHand", Hasty)
    assert_found("order")
