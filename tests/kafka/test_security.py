"""A broker with TLS, SASL and ACLs, and `sluice` by environment alone: real processes, real certificates."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from local.kafka import HOST
from local.samples.generate import MESSAGES_MIN
from processors.policy import Kafka
from streams import kafka_security, topics_admin
from tests.certificates import Authority
from tests.kafka import engines, pipelines
from tests.kafka.bus import Bus
from tests.kafka.pipelines import KEY, SLUICE
from tests.kafka.secured import (
    ALL,
    FEEDER,
    GROUP,
    LITERAL,
    PASSWORDS,
    PREFIXED,
    READ,
    TOPIC,
    TRANSACTIONAL_ID,
    WRITE,
    Secured,
    secured,
    token,
)
from tests.kafka.secured import SLUICE as USER
from topics.catalog import DECISIONS

DEMO_SECONDS_MAX = 110.0
_POLICY = """
[streams.logs]
kind = "log"
topics = ["syslog"]
[streams.logs.labels.alert]
means = "A disk failure that an operator must see now"
escalate = "mini"
[streams.logs.labels.routine]
means = "Anything else: normal operation"
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Its user has what docs/security.md asks for: all under one prefix, and Read on the inputs."""
    with secured(tmp_path_factory.mktemp("secured")) as broker:
        asyncio.run(_rights(broker))
        yield broker


async def _rights(broker: Secured) -> None:
    for resource in (TOPIC, GROUP, TRANSACTIONAL_ID):
        for prefix in ("sluice.", "sluice-demo-"):
            await broker.allow(USER, resource, prefix, PREFIXED, ALL)
    await broker.allow(USER, TOPIC, "syslog", LITERAL, READ)
    await broker.allow(FEEDER, TOPIC, "syslog", LITERAL, WRITE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's, with a policy that says nothing of Kafka, and a file of lines."""
    (tmp_path / "sluice.toml").write_text(_POLICY)
    (tmp_path / "app.log").write_text("disk failure on node 7: an operator must see it now\nall is well\n")
    return tmp_path


async def test_a_user_with_scram_over_tls_does_everything_by_environment(broker: Secured, folder: Path) -> None:
    env, bus = broker.env(USER), Bus(broker.brokers, "sluice.")
    await Bus(broker.brokers, "").topic("syslog")
    applied = await pipelines.sluice("topics", "apply", folder=folder, env=env)
    assert applied.code == 0, applied
    checked = await pipelines.sluice("topics", "check", folder=folder, env=env)
    assert checked.out == "all topics are as they should be\n", checked
    fed = await pipelines.sluice("ingest", "app.log", "--stream", "logs", folder=folder, env=broker.env(FEEDER))
    assert fed.out == "2 records to syslog\n", fed
    async with pipelines.stand_in() as provider:
        env |= {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": KEY, "SLUICE_HTTP_PORT": "0"}
        process = await asyncio.create_subprocess_exec(SLUICE, "run", "triage", cwd=folder, env=os.environ | env)
        try:
            await engines.count(bus, bus.names.topic(DECISIONS), at_least=2)
            await engines.drained(bus, "syslog")
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), engines.SECONDS_MAX) == 0
    tail = ("tail", "decisions", "--from-beginning", "--max", "2", "--json")
    seen = await pipelines.sluice(*tail, folder=folder, env=env)
    assert {orjson.loads(line)["label"] for line in seen.out.splitlines()} == {"alert", "routine"}


async def test_who_may_not_write_or_read_is_told_what_to_allow(broker: Secured, folder: Path) -> None:
    await Bus(broker.brokers, "").topic("only-read")
    await broker.allow(USER, TOPIC, "only-read", LITERAL, READ)
    for input_, command, told in (
        ("only-read", ("ingest", "app.log", "--stream", "logs"), "topic 'only-read': allow Write on it to this user"),
        ("hidden", ("ingest", "app.log", "--stream", "logs"), "topic 'hidden': allow Write on it to this user"),
        ("hidden", ("topics", "apply", "--inputs"), "topic hidden cannot be created: Authorization failed."),
    ):
        (folder / "sluice.toml").write_text(_POLICY.replace("syslog", input_))
        said = await pipelines.sluice(*command, folder=folder, env=broker.env(USER))
        assert said.is_refusal(), said.err
        assert told in said.error


async def test_every_way_in_is_that_of_the_same_user(broker: Secured, tmp_path: Path) -> None:
    await Bus(broker.brokers, "sluice.").topic("seen")
    (tmp_path / "token").write_text(token(USER, seconds=600) + "\n")
    by_token = {"KAFKA_SASL_TOKEN_FILE": str(tmp_path / "token"), "KAFKA_SASL_USERNAME": "", "KAFKA_SASL_PASSWORD": ""}
    by_certificate = dict.fromkeys([name for name in broker.env(USER) if "SASL" in name], "") | {
        "KAFKA_BOOTSTRAP_SERVERS": broker.mutual,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CERTFILE": str(broker.certificate),
    }
    for way in {"KAFKA_SASL_MECHANISM": "PLAIN"}, {"KAFKA_SASL_MECHANISM": "OAUTHBEARER"} | by_token, by_certificate:
        async with topics_admin.connected(kafka_security.brokers(Kafka(), broker.env(USER) | way)) as admin:
            assert "sluice.seen" in await topics_admin.existing(admin, ["sluice.seen"]), way


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"KAFKA_SASL_PASSWORD": "a guess"},
            "refuses user 'sluice' with SCRAM-SHA-512: check name and password (KAFKA_SASL_USERNAME and"
            " KAFKA_SASL_PASSWORD",
        ),
        ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, "and that the user exists for this mechanism"),
        ({"KAFKA_SSL_CAFILE": "other.pem"}, "not trusted (unable to get local issuer certificate): name the CA"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "localhost:PORT"}, "reach it by a name that its certificate has"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CAFILE": ""},
            "set KAFKA_SECURITY_PROTOCOL or kafka.security.protocol (it is SASL_PLAINTEXT) to what its listener has",
        ),
    ],
    ids=["password", "mechanism", "authority", "name", "protocol"],
)
async def test_who_is_not_let_in_is_told_why(broker: Secured, folder: Path, wrong: dict[str, str], told: str) -> None:
    Authority(folder / "other.pem")
    localhost = broker.bootstrap_servers.replace(HOST, "localhost")
    env = broker.env(USER) | {name: value.replace("localhost:PORT", localhost) for name, value in wrong.items()}
    said = await pipelines.sluice("tail", "decisions", folder=folder, env=env)
    assert said.is_refusal(), said.err
    assert told in said.error
    assert env["KAFKA_SASL_PASSWORD"] not in said.out + said.err


@pytest.mark.parametrize(
    "command",
    [("run",), ("ingest", "app.log", "--stream", "logs"), ("topics", "apply"), ("replay",)],
    ids=["run", "ingest", "topics", "replay"],
)
async def test_every_command_ends_at_once_where_the_password_is_wrong(
    broker: Secured, folder: Path, command: tuple[str, ...]
) -> None:
    env = broker.env(USER, KAFKA_SASL_PASSWORD="a guess", OPENAI_API_KEY=KEY, SLUICE_LOG_LEVEL="DEBUG")
    said = await pipelines.sluice(*command, folder=folder, env=env)
    assert said.is_refusal(), said.err
    assert "refuses user 'sluice'" in said.error
    assert "a guess" not in said.out + said.err


async def test_a_certificate_that_is_wanted_is_named(broker: Secured) -> None:
    env = broker.env(USER, KAFKA_BOOTSTRAP_SERVERS=broker.mutual)
    with pytest.raises(
        topics_admin.BrokerUnreachable, match="it may want a certificate of ours, in KAFKA_SSL_CERTFILE"
    ):
        await topics_admin.reach(kafka_security.brokers(Kafka(), env))


async def test_a_token_that_has_expired_is_named(broker: Secured, folder: Path) -> None:
    (folder / "token").write_text(token(USER, seconds=-600))
    env = broker.env(USER, KAFKA_SASL_MECHANISM="OAUTHBEARER", KAFKA_SASL_TOKEN_FILE="token")
    env |= {"KAFKA_SASL_USERNAME": "", "KAFKA_SASL_PASSWORD": ""}
    said = await pipelines.sluice("tail", "decisions", folder=folder, env=env)
    assert said.is_refusal(), said.err
    assert "refuses the token: look whether the one in KAFKA_SASL_TOKEN_FILE" in said.error


async def test_tls_where_there_is_none_is_told(bus: Bus, broker: Secured, folder: Path) -> None:
    env = broker.env(USER, KAFKA_BOOTSTRAP_SERVERS=bus.bootstrap_servers)
    said = await pipelines.sluice("tail", "decisions", folder=folder, env=env)
    assert said.is_refusal(), said.err
    assert "does not speak TLS on this port: set KAFKA_SECURITY_PROTOCOL" in said.error


@pytest.mark.slow
async def test_the_whole_demo_runs_by_environment_alone(broker: Secured, tmp_path: Path) -> None:
    async with pipelines.stand_in() as provider:
        env = broker.env(USER, OPENAI_BASE_URL=provider.base_url, OPENAI_API_KEY=KEY)
        process = await asyncio.create_subprocess_exec(
            *(SLUICE, "demo", "--external", "--messages", str(MESSAGES_MIN)),
            cwd=tmp_path,
            env=os.environ | env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), DEMO_SECONDS_MAX)
    assert process.returncode == 0, out.decode()
    report = orjson.loads((tmp_path / "demo-report.json").read_bytes())
    assert report["provider"] == "your own (--external)"
    assert report["decisions"]["total"] + report["dead_letters"]["total"] == report["inputs"] >= MESSAGES_MIN
    assert report["escalations"].keys() == {"mini", "flagship"}
    assert sum(report["resolutions"].values()) > 0
    assert report["alerts"]["total"] > 0
    assert (report["undecided"], report["doubled"]) == (0, 0)
    for password in PASSWORDS.values():
        assert password not in out.decode()
