"""The simulated broker's own side: topics, groups, transactions."""

import asyncio
import random

from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.structs import TopicPartition

from tests.simulation.group import Group
from tests.simulation.history import History
from tests.simulation.log import Log
from tests.simulation.network import Network
from tests.simulation.transactions import Transactions

BATCH_BYTES_MAX = 1_048_588  # a topic's default max.message.bytes
_EPOCH_MS = 1_800_000_000_000


class Cluster:
    """What is there whether or not a client looks at it."""

    def __init__(self, rng: random.Random, history: History, *, latency_s: float) -> None:
        self.history = history
        self.network = Network(rng, latency_s)
        self.topics: dict[str, list[Log]] = {}
        self.transactions = Transactions(self.group, self.network.marker_latency_s, history)
        self._groups: dict[str, Group] = {}

    def create_topic(self, name: str, partitions: int, batch_bytes_max: int = BATCH_BYTES_MAX) -> None:
        self.topics[name] = [Log(name, number, batch_bytes_max=batch_bytes_max) for number in range(partitions)]

    def partitions(self, topic: str) -> list[Log]:
        """Raises UnknownTopicOrPartitionError."""
        if topic not in self.topics:
            raise UnknownTopicOrPartitionError(topic)
        return self.topics[topic]

    def log(self, partition: TopicPartition) -> Log:
        number: int = partition.partition
        return self.partitions(partition.topic)[number]

    def group(self, name: str) -> Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name, lambda topic: len(self.topics.get(topic, ())), self.history)
        return group

    def now_ms(self) -> int:
        """What a record without a timestamp gets."""
        return _EPOCH_MS + int(asyncio.get_running_loop().time() * 1000)

    def go_away(self, seconds: float) -> None:
        """As a restart: nobody is served, and afterwards sessions begin anew."""
        loop = asyncio.get_running_loop()
        self.history.note("away", f"for {seconds:.3f} s", process="broker")
        self.network.away_until = loop.time() + seconds
        for group in self._groups.values():
            group.hold_sessions()
        loop.call_at(self.network.away_until, self._come_back, context=self.network.context)

    def _come_back(self) -> None:
        self.history.note("back")
        for group in self._groups.values():
            group.begin_sessions()
