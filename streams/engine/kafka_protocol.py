"""Two requests in versions that aiokafka 0.14 lacks (Kafka 2.5, KIP-447): offsets committed in the name of a group's
generation, and offsets fetched that hold still.

Field by field as in Kafka's TxnOffsetCommitRequest.json and OffsetFetchRequest.json.
"""

from collections.abc import Mapping, Sequence

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields
from aiokafka.structs import TopicPartition

from streams.engine.broker import Committed, Membership

NO_ERROR = 0
ILLEGAL_GENERATION = 22
UNKNOWN_MEMBER_ID = 25
FENCED_INSTANCE_ID = 82
UNSTABLE_OFFSET_COMMIT = 88  # a transaction that changes the offset is open or ending

_NO_LEADER_EPOCH = -1
_NO_TAGS: Mapping[int, bytes] = {}

_TAGS = ("tags", TaggedFields)


class TxnOffsetCommitResponse_v3(Response):  # type: ignore[misc]
    """Topics with, for each partition, an error code."""

    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("error_code", Int16), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class TxnOffsetCommitRequest_v3(RequestStruct):  # type: ignore[misc]
    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = TxnOffsetCommitResponse_v3
    SCHEMA = Schema(
        ("transactional_id", CompactString("utf-8")),
        ("group_id", CompactString("utf-8")),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", CompactString("utf-8")),
        ("group_instance_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class TxnOffsetCommit(Request[TxnOffsetCommitRequest_v3]):  # type: ignore[misc]
    """Offsets into a producer's transaction; refused unless `membership` is of the group's present generation."""

    API_KEY = 28

    def __init__(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        membership: Membership,
        offsets: Mapping[TopicPartition, Committed],
    ) -> None:
        self._transactional_id = transactional_id
        self._producer_id = producer_id
        self._producer_epoch = producer_epoch
        self._membership = membership
        self._offsets = offsets

    def build(self, request_struct_class: type[TxnOffsetCommitRequest_v3]) -> TxnOffsetCommitRequest_v3:
        by_topic: dict[str, list[tuple[object, ...]]] = {}
        for (topic, partition), (offset, metadata) in self._offsets.items():
            by_topic.setdefault(topic, []).append((partition, offset, _NO_LEADER_EPOCH, metadata, _NO_TAGS))
        return request_struct_class(
            self._transactional_id,
            self._membership.group,
            self._producer_id,
            self._producer_epoch,
            self._membership.generation,
            self._membership.member_id,
            self._membership.instance_id,
            [(topic, partitions, _NO_TAGS) for topic, partitions in by_topic.items()],
            _NO_TAGS,
        )


class OffsetFetchResponse_v7(Response):  # type: ignore[misc]
    """Topics with, for each partition, offset, metadata and error code; an error code of the whole group."""

    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        ("error_code", Int16),
        _TAGS,
    )


class OffsetFetchRequest_v7(RequestStruct):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = OffsetFetchResponse_v7
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), _TAGS),
        ),
        ("require_stable", Boolean),
        _TAGS,
    )


class StableOffsetFetch(Request[OffsetFetchRequest_v7]):  # type: ignore[misc]
    """A group's offsets, or UNSTABLE_OFFSET_COMMIT for those that an open transaction would change."""

    API_KEY = 9

    def __init__(self, group: str, partitions: Sequence[TopicPartition]) -> None:
        self._group = group
        self._partitions = partitions

    def build(self, request_struct_class: type[OffsetFetchRequest_v7]) -> OffsetFetchRequest_v7:
        by_topic: dict[str, list[int]] = {}
        for topic, partition in self._partitions:
            by_topic.setdefault(topic, []).append(partition)
        topics = [(topic, partitions, _NO_TAGS) for topic, partitions in by_topic.items()]
        return request_struct_class(self._group, topics, True, _NO_TAGS)
