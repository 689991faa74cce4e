"""What the group has committed, and where a group begins that has committed nothing."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.broker import NOTHING_COMMITTED, Committed, Fenced, Member
from streams.engine.delivery import Delivery

log = logging.getLogger(__name__)

Start = Literal["earliest", "latest"]

_BEGINNERS_MAX = 20  # workers that begin a topic at the same moment fence each other; in the end one is through


class Offsets:
    """The group's offsets. One an engine."""

    def __init__(self, member: Member, *, starts: Mapping[str, Start], beginner: Callable[[str], Delivery]) -> None:
        """`beginner` makes the producer whose transactional id stands for the beginning of a topic."""
        self._member = member
        self._starts = starts
        self._beginner = beginner
        self._beginning = asyncio.Lock()  # the partitions of this worker would fence each other

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Committed]:
        """Where to go on from. Call it after the partitions' producer has started, never before.

        A partition without an offset is read from its beginning, but where the whole topic has none and its start
        is `latest`: then the group is new, and the ends of all its partitions are committed first, so that a
        restart before the first result loses nothing.
        """
        found = await self._member.committed(partitions)
        new = {at.topic for at, (offset, _) in found.items() if offset == NOTHING_COMMITTED}
        if late := [topic for topic in new if self._starts[topic] == "latest"]:
            async with self._beginning:
                for topic in late:
                    await self._begin_at_the_end(topic)
                found = await self._member.committed(partitions)
        return {at: Committed(0, "") if of.offset == NOTHING_COMMITTED else of for at, of in found.items()}

    async def _begin_at_the_end(self, topic: str) -> None:
        """Commits the ends of the topic's partitions, unless any has an offset. One worker of the group does it:

        the look and the commit are held together by a transactional id of the topic's own.
        """
        partitions = [TopicPartition(topic, number) for number in self._member.partitions_for_topic(topic) or ()]
        for _ in range(_BEGINNERS_MAX):
            delivery = self._beginner(topic)
            try:
                await delivery.start()
                committed = await self._member.committed(partitions)
                if any(offset != NOTHING_COMMITTED for offset, _ in committed.values()):
                    return
                ends = await self._member.end_offsets(partitions)
                await delivery.publish((), {partition: Committed(end, "") for partition, end in ends.items()})
            except Fenced:
                await asyncio.sleep(0)  # another worker looked after us: look again
            else:
                log.info("a new group begins %s at its end", topic)
                return
            finally:
                await delivery.stop()
        raise KafkaError(f"the beginning of topic {topic!r} was fenced {_BEGINNERS_MAX} times: is it run twice?")
