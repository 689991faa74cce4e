"""The `sluice` command as a user meets it: real processes, a real broker, a stand-in provider."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from aiokafka import ConsumerRecord
from jsonschema import Draft202012Validator

from local.kafka import HOST
from tests.kafka import engines, pipelines
from tests.kafka.bus import Bus
from tests.kafka.pipelines import KEY, SLUICE, Said
from topics.catalog import DECISIONS, OWNED

SECONDS_MAX = 30.0

_TESTS = """
[[streams.logs.rules]]
name = "heartbeat"
when = { text = "heartbeat" }
then = { label = "routine" }

[[tests]]
stream = "logs"
text = "heartbeat of node 7"
expect = { label = "routine" }

[[tests]]
stream = "logs"
text = "disk failure on node 7: an operator must see it now"
expect = { label = "alert", escalate = "mini" }
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A folder with a `sluice.toml`, as a user has it, and the broker that it is for."""

    bus: Bus
    folder: Path

    async def sluice(self, *arguments: str, env: Mapping[str, str] | None = None) -> Said:
        """Runs the command with the broker in its environment; `env` goes on top, and what is empty is unset."""
        environment = {"KAFKA_BOOTSTRAP_SERVERS": self.bus.bootstrap_servers} | dict(env or {})
        return await pipelines.sluice(*arguments, folder=self.folder, env=environment)

    async def ready(self) -> None:
        """All topics are there."""
        said = await self.sluice("topics", "apply", "--inputs")
        assert said.code == 0, said

    async def records(self, name: str) -> list[ConsumerRecord]:
        """What lies on an input topic."""
        return await self.bus.read(self.bus.prefix + name)

    def file(self, name: str, *lines: object) -> str:
        """A file of the user's, a line each: text, or an object as JSON."""
        texts = [line if isinstance(line, str) else orjson.dumps(line).decode() for line in lines]
        (self.folder / name).write_text("\n".join(texts) + "\n")
        return name


@pytest.fixture
def shop(bus: Bus, tmp_path: Path) -> Shop:
    (tmp_path / "sluice.toml").write_text(pipelines.policy_text(bus) + _TESTS)
    return Shop(bus, tmp_path)


async def test_topics_are_missed_created_and_then_as_they_should_be(shop: Shop) -> None:
    before = await shop.sluice("topics", "check")
    assert before.code == 1
    assert f"{shop.bus.prefix}decisions is missing: `sluice topics apply` creates it" in before.out
    assert f"input {shop.bus.prefix}mail is missing" in before.out
    applied = await shop.sluice("topics", "apply", "--inputs")
    assert applied.code == 0
    assert applied.out.count("created ") == len(OWNED) + 3
    after = await shop.sluice("topics", "check")
    assert (after.code, after.out) == (0, "all topics are as they should be\n")
    again = await shop.sluice("topics", "apply", "--inputs")
    assert "created" not in again.out


async def test_ingest_sends_json_lines_without_their_gold(shop: Shop) -> None:
    await shop.ready()
    turn = {"payload": {"conversation_id": "c1", "speaker": "customer", "text": "hello"}}
    name = shop.file(
        "chat.jsonl",
        turn | {"label": "service", "labels": {"is": "gold"}, "time": "2026-11-17T10:00:00Z"},
        turn | {"id": "2"},
    )
    said = await shop.sluice("ingest", name, "--stream", "chat")
    assert (said.code, said.out) == (0, f"2 records to {shop.bus.prefix}chat\n")
    first, second = await shop.records("chat")
    assert (first.key, first.timestamp) == (b"c1", 1_794_909_600_000)
    assert orjson.loads(first.value) == turn | {"time": "2026-11-17T10:00:00Z"}
    assert orjson.loads(second.value) == turn | {"id": "2"}


async def test_ingest_sends_lines_and_mails(shop: Shop) -> None:
    await shop.ready()
    lines = shop.file("app.log", "one", "two")
    mails = shop.file(
        "in.mbox",
        "From a@x.example Tue Nov 17 10:00:00 2026",
        "Subject: one\n\nbody\n>From here on\n",
        "From b@x.example Tue Nov 17 10:00:01 2026",
        "Subject: two\n\nbody",
    )
    assert (await shop.sluice("ingest", lines, "--stream", "logs")).code == 0
    assert (await shop.sluice("ingest", mails, "--stream", "mail")).code == 0
    assert sorted(record.value for record in await shop.records("logs")) == [b"one", b"two"]
    one, two = sorted(record.value for record in await shop.records("mail"))
    assert one.startswith(b"Subject: one\n\nbody\nFrom here on\n")
    assert two.startswith(b"Subject: two\n")


async def test_run_decides_everything_and_ends_when_told(shop: Shop) -> None:
    await shop.ready()
    name = shop.file("app.log", *(f"queue of worker {number} is long" for number in range(20)), "heartbeat")
    assert (await shop.sluice("ingest", name, "--stream", "logs")).code == 0
    async with running(shop) as process:
        await engines.drained(shop.bus, shop.bus.prefix + "logs")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), SECONDS_MAX) == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)  # it led a group of its own: nobody of it is left
    short = await shop.sluice("tail", "decisions", "--from-beginning", "--max", "21")
    assert short.out.count("label=") == 21
    assert "stream=logs" in short.out
    assert "decided_by=rule" in short.out
    whole = await shop.sluice("tail", "decisions", "--from-beginning", "--max", "3", "--json")
    assert [orjson.loads(line)["stream"] for line in whole.out.splitlines()] == ["logs"] * 3
    ids = {decision["id"] for decision in await pipelines.read(shop.bus, DECISIONS)}
    assert len(ids) == 21


async def test_run_of_one_stage_leaves_the_others_alone(shop: Shop) -> None:
    await shop.ready()
    name = shop.file("app.log", "disk failure: an operator must see it now")
    assert (await shop.sluice("ingest", name, "--stream", "logs")).code == 0
    async with running(shop, "triage"):
        await engines.count(shop.bus, shop.bus.names.topic(DECISIONS), 1)
    escalated = await shop.sluice("tail", "escalations.mini", "--from-beginning", "--max", "1", "--json")
    assert orjson.loads(escalated.out)["to"] == "mini"
    assert await pipelines.resolutions(shop.bus) == {}


@contextlib.asynccontextmanager
async def running(shop: Shop, *stages: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`sluice run` in a group of its own; told to end where the test has not done it."""
    async with pipelines.stand_in() as provider:
        env = os.environ | pipelines.outside(shop.bus, provider.base_url)
        process = await asyncio.create_subprocess_exec(
            *(SLUICE, "run", *stages),
            cwd=shop.folder,
            env=env | {"SLUICE_HTTP_PORT": "0", "SLUICE_LOG_LEVEL": "WARNING"},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.wait(), SECONDS_MAX)


async def test_run_refuses_to_begin_without_a_broker(shop: Shop) -> None:
    said = await shop.sluice("run", env={"KAFKA_BOOTSTRAP_SERVERS": ""})
    assert said.is_refusal(), said
    assert "the environment variable KAFKA_BOOTSTRAP_SERVERS is not set" in said.error


async def test_run_refuses_a_broker_that_does_not_answer(shop: Shop) -> None:
    with socket.socket() as unheard:  # bound, and nobody listens
        unheard.bind((HOST, 0))
        address = f"{HOST}:{unheard.getsockname()[1]}"
        said = await shop.sluice("run", env={"KAFKA_BOOTSTRAP_SERVERS": address})
    assert said.is_refusal(), said
    assert f"no Kafka broker answers at {address}" in said.error
    assert said.err == said.error, "nothing but the error"


async def test_run_refuses_to_begin_without_a_key(shop: Shop) -> None:
    await shop.ready()
    said = await shop.sluice("run")
    assert said.is_refusal(), said
    assert "api.openai.com needs a key and the environment variable OPENAI_API_KEY is not set" in said.error


async def test_run_refuses_to_begin_without_its_topics(shop: Shop) -> None:
    said = await shop.sluice("run", env={"OPENAI_API_KEY": KEY})
    assert said.is_refusal(), said
    assert f"{shop.bus.prefix}decisions is missing: `sluice topics apply` creates it" in said.error


async def test_run_refuses_a_port_that_is_taken(shop: Shop) -> None:
    await shop.ready()
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        said = await shop.sluice("run", env={"OPENAI_API_KEY": KEY, "SLUICE_HTTP_PORT": port})
    assert said.is_refusal(), said
    assert f"SLUICE_HTTP_PORT = {port}: cannot listen" in said.error


@pytest.mark.parametrize("command", ["ingest", "try"])
async def test_a_stream_that_the_policy_does_not_have(shop: Shop, command: str) -> None:
    said = await shop.sluice(command, shop.file("app.log", "x"), "--stream", "logz")
    assert said.is_refusal(), said
    assert "--stream 'logz': use one of logs, mail, chat." in said.error


async def test_a_topic_that_is_not_there(shop: Shop) -> None:
    said = await shop.sluice("tail", "decisions", "--max", "1")
    assert said.is_refusal(), said
    assert f"topic {shop.bus.prefix}decisions is missing on the broker" in said.error


async def test_tail_needs_no_policy_of_its_own(shop: Shop) -> None:
    (shop.folder / "sluice.toml").unlink()
    await shop.bus.topic("plain")
    await shop.bus.produce(shop.bus.prefix + "plain", [b"as it is"])
    said = await shop.sluice("tail", shop.bus.prefix + "plain", "--from-beginning", "--max", "1")
    assert (said.code, said.out) == (0, f"{shop.bus.prefix}plain/0/0 as it is\n")


async def test_the_policy_tests_itself(shop: Shop) -> None:
    async with pipelines.stand_in() as provider:
        env = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY}
        good = await shop.sluice("test", env=env)
        assert (good.code, good.out.splitlines()[-1]) == (0, "2 passed, 0 failed")
        policy = shop.folder / "sluice.toml"
        policy.write_text(policy.read_text().replace('escalate = "mini" }', 'escalate = "flagship" }'))
        bad = await shop.sluice("test", env=env)
        assert (bad.code, bad.out.splitlines()[-1]) == (1, "1 passed, 1 failed")
        assert "flagship" in bad.out
        told = orjson.loads((await shop.sluice("test", "--json", env=env)).out)
    assert told["failed"] == 1
    assert [one["passed"] for one in told["tests"]] == [True, False]


async def test_config_and_schemas_are_told(shop: Shop) -> None:
    checked = await shop.sluice("config", "check")
    assert checked.out.startswith("sluice.toml: good\n")
    assert "alert → mini" in checked.out
    schema = orjson.loads((await shop.sluice("config", "schema")).out)
    Draft202012Validator.check_schema(schema)
    assert "streams" in schema["required"]
    document = orjson.loads((await shop.sluice("schemas")).out)
    assert document["asyncapi"] == "3.0.0"
    escalation = orjson.loads((await shop.sluice("schemas", "escalations.mini")).out)
    Draft202012Validator.check_schema(escalation)
    assert "verdicts" in escalation["properties"]
    unknown = await shop.sluice("schemas", "escalations.nano")
    assert unknown.is_refusal(), unknown


async def test_try_decides_a_file_with_simulated_models(shop: Shop) -> None:
    """Wherever the policy points: answers are simulated unless --external says otherwise."""
    policy = shop.folder / "sluice.toml"
    policy.write_text(
        policy.read_text()
        + '[providers.openai]\nbase_url = "https://models.example/v1"\n'
        + '[tiers.nano]\nmodel = "house-8b"\n'
        + "usd_per_million = { input = 1, cached = 1, output = 1, as_of = 2026-11-01 }\n"
    )
    name = shop.file("app.log", "heartbeat of node 7", "queue of worker 3 is long")
    said = await shop.sluice("try", name, "--stream", "logs", "--json")
    assert said.code == 0, said
    first, second = map(orjson.loads, said.out.splitlines())
    assert (first["label"], first["decided_by"], second["decided_by"]) == ("routine", "rule", "nano")
    assert second["model"] == "gpt-5.4-nano"


async def test_try_with_a_policy_that_is_not_there_decides_nothing(shop: Shop) -> None:
    said = await shop.sluice("--config", "team.toml", "try", shop.file("app.log", "x"))
    assert said.is_refusal(), said
    assert "team.toml: there is no such file" in said.error
