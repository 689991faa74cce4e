"""What the engine asks of Kafka: a member of a consumer group, and producers.

`kafka.py` is aiokafka's half. Tests run the engine on a simulated broker too; one contract suite holds both to this.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence, Set
from typing import NamedTuple, Protocol

from aiokafka.structs import TopicPartition

from topics.records import Headers, Record

NOTHING_COMMITTED = -1  # Kafka's word for "no offset committed"


class Fenced(Exception):
    """Another producer has the transactional id, or the group has gone on to another generation: whatever this
    worker writes now is not its own any more. The producer is spent."""


class Committed(NamedTuple):
    """What a group has committed of a partition."""

    offset: int  # NOTHING_COMMITTED where it has committed none
    metadata: str


class Membership(NamedTuple):
    """One member of a group in one generation: offsets from any other generation are refused."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None  # of static membership


class Listener(Protocol):
    """Told of rebalances. They are eager: everything is revoked, also what comes back."""

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Awaited before the group goes on: every member waits for the slowest."""
        ...

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called before any record of the new assignment is given out. Must not raise."""
        ...


class Member(Protocol):
    """A consumer in a group. Reads committed records only, and commits nothing by itself."""

    async def start(self) -> None: ...
    async def stop(self) -> None:
        """Leaves the group, unless membership is static."""
        ...

    def subscribe(self, topics: Sequence[str], listener: Listener) -> None:
        """Joins the group, or joins it again."""
        ...

    def membership(self) -> Membership:
        """As of now."""
        ...

    def assignment(self) -> Set[TopicPartition]: ...
    def partitions_for_topic(self, topic: str) -> Set[int] | None: ...

    async def poll(
        self, partitions: Sequence[TopicPartition], *, timeout_ms: int, records_max: int
    ) -> Mapping[TopicPartition, Sequence[Record]]:
        """Records of these partitions, in offset order each; of none where `partitions` is empty. What is prefetched
        of the others is kept. May give out records of a partition that is revoked while it waits."""
        ...

    def pause(self, *partitions: TopicPartition) -> None: ...
    def resume(self, *partitions: TopicPartition) -> None: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    async def position(self, partition: TopicPartition) -> int:
        """Of the next record: beyond transaction markers and aborted records that are passed already."""
        ...

    def highwater(self, partition: TopicPartition) -> int | None:
        """The partition's end as last seen; None before the first fetch."""
        ...

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ends of what is committed."""
        ...

    async def committed(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """The group's offsets, all of those asked for. Waits while a transaction that would change one is open or
        ending; raises KafkaError where that takes longer than any transaction may."""
        ...

    async def commit(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Commits without a transaction. Raises Fenced where the generation is over."""
        ...


class Batch(Protocol):
    """Records of one output partition, encoded."""

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers) -> object:
        """None where it is full; a batch takes its first record whatever its size. `headers` is a list. Raises
        TypeError, ValueError or AttributeError for what is not bytes."""
        ...

    def record_count(self) -> int: ...
    def size(self) -> int:
        """Bytes."""
        ...


class Producer(Protocol):
    """With a transactional id: started once, and spent after the first error. Without: plain and idempotent."""

    async def start(self) -> None:
        """Fences the id's last producer, and ends its transaction."""
        ...

    async def stop(self) -> None:
        """Lets go of it, whatever state it is in. Raises nothing but cancellation."""
        ...

    async def partitions_for(self, topic: str) -> int:
        """How many partitions the topic has. Raises UnknownTopicOrPartitionError where the cluster names none."""
        ...

    def create_batch(self) -> Batch: ...

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Awaitable[object]:
        """Batches of one partition are sent one after the other, in this order. What is given is the broker's answer:
        it raises MessageSizeTooLargeError or RecordListTooLargeError where the batch is refused for its size. Nobody
        has to await it: after another failure nobody will."""
        ...

    async def begin(self) -> None: ...
    async def send_offsets(self, offsets: Mapping[TopicPartition, Committed], membership: Membership) -> None:
        """Into the transaction. Raises Fenced."""
        ...

    async def commit(self) -> None:
        """Raises Fenced, or KafkaError: then all of it is committed or none, and only the offsets tell."""
        ...

    async def abort(self) -> bool:
        """As far as the producer's state allows; its successor's start ends what is left. True: it is fenced."""
        ...


class Broker(Protocol):
    """A cluster."""

    def member(self, group: str, *, session_timeout_ms: int, instance_id: str | None) -> Member: ...
    def producer(self, transactional_id: str | None, *, timeout_ms: int) -> Producer: ...
