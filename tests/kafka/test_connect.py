"""A real Kafka Connect with the configurations that are shipped: what it writes can be decided, what it reads becomes
tables. One worker for all tests of this file."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from local.connect import configurations
from local.connect.worker import LocalConnect, LocalConnectError
from local.demo import policy as demo_policy
from local.kafka import LocalKafka
from local.postgres import LocalPostgres, PostgresMissing
from streams import topics_admin
from tests.conftest import IN_DOCKER
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import until
from topics import codec
from topics.catalog import ALERTS, DECISIONS, Names
from topics.inputs import MailParts, RawMail, read_log, read_mail
from topics.messages import Alert, Decision, Source, Tokens

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(IN_DOCKER, reason="SLUICE_KAFKA=docker: these tests start a broker of their own from its jars"),
]

LINES = (
    "disk full on node 7",
    'he said "stop" and {left}',
    "<131>1 2026-11-17T09:13:02.000Z db-1 postgres 2214 - - ERROR:  no space left on device",
    '{"@timestamp":"2026-11-17T09:13:02Z","log.level":"error","message":"naïve café, 50% 日本"}',
)
MAIL = {"from": "a@shop.example", "to": "b@shop.example", "subject": "Où est BW310077?", "body": 'Still\nnot "here"'}
RAW = "From: a@shop.example\nTo: b@shop.example\nSubject: Hello\n\nWhere is it?\n"


@dataclass(frozen=True, slots=True)
class Around:
    """The pipeline's surroundings."""

    bus: Bus
    connect: LocalConnect
    postgres: LocalPostgres
    logs: Path


@pytest.fixture(scope="module")
def postgres() -> Iterator[LocalPostgres]:
    try:
        server = LocalPostgres()
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="module")
def around(postgres: LocalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Around]:
    postgres.query(configurations.OUTBOX)
    logs = tmp_path_factory.mktemp("connect") / "app.log"
    with LocalKafka() as kafka:
        inputs = ["logs", "emails"]
        asyncio.run(topics_admin.apply(kafka.brokers, Names(), partitions=1, replication_factor=1, inputs=inputs))
        env = configurations.environment(demo_policy.load(), logs, postgres)
        with LocalConnect(kafka.bootstrap_servers, env=env) as connect:
            yield Around(Bus(kafka.brokers, ""), connect, postgres, logs)


async def values(bus: Bus, topic: str, count: int) -> list[bytes]:
    """The values of a topic, as soon as there are `count`."""

    async def there() -> bool:
        return len(await bus.values(topic)) >= count

    await until(there, f"{count} records of {topic}")
    return [value for value in await bus.values(topic) if value is not None]


def changed(path: Path, folder: Path, name: str, changes: Mapping[str, str]) -> Path:
    """A shipped configuration under another name, with more settings or others."""
    config = orjson.loads(path.read_bytes())["config"] | dict(changes)
    (folder / f"{name}.json").write_bytes(orjson.dumps({"name": name, "config": config}))
    return folder / f"{name}.json"


@pytest.mark.parametrize("name", ["logs-file", "logs-file-json", "logs-file-json-schema"])
async def test_lines_of_a_file_are_read_as_they_are_in_it(around: Around, tmp_path: Path, name: str) -> None:
    around.logs.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    topic = await around.bus.topic(f"{name}-lines")
    shipped = configurations.file(name)
    await asyncio.to_thread(around.connect.create, changed(shipped, tmp_path, f"test-{name}", {"topic": topic}))
    arrived = await values(around.bus, topic, len(LINES))
    assert [read_log(value) for value in arrived] == [read_log(line.encode()) for line in LINES]
    if name != "logs-file":
        assert [read_log(value, "connect-json") for value in arrived] == [read_log(value) for value in arrived]


OUTBOXES: Mapping[str, Mapping[str, str]] = {
    "emails-outbox": {},
    "as-json-text": {
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    },
    "expanded": {
        "transforms.outbox.table.expand.json.payload": "true",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    },
    "expanded-with-schema": {
        "transforms.outbox.table.expand.json.payload": "true",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
    },
}


@pytest.mark.parametrize("form", OUTBOXES)
async def test_mail_of_an_outbox_is_read_as_it_was_put_there(around: Around, tmp_path: Path, form: str) -> None:
    around.postgres.query("DELETE FROM outbox")
    topic = await around.bus.topic(f"{form}-mail")
    own = {"slot.name": form.replace("-", "_"), "publication.name": form.replace("-", "_"), "topic.prefix": form}
    changes = {**own, "transforms.outbox.route.topic.replacement": topic, **OUTBOXES[form]}
    shipped = configurations.file("emails-outbox")
    name = await asyncio.to_thread(around.connect.create, changed(shipped, tmp_path, f"test-{form}", changes))
    for mail in (MAIL, {"raw": RAW}):
        text = orjson.dumps(mail).decode().replace("'", "''")
        around.postgres.query(
            "INSERT INTO outbox (aggregatetype, aggregateid, type, payload)"
            f" VALUES ('email', 'm-1', 'received', '{text}')"
        )
    around.postgres.query("DELETE FROM outbox")  # as who writes one does; it sends nothing
    parts, raw = [read_mail(value) for value in await values(around.bus, topic, 2)]
    assert parts == MailParts(MAIL["from"], MAIL["to"], MAIL["subject"], MAIL["body"])
    assert raw == RawMail(RAW.encode())
    assert [record.key for record in await around.bus.read(topic)] == [b"m-1", b"m-1"]
    await asyncio.to_thread(around.connect.delete, name)


def decision(**changes: Any) -> Decision:
    known = {"service": "checkout", "amount_eur": 12, "unknown": True}
    values: dict[str, Any] = {
        "id": "logs/0/17",
        "source": Source("logs", 0, 17, "key", 1_700_000_000_123),
        "stream": "logs",
        "tenant": "brightwick",
        "label": "outage",
        "severity": "critical",
        "confidence": 0.5,
        "priority": 90,
        "fields": known,
        "summary": None,
        "template": "disk full on <*>",
        "session": None,
        "decided_by": "nano",
        "model": "gpt-5.4-nano",
        "policy_version": "0123456789ab",
        "escalated_to": None,
        "batch_size": 3,
        "tokens": Tokens(100.5, 50, 7.25),
        "cost_usd_micros": 1.5,
        "latency_ms": 812.25,
    }
    return Decision(**(values | changes))


async def test_decisions_become_rows_and_the_last_of_an_id_holds(around: Around) -> None:
    await asyncio.to_thread(around.connect.create, configurations.file("decisions-jdbc"))
    written = [decision(label="routine"), decision(), decision(id="logs/0/18", fields={}, template=None)]
    topic = Names().topic(DECISIONS)
    await around.bus.produce(topic, [Send(codec.encode(one), b"key") for one in written])
    await until(lambda: rows(around, "decisions", "count(*)") == [("2",)], "the rows")
    assert rows(
        around,
        "decisions WHERE id = 'logs/0/17'",
        "label, priority, fields_service, fields_amount_eur, fields_cause IS NULL, tokens_input, source_time, template",
    ) == [("outage", "90", "checkout", "12", "t", "100.5", "2023-11-14 22:13:20.123", "disk full on <*>")]
    assert rows(around, "decisions WHERE id = 'logs/0/18'", "fields_service IS NULL, template IS NULL") == [("t", "t")]


async def test_alerts_become_rows_that_stay_when_their_time_on_the_topic_is_over(around: Around) -> None:
    await asyncio.to_thread(around.connect.create, configurations.file("alerts-jdbc"))
    alert = Alert(
        id="0123456789abcdef-1700000000123",
        status="firing",
        revision=1,
        fingerprint="0123456789abcdef",
        labels={"alertname": "outage", "severity": "critical", "stream": "logs", "tenant": "brightwick"},
        annotations={"summary": "Disks are full", "description": "3 messages"},
        startsAt="2026-11-17T09:13:02.000Z",
        endsAt=None,
        generatorURL=None,
        count=3,
        evidence=("logs/0/17", "logs/0/18"),
    )
    ended = orjson.loads(codec.encode(alert)) | {"status": "resolved", "revision": 2, "endsAt": "2026-11-17T09:30:00Z"}
    written = [codec.encode(alert), orjson.dumps(ended), None]
    await around.bus.produce(Names().topic(ALERTS), [Send(value, alert.id.encode()) for value in written])
    await until(lambda: rows(around, "alerts", "revision") == [("2",)], "the row")
    assert rows(
        around,
        "alerts",
        "status, labels_severity, annotations_summary, ends_at::timestamptz - starts_at::timestamptz, evidence[2]",
    ) == [("resolved", "critical", "Disks are full", "00:16:58", "logs/0/18")]
    assert around.connect.failures() == {}


async def test_what_connect_refuses_is_told_in_its_words(around: Around, tmp_path: Path) -> None:
    wrong = changed(configurations.file("logs-file"), tmp_path, "wrong", {"connector.class": "org.example.Nothing"})
    with pytest.raises(LocalConnectError, match=r"Connect refused wrong.json: .*org.example.Nothing"):
        await asyncio.to_thread(around.connect.create, wrong)


def rows(around: Around, table: str, columns: str) -> list[tuple[str, ...]]:
    """What the table has; nothing where there is none yet."""
    name = table.split()[0]
    there = around.postgres.query(f"SELECT to_regclass('{name}')") == [(name,)]
    return around.postgres.query(f"SELECT {columns} FROM {table}") if there else []
