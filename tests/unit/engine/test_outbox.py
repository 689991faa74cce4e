"""Outputs in batches: their order, their partitions, and what cannot be written."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from streams.engine.outbox import Outbox, OutputRefused
from tests.unit.engine.fakes import FakeProducer
from topics.records import Headers, Out


@dataclass(frozen=True, slots=True)
class FakeRecord:
    offset: int
    topic: str = "in"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: Headers = ()


def outbox(partitions: int = 3, *, batch_records_max: int = 4, **settings: Any) -> Outbox:
    settings = {"records_max": 10, "bytes_max": 100_000, "one_output_a_batch": False} | settings
    return Outbox(FakeProducer(partitions, batch_records_max=batch_records_max), rng=random.Random(1), **settings)


async def test_outputs_of_a_key_lie_in_one_partition_in_their_order_whatever_came_before_the_topic_was_known() -> None:
    box = outbox()
    for number in range(20):
        key = b"key %d" % (number % 5)
        box.add(FakeRecord(number), (Out("a", key, b"%d" % number, ()), Out("b", key, b"%d" % number, ())))
        if number in (3, 11):
            await box.resolve()
    await box.resolve()
    assert box.records == 20
    found: dict[tuple[str, int], list[int]] = {}
    for topic, partition, batch, _ in box.take():
        found.setdefault((topic, partition), []).extend(int(value) for value in batch.values)  # type: ignore[attr-defined]
    assert sum(map(len, found.values())) == 40
    for (_, partition), numbers in found.items():
        assert numbers == sorted(numbers)
        assert all((murmur2(b"key %d" % (n % 5)) & 0x7FFFFFFF) % 3 == partition for n in numbers)


async def test_it_is_full_with_so_many_records_or_bytes_and_empty_once_taken() -> None:
    by_records, by_bytes = outbox(records_max=2), outbox(bytes_max=2_000)
    for box, value in ((by_records, b""), (by_bytes, b"!" * 1_500)):
        for number in range(2):
            assert not box.full
            box.add(FakeRecord(number), (Out("a", None, value, ()),))
            await box.resolve()
        box.tell()
        assert (box.full, box.enough.is_set(), box.results.is_set()) == (True, True, True)
        box.take()
        assert (box.full, box.bytes, box.enough.is_set(), box.results.is_set()) == (False, 0, False, False)


async def test_a_record_without_outputs_is_published_too() -> None:
    box = outbox()
    box.add(FakeRecord(0), ())
    box.tell()
    assert (box.results.is_set(), box.take()) == (True, [])


async def test_a_batch_with_one_output_names_its_record() -> None:
    alone, together, found_out = outbox(), outbox(), outbox(one_output_a_batch=True)
    alone.add(FakeRecord(0), (Out("a", None, b"0", ()),))
    for box in (together, found_out):
        box.add(FakeRecord(0), (Out("a", None, b"0", ()),))
        box.add(FakeRecord(1), (Out("a", None, b"1", ()),))
    named = []
    for box in (alone, together, found_out):
        await box.resolve()
        named.append([sealed.record and sealed.record.offset for sealed in box.take()])
    assert named == [[0], [None], [0, 1]]


@pytest.mark.parametrize("output", [Out("a", None, "text", ()), Out("a", 5, b"", ())])  # type: ignore[arg-type]
async def test_an_output_that_is_not_bytes_is_refused_with_the_record_that_led_to_it(output: Out) -> None:
    box = outbox()
    box.add(FakeRecord(0), (Out("a", None, b"fine", ()),))
    box.add(FakeRecord(7), (output,))
    await box.resolve()
    with pytest.raises(OutputRefused) as refused:
        box.take()
    assert refused.value.record is not None
    assert (refused.value.record.offset, refused.value.reason) == (7, "internal")
