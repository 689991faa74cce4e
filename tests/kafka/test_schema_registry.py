"""A real schema registry: what Confluent's own serializers write is decided as its plain twin is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from local.kafka import HOST, free_port
from local.registry import LocalRegistry
from tests.kafka import pipelines
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import drained, until
from topics.catalog import DECISIONS
from topics.framing import HEADER_BYTES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the registry's jars are 140 MB, fetched once


def record(**fields: Any) -> dict[str, Any]:
    types = [{"name": name, "type": type_} for name, type_ in fields.items()]
    return {"type": "record", "name": "Message", "namespace": "shop", "fields": types}


FAILED = "sluice_record_attempts_failed_total"
LEVEL = {"type": "enum", "name": "Level", "symbols": ["info", "error"]}
PARTS = ("from", "to", "subject", "body")
TURNS = {"type": "array", "items": record(speaker="string", text="string") | {"name": "Turn"}}
MAIL = (
    b"From: ann@shop.example\r\nSubject: Order\r\nContent-Type: text/plain; charset=latin-1\r\n\r\nGr\xfc\xdfe, wo?\r\n"
)


@dataclass(frozen=True, slots=True)
class Twins:
    """A message, and the schemas that it is written with besides plain JSON."""

    about: str
    stream: Literal["logs", "mail", "chat"]
    value: Mapping[str, Any]
    avro: Sequence[Mapping[str, Any]]
    plain: bytes | None = None  # where it is another than the JSON of `value`
    json: bool = True


TWINS = (
    Twins("line", "logs", {"line": "disk failure on node 3"}, [record(line="string"), record(line=["null", "string"])]),
    Twins(
        "ECS",
        "logs",
        {"message": "oops", "log": {"level": "error"}},
        [record(message="string", log=record(level=LEVEL) | {"name": "Log"})],
    ),
    Twins(
        "mail in parts",
        "mail",
        {"from": "a@b.example", "to": "c@d.example", "subject": "Late", "body": "Where is it?"},
        [
            record(**dict.fromkeys(PARTS, "string")),
            record(sent_by=["null", "string"], **{name: ["null", "string"] for name in PARTS}),
        ],
    ),
    Twins("raw mail", "mail", {"raw": MAIL}, [record(raw="bytes")], plain=MAIL, json=False),
    Twins(
        "dialogue",
        "chat",
        {"conversation_id": "c1", "turns": [{"speaker": "customer", "text": "I paid twice"}]},
        [record(conversation_id="string", turns=TURNS)],
    ),
    Twins(
        "turn",
        "chat",
        {"conversation_id": "c2", "speaker": "customer", "text": "I did not make this payment"},
        [record(conversation_id="string", speaker="string", text="string")],
    ),
)


@pytest.fixture(scope="module")
def registry() -> Iterator[LocalRegistry]:
    with LocalRegistry() as running:
        yield running


@pytest.fixture(scope="module")
def client(registry: LocalRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as connected:
        yield connected


def avro(client: SchemaRegistryClient, topic: str, schema: Mapping[str, Any], value: Mapping[str, Any]) -> bytes:
    """As a producer sends it. (This registry takes schemas that are not compatible, unless it is told otherwise.)"""
    serialize = AvroSerializer(client, orjson.dumps(schema).decode())
    written = serialize(dict(value), SerializationContext(topic, MessageField.VALUE))
    assert isinstance(written, bytes)
    return written


def json(client: SchemaRegistryClient, topic: str, value: Mapping[str, Any]) -> bytes:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Message", "type": "object"}
    serialize = JSONSerializer(orjson.dumps(schema).decode(), client)
    written = serialize(dict(value), SerializationContext(topic, MessageField.VALUE))
    assert isinstance(written, bytes)
    return written


async def test_avro_and_json_schema_records_are_decided_as_their_plain_twins(
    bus: Bus, registry: LocalRegistry, client: SchemaRegistryClient
) -> None:
    await pipelines.topics(bus)
    sent: dict[str, list[tuple[str, bytes]]] = {"logs": [], "mail": [], "chat": []}
    for twins in TWINS:
        topic = bus.prefix + twins.stream
        forms = [orjson.dumps(twins.value) if twins.plain is None else twins.plain]
        forms += [avro(client, topic, schema, {"sent_by": None, **twins.value}) for schema in twins.avro]
        forms += [json(client, topic, twins.value)] if twins.json else []
        assert all(form[:1] == b"\0" for form in forms[1:])
        sent[twins.stream] += [(twins.about, form) for form in forms]
    for name, records in sent.items():
        await bus.produce(bus.prefix + name, [Send(value, b"k", partition=0) for _, value in records])
    async with (
        pipelines.stand_in() as provider,
        pipelines.running(bus, provider.base_url, env={"SCHEMA_REGISTRY_URL": registry.url}),
    ):
        for name in sent:
            await drained(bus, bus.prefix + name)
    assert await pipelines.dead_letters(bus) == {}
    decisions = await pipelines.decisions(bus)
    for name, records in sent.items():
        told: dict[str, list[Mapping[str, Any]]] = {}
        for offset, (about, _) in enumerate(records):
            told.setdefault(about, []).append(decisions[f"{bus.prefix}{name}/0/{offset}"])
        for about, those in told.items():
            same = {
                tuple(str(one[key]) for key in ("label", "severity", "template", "session", "fields")) for one in those
            }
            assert len(same) == 1, f"{about}: {same}"
            assert all(one["source"]["key"] == "k" for one in those)


@contextlib.asynccontextmanager
async def forwarding(port: int, to: str) -> AsyncIterator[None]:
    """The registry at another port, for as long as this lasts."""
    there = urlsplit(to)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async with await asyncio.start_server(serve, HOST, port):
        yield


async def test_records_wait_for_a_registry_that_is_away_and_none_is_lost(
    bus: Bus, registry: LocalRegistry, client: SchemaRegistryClient
) -> None:
    await pipelines.topics(bus)
    logs, chat, port = bus.prefix + "logs", bus.prefix + "chat", free_port()
    turn = record(conversation_id="string", speaker="string", text="string")
    said = {"conversation_id": "c1", "speaker": "customer"}
    lines = [avro(client, logs, record(line="string"), {"line": f"disk failure on node {n}"}) for n in range(20)]
    turns = [avro(client, chat, turn, {**said, "text": "one"}), orjson.dumps({**said, "text": "two"})]
    unknown = b"\0\x00\x0f\x42\x3f" + lines[0][HEADER_BYTES:]
    await bus.produce(logs, [Send(value, partition=0) for value in [*lines, unknown, b"plain"]])
    await bus.produce(chat, [Send(value, b"c1", partition=0) for value in turns])
    away = registry.url.replace(str(urlsplit(registry.url).port), str(port))
    async with (
        pipelines.stand_in() as provider,
        pipelines.running(bus, provider.base_url, env={"SCHEMA_REGISTRY_URL": away}) as pipeline,
    ):

        async def tried() -> bool:
            return await pipeline.metric(FAILED, stage="triage", error="ProviderUnavailable") >= 3

        await until(tried, "tries while the registry is away")
        assert await pipelines.dead_letters(bus) == {}
        async with forwarding(port, registry.url):
            await drained(bus, logs)
            await drained(bus, chat)
    decisions, letters = await pipelines.decisions(bus), await pipelines.dead_letters(bus)
    assert len(decisions) == len(lines) + 1 + len(turns)
    assert list(letters) == [f"{logs}/0/{len(lines)}"]
    (letter,) = letters.values()
    assert letter.value == unknown
    assert letter.told("reason") == "undecodable"
    assert "schema 999999 is not in the schema registry" in letter.told("error")


async def test_the_schemas_of_what_sluice_writes_are_registered_once(
    bus: Bus, registry: LocalRegistry, client: SchemaRegistryClient, tmp_path: Path
) -> None:
    env = {"SCHEMA_REGISTRY_URL": registry.url}
    ask = ["schemas", "--register", "--prefix", bus.prefix]
    first = await pipelines.sluice(*ask, folder=tmp_path, env=env)
    assert first.code == 0, first.err
    again = await pipelines.sluice(*ask, folder=tmp_path, env=env)
    assert again.out == first.out
    ids = {subject: int(id_) for id_, subject in (line.split("\t") for line in first.out.splitlines())}
    registered = client.get_latest_version(f"{bus.names.topic(DECISIONS)}-value")
    assert registered.schema.schema_type == "JSON"
    assert registered.version == 1
    client.set_compatibility(subject_name=f"{bus.names.topic(DECISIONS)}-value", level="FORWARD")
    grown = orjson.loads(registered.schema.schema_str)
    grown["properties"]["added"] = {"type": "string", "default": ""}
    client.register_schema(f"{bus.names.topic(DECISIONS)}-value", Schema(orjson.dumps(grown).decode(), "JSON"))
    assert ids[f"{bus.names.topic(DECISIONS)}-value"] == registered.schema_id
    one = await pipelines.sluice("schemas", "alerts", "--register", "--prefix", "other.", folder=tmp_path, env=env)
    assert one.out.split()[1:] == ["other.alerts-value"]


async def test_a_registry_that_refuses_is_told_plainly(
    registry: LocalRegistry, client: SchemaRegistryClient, tmp_path: Path
) -> None:
    other = {"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": False}
    client.register_schema("taken.decisions-value", Schema(orjson.dumps(other).decode(), "JSON"))
    client.set_compatibility(subject_name="taken.decisions-value", level="FULL")
    ask = ["schemas", "decisions", "--register", "--prefix", "taken."]
    said = await pipelines.sluice(*ask, folder=tmp_path, env={"SCHEMA_REGISTRY_URL": registry.url})
    assert said.is_refusal()
    assert "subject 'taken.decisions-value': the registry finds this schema incompatible" in said.error
    said = await pipelines.sluice(*ask, folder=tmp_path)
    assert said.is_refusal()
    assert "set kafka.schema_registry.url in the policy, or SCHEMA_REGISTRY_URL" in said.error
