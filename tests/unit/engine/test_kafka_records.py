"""The fast reader gives exactly the records that aiokafka's own would, and no error costs another partition's."""

import asyncio
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.kafka_records import RecordFetcher, _Fetched

AT = TopicPartition("in", 3)
_CONTROL = 0x20
_ABORT = struct.pack(">hh", 0, 0)


def batch(
    first: int,
    gaps: list[int],
    *,
    producer_id: int = -1,
    control: bool = False,
    codec: int = 0,
    after: int = 0,
) -> tuple[bytes, int]:
    """A batch from offset `first` with a record after each gap, as a broker stores it; and the offset behind it."""
    builder = DefaultRecordBatchBuilder(2, codec, int(producer_id >= 0), producer_id, 0, 0, 1 << 20)
    delta = -1
    for gap in gaps:
        delta += gap + 1
        key = _ABORT if control else b"key" if delta % 3 else None
        headers = [("name", b"value")] * (delta % 2)
        builder.append(delta, 1_000 + delta, key, b"%d" % (first + delta) if delta % 5 else None, headers)
    raw = bytearray(builder.build())
    delta += after  # compaction has removed the last ones
    struct.pack_into(">q", raw, 0, first)
    struct.pack_into(">i", raw, 23, delta)
    if control:
        struct.pack_into(">h", raw, 21, struct.unpack_from(">h", raw, 21)[0] | _CONTROL)
    struct.pack_into(">I", raw, _DefaultRecordBatchPy.CRC_OFFSET, calc_crc32c(bytes(raw[21:])))
    return bytes(raw), first + delta + 1


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]], int]:
    """Batches, aborted transactions and the offset of the fetch, which may lie within the first batch."""
    data, offset, aborted = b"", draw(st.integers(0, 5)), []
    for _ in range(draw(st.integers(1, 6))):
        producer_id = draw(st.sampled_from([-1, 7, 8]))
        if producer_id >= 0 and draw(st.booleans()):
            aborted.append((producer_id, offset))
        gaps = draw(st.lists(st.integers(0, 3), min_size=1, max_size=8))
        raw, offset = batch(
            offset, gaps, producer_id=producer_id, codec=draw(st.sampled_from([0, 1, 4])), after=draw(st.integers(0, 2))
        )
        data += raw
        if producer_id >= 0 and draw(st.booleans()):
            raw, offset = batch(offset, [0], producer_id=producer_id, control=True)
            data += raw
    return data, aborted, draw(st.integers(0, 12))


def fetched(data: bytes, aborted: list[tuple[int, int]], offset: int) -> tuple[FetchResult, list[int]]:
    """As aiokafka makes it of an answer, and where it says that reading has come to."""
    state = SimpleNamespace(paused=False, position=offset)
    moved: list[int] = []

    def consumed_to(position: int) -> None:
        state.position = position
        moved.append(position)

    state.consumed_to = consumed_to
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    reader = PartitionRecords(AT, MemoryRecords(data), list(aborted), offset, None, None, True, READ_COMMITTED)
    return FetchResult(AT, assignment=assignment, partition_records=reader, backoff=0), moved


def read(result: FetchResult, records_max: int | None) -> Iterator[list[Any]]:
    while result.has_more():
        yield [
            (each.topic, each.partition, each.offset, each.timestamp, each.key, each.value, list(each.headers))
            for each in result.getall(records_max)
        ]


@given(answers(), st.none() | st.integers(1, 7))
def test_it_reads_as_aiokafka_does(answer: tuple[bytes, list[tuple[int, int]], int], records_max: int | None) -> None:
    theirs, theirs_moved = fetched(*answer)
    result, moved = fetched(*answer)
    ours = _Fetched(result, answer[0])
    assert list(read(ours, records_max)) == list(read(theirs, records_max))
    assert moved == theirs_moved


async def test_a_corrupt_batch_costs_no_other_partition_its_records() -> None:
    """aiokafka forgets what it has taken of the others, whose positions have moved on."""
    good, bad = TopicPartition("in", 0), TopicPartition("in", 1)
    whole, _ = batch(0, [0, 0, 0])
    broken = whole[:-1] + bytes([whole[-1] ^ 1])
    subscription = SubscriptionState()
    subscription.subscribe({"in"})
    subscription.assign_from_subscribed({good, bad})
    for at in (good, bad):
        subscription.seek(at, 0)
    fetcher = RecordFetcher(FakeClient({good: whole, bad: broken}), subscription, isolation_level="read_committed")
    try:
        seen, errors = [], 0
        while len(seen) < 3 or not errors:
            try:
                taken = await fetcher.fetched_records([good, bad], timeout=1, max_records=10)
            except CorruptRecordException:
                errors += 1
            else:
                seen += [record.offset for record in taken[good]]
        assert seen == [0, 1, 2]
    finally:
        await fetcher.close()


class FakeClient:
    """One node that leads everything, and answers each fetch with all it has from offset 0."""

    _metadata_max_age_ms = 1_000

    def __init__(self, records: dict[TopicPartition, bytes]) -> None:
        self._loop = asyncio.get_running_loop()
        self._records = records
        self.cluster = SimpleNamespace(leader_for_partition=lambda _: 0)

    async def send(self, node_id: int, request: Any) -> Any:
        await asyncio.sleep(0)
        topics = [
            (topic, [(at, 0, 3, 3, 0, [], -1, self._records[TopicPartition(topic, at)]) for at, _, _ in sorted(asked)])
            for topic, asked in request.topics
        ]
        return SimpleNamespace(API_VERSION=11, topics=topics)


@pytest.mark.parametrize("records_max", [None, 1, 2])
def test_what_was_sought_elsewhere_meanwhile_is_not_given_out(records_max: int | None) -> None:
    data, _ = batch(0, [0, 0, 0])
    result, _ = fetched(data, [], 0)
    ours = _Fetched(result, data)
    ours._assignment.state_value(AT).position = 1
    assert ours.getall(records_max) == []
    assert not ours.has_more()
