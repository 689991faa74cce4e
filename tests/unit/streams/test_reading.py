"""Triage's stage over framed records: read when their schema is known, in their order, each once."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from local.drive import Fed
from processors.errors import KeyRefused, ProviderUnavailable
from processors.memory import Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.triage import Triage
from streams.engine.stage import Forgotten, Later, Outputs
from streams.framed import Framed
from streams.schema_registry import SchemaRegistry
from streams.stages import TriageStage
from tests.fakes import FakeNano, ManualClock
from tests.unit.streams.registries import LINE, TURN, FakeRegistry, Impatient, avro, framed, serving
from topics import codec, limits
from topics.catalog import Names
from topics.messages import Decision, Rejected
from topics.records import Record

LABELS = {"routine": {"means": "Nobody needs to look"}, "alert": {"means": "An operator must look"}}
POLICY = Policy.model_validate(
    {
        "streams": {
            "logs": {"kind": "log", "topics": ["logs"], "labels": LABELS},
            "chat": {"kind": "dialogue", "topics": ["chat"], "labels": LABELS},
        }
    }
)


class Pipeline:
    """The stage over both streams; what nano was shown is in `nano`."""

    def __init__(self, registry: SchemaRegistry, clock: ManualClock) -> None:
        self.nano = FakeNano()
        self.framed = Framed(registry, frozenset({"logs", "chat"}), clock)
        self.clock = clock
        topics: dict[str, Any] = {}
        for name, stream in POLICY.streams.items():
            triage = Triage(name, stream, POLICY, self.nano, clock=Impatient(), rng=random.Random(1), memory=Memory())
            topics[name] = (normaliser_for(name, stream), triage, stream.ordered)
        self.stage = TriageStage(Names(), topics, clock, self.framed)

    async def decided(self, *records: Record) -> list[Decision | Rejected]:
        return [_decision(await self.ended(result)) for result in self.stage.take(records)]

    async def ended(self, result: Outputs | Later) -> Outputs:
        return await result() if callable(result) else result


def _decision(result: Outputs) -> Decision | Rejected:
    if isinstance(result, Rejected):
        return result
    assert isinstance(result, Sequence)
    assert result[0].value is not None
    return codec.decode(Decision, result[0].value)


@asynccontextmanager
async def pipeline() -> AsyncIterator[tuple[Pipeline, FakeRegistry]]:
    async with serving() as served, SchemaRegistry(served.access, Impatient()) as registry:
        yield Pipeline(registry, ManualClock()), served


def log(value: bytes, offset: int = 0) -> Fed:
    return Fed("logs", 0, offset, 1_700_000_000_000, b"k", value)


def turn(value: bytes, offset: int) -> Fed:
    return Fed("chat", 0, offset, 1_700_000_000_000 + offset, b"c1", value)


def said(text: str) -> dict[str, str]:
    return {"conversation_id": "c1", "speaker": "customer", "text": text}


async def test_a_record_waits_for_its_schema_and_the_next_does_not() -> None:
    async with pipeline() as (made, registry):
        registry.put(1, LINE)
        first, second = log(avro(1, LINE, {"line": "disk full"})), log(avro(1, LINE, {"line": "disk gone"}), 1)
        (waits,) = made.stage.take([first])
        assert callable(waits)
        decision = _decision(await waits())
        assert isinstance(decision, Decision)
        assert made.nano.texts()[-1] == ["disk full"]
        assert isinstance((await made.decided(second))[0], Decision)
        again = log(avro(1, LINE, {"line": "disk full"}), 2)
        assert not callable(made.stage.take([again])[0]), "its schema is known, and the line remembered"
        assert registry.asked == ["/schemas/ids/1"]


async def test_two_schemas_on_one_topic_each_have_their_own() -> None:
    newer = {**LINE, "fields": [{"name": "host", "type": "string"}, *LINE["fields"]]}
    async with pipeline() as (made, registry):
        registry.put(1, LINE)
        registry.put(2, newer)
        await made.decided(log(avro(1, LINE, {"line": "one"})))
        await made.decided(log(avro(2, newer, {"host": "a", "line": "two"}), 1), log(avro(1, LINE, {"line": "tri"}), 2))
        assert [text for texts in made.nano.texts() for text in texts] == ["one", "two", "tri"]


async def test_json_and_plain_records_ask_no_registry() -> None:
    async with pipeline() as (made, registry):
        records = [log(framed(5, b'{"line":"disk full"}')), log(b'{"line":"disk gone"}', 1), log(b"disk back", 2)]
        assert all(isinstance(each, Decision) for each in await made.decided(*records))
        assert registry.asked == []


async def test_a_registry_that_is_away_makes_the_record_wait_and_nothing_is_lost() -> None:
    async with pipeline() as (made, registry):
        registry.status = 503
        registry.put(1, LINE)
        (waits,) = made.stage.take([log(avro(1, LINE, {"line": "disk full"}))])
        assert callable(waits)
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await waits()
        registry.status = 401
        with pytest.raises(KeyRefused):
            await waits()
        registry.status = None
        assert isinstance(_decision(await waits()), Decision)


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        (None, b"\x06abc", "schema 1 is not in the schema registry"),
        ({"schema": "syntax", "schemaType": "PROTOBUF"}, b"\x06abc", "it is Protobuf, which is not read"),
        ({"schema": "{}"}, b"\x06abc", "it is no Avro schema"),
        ({"schema": '"string"'}, b"\x08abc", "does not fit schema 1"),
    ],
)
async def test_what_cannot_be_decoded_is_a_dead_letter(schema: Any, value: bytes, told: str) -> None:
    async with pipeline() as (made, registry):
        if schema is not None:
            registry.schemas[1] = schema
        for offset in range(3):
            (rejected,) = await made.decided(log(framed(1, value), offset))
            assert isinstance(rejected, Rejected)
            assert rejected.reason == "undecodable"
            assert told in rejected.detail
        assert len(registry.asked) == 1, "it is not asked for every record"


async def test_an_id_that_comes_to_be_is_found_after_a_while() -> None:
    async with pipeline() as (made, registry):
        assert isinstance((await made.decided(log(framed(1, b"\x06abc"))))[0], Rejected)
        registry.put(1, "string")
        await made.clock.advance(limits.REGISTRY_REFUSED_SECONDS)
        assert isinstance((await made.decided(log(framed(1, b"\x06abc"), 1)))[0], Decision)


async def test_turns_are_read_in_their_order_though_the_first_waits() -> None:
    async with pipeline() as (made, registry):
        registry.put(1, TURN)
        registry.put(2, {**TURN, "name": "T2"})
        taken = made.stage.take(
            [
                turn(avro(1, TURN, said("one")), 0),
                turn(b'{"conversation_id":"c1","speaker":"customer","text":"two"}', 1),
                turn(avro(2, TURN, said("three")), 2),
            ]
        )
        assert all(callable(each) for each in taken)
        last = await asyncio.gather(*(made.ended(each) for each in reversed(taken)))  # whichever runs first
        assert all(isinstance(_decision(each), Decision) for each in last)
        whole = max((text for texts in made.nano.texts() for text in texts), key=len)
        assert whole.index("one") < whole.index("two") < whole.index("three")
        assert whole.count("one") == 1


async def test_turns_before_the_committed_offset_are_remembered_when_their_schema_is_known() -> None:
    async with pipeline() as (made, registry):
        registry.put(1, TURN)
        made.stage.recall([turn(avro(1, TURN, said("before")), 0), turn(framed(9, b"\x06abc"), 1)])
        (decision,) = await made.decided(turn(avro(1, TURN, said("after")), 2))
        assert isinstance(decision, Decision)
        (shown,) = made.nano.texts()[-1]
        assert shown.index("before") < shown.index("after")


async def test_a_partition_that_is_another_workers_is_read_no_more() -> None:
    async with pipeline() as (made, registry):
        registry.put(1, TURN)
        (late,) = made.stage.take([turn(avro(1, TURN, said("one")), 0)])
        made.stage.forget("chat", 0)
        with pytest.raises(Forgotten):
            await late()
        await made.decided(turn(avro(1, TURN, said("two")), 1))
        assert "one" not in made.nano.texts()[-1][0]


async def test_no_more_schemas_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REGISTRY_SCHEMAS_MAX", 2)
    async with pipeline() as (made, registry):
        for id_ in (1, 2, 3):
            registry.put(id_, LINE)
            await made.decided(log(avro(id_, LINE, {"line": "disk full"}), id_))
        for id_, known in ((1, False), (2, True), (3, True)):
            record = log(avro(id_, LINE, {"line": "x"}))
            assert (made.framed.at_once(record) is not None) == known


async def test_who_reads_beside_the_stage_waits_for_the_schema_as_well() -> None:
    async with pipeline() as (made, registry):
        registry.put(1, LINE)
        record = log(avro(1, LINE, {"line": "disk full"}), 5)
        natural = await made.framed.natural(record)
        assert not isinstance(natural, Rejected)
        assert (natural.value, natural.offset, natural.key) == (b'{"line":"disk full"}', 5, b"k")
        plain = log(b"disk full")
        assert await made.framed.natural(plain) is plain


async def test_a_registry_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with pipeline() as (made, registry):
        registry.status = 503
        for _ in range(3):
            with pytest.raises(ProviderUnavailable):
                await made.framed.natural(log(framed(1, b"\x06abc")))
        assert caplog.text.count("is away: HTTP 503; records of schemas that are not known yet wait") == 1
