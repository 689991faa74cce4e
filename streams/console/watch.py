"""Looks at offsets and members of the stages' groups, every few seconds, as an administrator would."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import GroupCoordinatorNotAvailableError

from processors.clock import Clock
from streams import topics_admin
from streams.brokers import Brokers
from streams.console.going import keep_going, let_go
from streams.console.groups import Groups, Look, Member, Partition
from topics.catalog import Names, Stage
from topics.limits import CONSOLE_LAG_SECONDS, CONSOLE_METADATA_SECONDS

_UUID_CHARS = 37  # and the hyphen before it


async def watch(groups: Groups, brokers: Brokers, names: Names, clock: Clock) -> None:
    """Until cancelled. A broker that is away is waited for; what was seen last stays, with its age."""

    async def run() -> None:
        consumer = AIOKafkaConsumer(
            **brokers.client_options, client_id="sluice-console-lag", isolation_level="read_committed"
        )
        try:
            async with topics_admin.connected(brokers) as admin:
                await consumer.start()
                await _Watch(groups, admin, consumer, names, clock).run()
        finally:
            await let_go(consumer)

    await keep_going(run, clock, otherwise="lag and workers are not seen for now")


class _Watch:
    def __init__(
        self, groups: Groups, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, names: Names, clock: Clock
    ) -> None:
        self._groups = groups
        self._admin = admin
        self._consumer = consumer
        self._names = names
        self._clock = clock

    async def run(self) -> None:
        asked_s, there = -CONSOLE_METADATA_SECONDS, dict[Stage, list[TopicPartition]]()
        while True:
            now_s = self._clock.monotonic()
            if now_s - asked_s >= CONSOLE_METADATA_SECONDS or not all(there.values()):
                asked_s, there = now_s, await self._partitions()
            with contextlib.suppress(GroupCoordinatorNotAvailableError):  # until a new cluster has its first group
                for stage in self._groups.stages:
                    if there[stage]:
                        self._groups.looked(stage, await self._look(stage, there[stage]))
            await self._clock.sleep(CONSOLE_LAG_SECONDS)

    async def _partitions(self) -> dict[Stage, list[TopicPartition]]:
        """Of each stage's topics, those that are there: to ask for one that is missing might create it."""
        wanted = {stage: self._groups.reads(stage) for stage in self._groups.stages}
        found = await topics_admin.existing(self._admin, (), [topic for topics in wanted.values() for topic in topics])
        return {
            stage: [TopicPartition(t, number) for t in topics if t in found for number in range(found[t].partitions)]
            for stage, topics in wanted.items()
        }

    async def _look(self, stage: Stage, partitions: Sequence[TopicPartition]) -> Look:
        group = self._names.group(stage)
        # Committed before the ends: what happens in between shows as lag, never as less than none.
        committed = await self._admin.list_consumer_group_offsets(group, partitions=list(partitions))
        ends = await self._consumer.end_offsets(partitions)
        first = await self._consumer.beginning_offsets(partitions)
        return Look(
            at_s=self._clock.time(),
            first=_plain(first),
            end=_plain(ends),
            committed={_place(at): found.offset for at, found in committed.items() if found.offset >= 0},
            members=tuple(await self._members(stage, group)),
        )

    async def _members(self, stage: Stage, group: str) -> list[Member]:
        members = []
        for response in await self._admin.describe_consumer_groups([group]):
            for _code, _group, _state, _type, _protocol, described, *_ in response.groups:
                for member_id, _client, host, _metadata, assignment, *_ in described:
                    members.append(Member(stage, _name(member_id), host.lstrip("/"), _assigned(assignment)))
        return members


def _name(member_id: str) -> str:
    """The broker names a member after its client, or by the name that it keeps (SLUICE_INSTANCE_ID), and adds a UUID,
    of which the end is enough to tell workers apart."""
    return f"{member_id[:-_UUID_CHARS]} …{member_id[-6:]}" if len(member_id) > _UUID_CHARS else member_id


def _assigned(assignment: bytes) -> tuple[Partition, ...]:
    """Of a group that is being balanced anew nobody has anything yet."""
    if not assignment:
        return ()
    try:
        decoded = ConsumerProtocol.ASSIGNMENT.decode(assignment)
    except Exception:  # noqa: BLE001 another client's own form
        return ()
    return tuple((topic, number) for topic, numbers in decoded.assignment for number in numbers)


def _place(partition: TopicPartition) -> Partition:
    return partition.topic, partition.partition


def _plain(offsets: Mapping[Any, int]) -> dict[Partition, int]:
    return {_place(cast(TopicPartition, at)): offset for at, offset in offsets.items()}
