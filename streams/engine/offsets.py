"""What the group has committed, and where a group begins that has committed nothing."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.transactions import Fenced, Transactions

log = logging.getLogger(__name__)

Start = Literal["earliest", "latest"]
Committed = tuple[int, str]  # offset and metadata

_NOTHING = -1  # Kafka's word for "no offset committed"
_BEGINNERS_MAX = 20  # workers that begin a topic at the same moment fence each other; in the end one is through


class Offsets:
    """The group's offsets. One an engine."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        admin: AIOKafkaAdminClient,
        *,
        group: str,
        starts: Mapping[str, Start],
        starter: Callable[[str], Transactions],
    ) -> None:
        """`starter` makes the producer whose transactional id stands for the beginning of a topic."""
        self._consumer = consumer
        self._admin = admin
        self._group = group
        self._starts = starts
        self._starter = starter
        self._beginning = asyncio.Lock()  # the partitions of this worker would fence each other

    async def committed(self, partition: TopicPartition) -> Committed:
        """Offset and metadata to go on from. Call it after the partition's producer has started, never before.

        A partition without an offset is read from its beginning, but where the whole topic has none and its start
        is `latest`: then the group is new, and the ends of all its partitions are committed first, so that a
        restart before the first result loses nothing.
        """
        offset, metadata = (await self._fetch([partition]))[partition]
        if offset == _NOTHING and self._starts[partition.topic] == "latest":
            async with self._beginning:
                offset, metadata = (await self._fetch([partition]))[partition]
                if offset == _NOTHING:
                    await self._begin_at_the_end(partition.topic)
                    offset, metadata = (await self._fetch([partition]))[partition]
        return (0, "") if offset == _NOTHING else (offset, metadata)

    async def _begin_at_the_end(self, topic: str) -> None:
        """Commits the ends of the topic's partitions, unless any has an offset. One worker of the group does it:

        the look and the commit are held together by a transactional id of the topic's own.
        """
        partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()]
        for _ in range(_BEGINNERS_MAX):
            transactions = self._starter(topic)
            try:
                await transactions.start()
                committed = await self._fetch(partitions)
                if any(offset != _NOTHING for offset, _ in committed.values()):
                    return
                ends = await self._consumer.end_offsets(partitions)
                await transactions.commit((), {partition: (end, "") for partition, end in ends.items()})
            except Fenced:
                await asyncio.sleep(0)  # another worker looked after us: look again
            else:
                log.info("a new group begins %s at its end", topic)
                return
            finally:
                await transactions.stop()
        raise KafkaError(f"the beginning of topic {topic!r} was fenced {_BEGINNERS_MAX} times: is it run twice?")

    async def _fetch(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Committed]:
        """Asks for each by name: an answer with an error for the whole group names none, and is no "nothing"."""
        answer = await self._admin.list_consumer_group_offsets(self._group, partitions=list(partitions))
        missing = set(partitions) - answer.keys()
        if missing:
            raise KafkaError(f"group {self._group!r}: the coordinator does not tell the offsets of {sorted(missing)}")
        return {partition: (found.offset, found.metadata or "") for partition, found in answer.items()}
