"""Bad providers: nothing is committed that was not decided, the log and the metrics say why, and in the end all is."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from local.kafka import HOST, free_port
from local.standin import Fault, StandIn
from local.standin.faults import FaultKind
from processors.gateway.gateway import Gateway
from streams import pipeline
from streams.brokers import Brokers
from tests.kafka import pipelines
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import committed, drained, until
from topics import limits
from topics.catalog import DECISIONS, SPEND, Stage

PAUSED = "sluice_intake_paused"
REJECTED = "sluice_records_rejected_total"
LINES = [b"disk failure on db%d" % number for number in range(20)]


async def lines(bus: Bus) -> str:
    """LINES on the topic of `logs`; gives the topic."""
    await pipelines.topics(bus)
    topic = bus.prefix + "logs"
    await bus.produce(topic, [Send(line, partition=0) for line in LINES])
    return topic


async def all_decided_once(bus: Bus, topic: str) -> None:
    """Waits for lag zero; then every line has one decision, the right one, and no dead letter."""
    await drained(bus, topic)
    decisions = await pipelines.decisions(bus)
    assert {one["source"]["offset"]: one["label"] for one in decisions.values()} == dict.fromkeys(
        range(len(LINES)), "alert"
    )
    assert await pipelines.dead_letters(bus) == {}


async def nothing_decided(bus: Bus, topic: str) -> None:
    """Not even in a transaction that is open or aborted."""
    assert await bus.values(bus.names.topic(DECISIONS), "read_uncommitted") == []
    assert await committed(bus, topic) == (-1, "")
    assert await pipelines.dead_letters(bus) == {}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call may take less than a minute: the one duration that is not the clock's, but the HTTP client's."""
    monkeypatch.setattr(pipeline, "Gateway", functools.partial(Gateway, call_seconds=0.4))


# --- the account ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (Fault(kind="wrong_key"), "key_refused", "it does not accept the key. Check the key in $OPENAI_API_KEY"),
        (Fault(kind="account_spent"), "account_spent", "The provider's account has no credit: add some"),
    ],
    ids=["a wrong key", "a spent account"],
)
async def test_intake_pauses_until_the_account_is_open_again(
    bus: Bus, caplog: pytest.LogCaptureFixture, fault: Fault, code: str, says: str
) -> None:
    caplog.set_level(logging.INFO)
    clock = pipelines.QuickClock()
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        provider.fault(fault)
        async with pipelines.running(bus, provider.base_url) as running:
            await paused(running, code)
            began_s, refused = clock.monotonic(), calls_struck(provider)
            await until(lambda: calls_struck(provider) >= refused + 3, "looks at the account")
            # Of the three, one may have been under way with the first batches.
            assert clock.monotonic() - began_s > limits.HOLD_SECONDS, "one look at a time, with HOLD_SECONDS between"
            await nothing_decided(bus, topic)
            _, ready = await running.probe("ready")
            assert ready["triage"]["held"] == code
            assert says in told(caplog, "intake is held, nothing is lost")
            assert pipelines.KEY not in caplog.text
            provider.clear_faults()
            await all_decided_once(bus, topic)
            assert await running.metric(PAUSED, stage="triage", reason=code) == 0
            assert told(caplog, "the account is open again")


def calls_struck(provider: StandIn) -> int:
    """Calls that met a fault."""
    return sum(provider.stats()["faults"].values())


async def paused(running: pipelines.Running, reason: str, stage: Stage = "triage") -> None:
    """Waits until the metric says so."""

    async def says_so() -> bool:
        return await running.metric(PAUSED, stage=stage, reason=reason) == 1

    await until(says_so, f"intake of {stage} held for {reason}")


def told(caplog: pytest.LogCaptureFixture, words: str) -> str:
    """The log's message with these words; there is one."""
    found = [message for record in caplog.records if words in (message := record.getMessage())]
    assert len(found) == 1, found
    return found[0]


async def test_a_worker_that_stops_while_the_key_is_refused_leaves_all_to_the_next(bus: Bus, tmp_path: Path) -> None:
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        async with pipelines.worker(bus, provider.base_url, tmp_path, key="sk-of-somebody-else") as worker:
            await paused(worker, "key_refused")
            for probe in ("live", "ready"):  # a new pod would be refused alike
                status, stages = await worker.probe(probe)
                assert (status, stages["triage"]["held"]) == (200, "key_refused")
        log = [orjson.loads(line) for line in worker.log.read_bytes().splitlines()]
        (error,) = [line for line in log if line["level"] == "ERROR"]
        assert "openai answered 401: it does not accept the key. Check the key in $OPENAI_API_KEY" in error["message"]
        assert b"sk-of-somebody-else" not in worker.log.read_bytes()
        await nothing_decided(bus, topic)
        async with pipelines.running(bus, provider.base_url):
            await all_decided_once(bus, topic)


async def test_agents_wait_for_the_account_as_well(bus: Bus) -> None:
    """Triage goes on: nano answers. What it escalates stays in its topic until mini does."""
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        provider.fault(Fault(kind="account_spent", model="gpt-5.4-mini"))
        async with pipelines.running(bus, provider.base_url, "triage", "mini") as running:
            await paused(running, "account_spent", "mini")
            await all_decided_once(bus, topic)
            assert await running.metric(PAUSED, stage="triage", reason="account_spent") == 0
            assert await pipelines.resolutions(bus) == {}
            provider.clear_faults()

            async def resolved() -> bool:
                return len(await pipelines.resolutions(bus)) == len(LINES)

            await until(resolved, "a resolution for each escalation")
    assert (await pipelines.resolutions(bus)).keys() == (await pipelines.decisions(bus)).keys()
    assert await pipelines.dead_letters(bus) == {}


# --- answers that are none -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset"),
        Fault(kind="timeout"),
        Fault(kind="slow", seconds=90),
        Fault(kind="garbage_body"),
    ],
    ids=["cuts the connection", "answers nothing", "answers too slowly", "sends garbage"],
)
@pytest.mark.usefixtures("impatient")
async def test_a_provider_that_does_not_answer_pauses_intake_until_it_does(
    bus: Bus, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    caplog.set_level(logging.INFO)
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        provider.fault(fault)
        async with pipelines.running(bus, provider.base_url) as running:
            await paused(running, "provider_unavailable")
            assert told(caplog, "no call to the provider has succeeded lately")
            await nothing_decided(bus, topic)
            provider.clear_faults()
            await all_decided_once(bus, topic)
            assert await running.metric(PAUSED, stage="triage", reason="provider_unavailable") == 0
            assert told(caplog, "the provider answers again")


async def test_a_provider_that_is_not_there_yet(bus: Bus) -> None:
    topic = await lines(bus)
    port = free_port()
    async with pipelines.running(bus, f"http://{HOST}:{port}/v1") as running:
        await paused(running, "provider_unavailable")
        await nothing_decided(bus, topic)
        async with pipelines.stand_in(port=port):
            await all_decided_once(bus, topic)
    spent = await pipelines.read(bus, SPEND)
    assert {one["status"] for one in spent} == {200}, "what reached nobody cost nothing"


@pytest.mark.usefixtures("impatient")
async def test_calls_without_an_answer_are_written_down_as_spent(bus: Bus) -> None:
    """The provider may have done and billed the work: the worst case counts."""
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        provider.fault(Fault(kind="timeout", count=2))
        async with pipelines.running(bus, provider.base_url):
            await all_decided_once(bus, topic)
    spent = await pipelines.read(bus, SPEND)
    unanswered = [one for one in spent if one["status"] == 0]
    assert len(unanswered) >= 2
    assert min(one["usd_micros"] for one in unanswered) > max(
        one["usd_micros"] for one in spent if one["status"] == 200 and one["messages"] == 16
    )


WRONG_ANSWERS: Sequence[FaultKind] = (  # in this order, a call each: two batches, each again, then messages alone
    "server_error",
    "garbage_body",
    "garbage_text",
    "missing_item",
    "invalid_item",
    "refusal",
    "duplicate_item",
    "extra_item",
)


async def test_wrong_answers_now_and_then_cost_no_record(bus: Bus) -> None:
    """The whole of a batch, or the one message, is asked again alone."""
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        for kind in WRONG_ANSWERS:
            provider.fault(Fault(kind=kind, count=1))
        async with pipelines.running(bus, provider.base_url):
            await all_decided_once(bus, topic)
        assert provider.stats()["faults"] == dict.fromkeys(WRONG_ANSWERS, 1)


@pytest.mark.parametrize(
    ("kind", "reason", "says"),
    [
        ("garbage_text", "model_invalid", "AnswerInvalid: stream logs: the answer is no object with a list `answers`"),
        ("refusal", "model_refused", "AnswerRefused: gpt-5.4-nano declined to answer"),
    ],
)
async def test_what_gets_no_answer_ever_is_a_dead_letter(bus: Bus, kind: FaultKind, reason: str, says: str) -> None:
    """A model that always answers garbage must not hold a topic for ever, nor be asked for ever. Rules go on."""
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        provider.fault(Fault(kind=kind))
        async with pipelines.running(bus, provider.base_url) as running:
            before = await running.metric(REJECTED, stage="triage", reason=reason)
            await drained(bus, topic)
            assert await running.metric(REJECTED, stage="triage", reason=reason) == before + len(LINES)
            asked = provider.stats()["faults"][kind]
    letters = await pipelines.dead_letters(bus)
    assert [letters[f"{topic}/0/{offset}"].value for offset in range(len(LINES))] == LINES
    assert await pipelines.decisions(bus) == {}
    for letter in letters.values():
        assert letter.told("reason") == reason
        assert letter.told("error").startswith(says)
        assert letter.told("attempts") == str(limits.ATTEMPTS_MAX)
    assert asked <= 2 * limits.ATTEMPTS_MAX * len(LINES)


async def test_agents_that_get_only_garbage_say_so(bus: Bus) -> None:
    topic = await lines(bus)
    async with pipelines.stand_in() as provider:
        provider.fault(Fault(kind="garbage_text", model="gpt-5.4-mini"))
        async with pipelines.running(bus, provider.base_url, "triage", "mini"):
            await all_decided_once(bus, topic)

            async def resolved() -> bool:
                return len(await pipelines.resolutions(bus)) == len(LINES)

            await until(resolved, "a resolution for each escalation")
    for resolution in (await pipelines.resolutions(bus)).values():
        assert (resolution["status"], resolution["bound"], resolution["label"]) == (
            "bounded",
            "invalid_answer",
            "alert",
        )
        assert "the verdict of nano stands" in resolution["summary"]


# --- nobody there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("run",), ("ingest", "lines.log", "--stream", "logs"), ("topics", "apply"), ("tail", "decisions")],
    ids=["run", "ingest", "topics", "tail"],
)
async def test_an_unreachable_broker_is_named(tmp_path: Path, command: Sequence[str]) -> None:
    nowhere = Bus(Brokers(f"{HOST}:{free_port()}"), "t.")
    said = await run_in(nowhere, tmp_path, *command, **pipelines.outside(nowhere, f"http://{HOST}:1/v1"))
    assert said.is_refusal(), said
    assert f"no Kafka broker answers at {nowhere.bootstrap_servers}" in said.error
    assert "KAFKA_BOOTSTRAP_SERVERS" in said.error


async def test_without_a_broker_or_a_key_nothing_is_stood_in_for(bus: Bus, tmp_path: Path) -> None:
    env: dict[str, str] = {}
    for says, name, value in (
        ("the environment variable KAFKA_BOOTSTRAP_SERVERS is not set. Set it", "", ""),
        ("is missing: `sluice topics apply` creates it", "KAFKA_BOOTSTRAP_SERVERS", bus.bootstrap_servers),
        ("needs a key and the environment variable OPENAI_API_KEY is not set. Set it", "", ""),
        ('providers.openai.base_url = "localhost:8000" is no base URL', "OPENAI_BASE_URL", "localhost:8000"),
    ):
        if name:
            env[name] = value
        said = await run_in(bus, tmp_path, "run", **env)
        assert said.is_refusal(), said
        assert says in said.error
        if "topics apply" in says:
            await pipelines.topics(bus)


async def run_in(bus: Bus, folder: Path, *command: str, **env: str) -> pipelines.Said:
    """A command with a policy and a file of lines in its folder."""
    (folder / "sluice.toml").write_text(pipelines.policy_text(bus))
    (folder / "lines.log").write_bytes(b"\n".join(LINES))
    return await pipelines.sluice(*command, folder=folder, env=env)
