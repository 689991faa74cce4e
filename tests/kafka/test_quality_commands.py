"""`sluice quality`, `sluice policy …` and `sluice feedback` against a real broker."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from processors.candidates import with_model
from processors.errors import ConfigurationError
from processors.policy import Policy
from processors.quality.state import StreamQuality
from processors.rule_versions import batch_version
from streams import quality_records, settings, student_records
from streams.cli.main import cli
from streams.quality_records import Certificate, Order
from streams.student_records import Kept, Listing
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import until
from tests.kafka.trainers import HOUR_MS, QUALITY_WANTED, audit, certificate, policy, tell, training
from topics import codec
from topics.catalog import FEEDBACK, QUALITY, STUDENTS
from topics.messages import Audit, Feedback

Command = Callable[..., Any]
COIN = "ab" * 32


@pytest.fixture
async def rules(bus: Bus) -> Policy:
    await bus.owned()
    return policy(bus)


@pytest.fixture
def sluice(bus: Bus, rules: Policy, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command with the policy, in a thread: it has an event loop of its own."""
    monkeypatch.setattr(settings, "load", lambda _: rules)
    env = {"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers, "COLUMNS": "200"}
    return lambda *words: asyncio.to_thread(CliRunner().invoke, cli, words, env=env)


def refused(result: Result) -> str:
    assert isinstance(result.exception, ConfigurationError), result.output
    return str(result.exception)


def certified(rules: Policy, *versions: str) -> StreamQuality:
    """`versions`, certified by audits of the last thirty hours."""
    now_ms = round(time.time() * 1000)
    judged = StreamQuality("logs", QUALITY_WANTED, rules.streams["logs"].version)
    for number in range(3_000):
        one = audit(number, rules, at_ms=now_ms - 30 * HOUR_MS + number * 30 * HOUR_MS // 3_000)
        judged.fold(replace(one, shadows=tuple(replace(one.shadows[0], version=version) for version in versions)))
    return judged


async def publish(bus: Bus, judged: StreamQuality, *students: str) -> Certificate:
    now_ms = round(time.time() * 1000)
    said = Certificate(
        stream="logs",
        policy_version=judged.policy_version,
        claim=judged.claim,
        standing=judged.standing(now_ms),
        report=asdict(judged.report(now_ms)),
        state=judged.dump(),
        offset=3_000,
        at_ms=now_ms,
        cost_usd_micros=2_500_000.0,
        coin=COIN,
    )
    key, value = quality_records.certificate_record(said)
    await bus.produce(bus.names.topic(QUALITY), [Send(value, key)])
    kept = tuple(
        Kept(
            version=version,
            policy_version=judged.policy_version,
            parts=1,
            bytes=1,
            sha256="",
            labels=200,
            audits=0,
            lessons=0,
            feedback=0,
            at_ms=now_ms,
        )
        for version in students
    )
    key, value = student_records.listing_record(Listing(stream="logs", students=kept))
    await bus.produce(bus.names.topic(STUDENTS), [Send(value, key)])
    return said


async def ordered(bus: Bus) -> Order:
    newest = quality_records.Newest()
    for record in await bus.read(bus.names.topic(QUALITY)):
        newest.take(record)
    return newest.orders["logs"]


# --- quality ------------------------------------------------------------------------------------------


async def test_quality_before_anything_was_audited_says_what_is_missing(
    bus: Bus, rules: Policy, sluice: Command
) -> None:
    assert "no trainer has said anything: start it with `sluice run trainer`" in refused(await sluice("quality"))
    async with training(bus, rules):
        await until(lambda: certificate(bus))
        await until(lambda: certificate(bus, "kernel"))
    assert "nothing was audited yet in logs, kernel: audits come" in refused(await sluice("quality"))


async def test_quality_of_what_promises_none_is_refused(
    bus: Bus, rules: Policy, sluice: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "stream 'mail' promises a quality" in refused(await sluice("quality", "-s", "mail")).replace("\n", " ")
    assert "stream 'none': " in refused(await sluice("quality", "-s", "none"))
    monkeypatch.setattr(settings, "load", lambda _: policy(bus, None))
    assert "no stream promises a quality: add [streams.NAME.quality]" in refused(await sluice("quality"))


async def test_quality_shows_what_the_audits_say(bus: Bus, rules: Policy, sluice: Command) -> None:
    judged = certified(rules, "m")
    now_ms = round(time.time() * 1000)
    for number in range(50):
        one = audit(number, rules, at_ms=now_ms - 60_000, agrees=number > 0)
        below = replace(one, below=True, rule="free", version="m", decided_by="memory", label=one.shadows[0].label)
        judged.fold(replace(below, probability=judged.standing(now_ms).audit_probability))
    said = await publish(bus, judged)
    assert said.standing.free_version == "m"
    shown = (await sluice("quality", "-s", "logs")).output
    for words in ("less than 10.00% other than flagship would say, at 90% confidence", "audits cost $2.5000 so far"):
        assert words in shown
    assert "by memory" in shown
    assert "2.00%" in shown, "one of fifty"
    assert "answers at 100%" in shown
    plain = orjson.loads((await sluice("quality", "--json")).output)
    assert [each["stream"] for each in plain] == ["logs", "kernel"]
    assert plain[0]["report"]["start"]["share"]["audits"] == 50
    assert plain[0]["report"]["versions"][0]["certified"] is True
    assert plain[1]["report"] is None


# --- policy ---------------------------------------------------------------------------------------------


async def test_versions_are_listed_pinned_and_released(bus: Bus, rules: Policy, sluice: Command) -> None:
    await publish(bus, certified(rules, "m.s1", "m.s2"), "s1", "s2", "s3")
    shown = (await sluice("policy", "list", "-s", "logs")).output
    assert all(version in shown for version in ("m.s1", "m.s2", "….s3")), shown
    assert "answers at 100%" in shown
    told = refused(await sluice("policy", "pin", "logs", "m.s9"))
    assert "'m.s9' is no version of stream 'logs' that is known: it has m.s2, m.s1." in told
    assert (await sluice("policy", "pin", "logs", "m.s1")).exit_code == 0
    assert (await ordered(bus)).pin == "m.s1"
    assert "pinned to m.s1" in (await sluice("policy", "list")).output
    assert (await sluice("policy", "off", "logs")).exit_code == 0
    assert (await ordered(bus)).pin == "m.s1", "one order does not undo another"
    assert (await sluice("policy", "release", "logs")).exit_code == 0
    newest = await ordered(bus)
    assert (newest.pin, newest.off) == (None, True)
    assert "switched off" in (await sluice("policy", "list")).output
    await sluice("policy", "on", "logs")
    assert not (await ordered(bus)).off
    plain = orjson.loads((await sluice("policy", "list", "--json", "-s", "logs")).output)
    assert [each["version"] for each in plain[0]["versions"]] == ["m.s2", "m.s1"]
    assert [each["version"] for each in plain[0]["students"]] == ["s1", "s2", "s3"]


async def test_rollback_goes_to_the_certified_version_before(bus: Bus, rules: Policy, sluice: Command) -> None:
    assert "no version answers" in refused(await sluice("policy", "rollback", "logs"))
    await publish(bus, certified(rules, "m.s1", "m.s2"), "s1", "s2")
    assert (await sluice("policy", "rollback", "logs")).output.startswith("logs: m.s1 answers in place of m.s2")
    assert (await ordered(bus)).pin == "m.s1"


async def test_rollback_to_a_student_that_is_gone_is_refused(bus: Bus, rules: Policy, sluice: Command) -> None:
    await publish(bus, certified(rules, "m.s1", "m.s2"), "s2", "s3")
    assert "no version before m.s2 is certified" in refused(await sluice("policy", "rollback", "logs"))


async def test_an_order_reaches_the_trainer(bus: Bus, rules: Policy, sluice: Command) -> None:
    await publish(bus, certified(rules, "m.s1", "m.s2"), "s1", "s2")
    await tell(bus, [audit(n, rules, stream="kernel") for n in range(3_000)])  # what the certificate has heard
    async with training(bus, rules):

        async def answers(version: str | None) -> bool:
            newest = await certificate(bus)
            return newest is not None and newest.standing.free_version == version

        await until(lambda: answers("m.s2"))
        assert "m.s1 answers" in (await sluice("policy", "rollback", "logs")).output
        await until(lambda: answers("m.s1"))
        await sluice("policy", "off", "logs")
        await until(lambda: answers(None))
        await sluice("policy", "on", "logs")
        await sluice("policy", "release", "logs")
        await until(lambda: answers("m.s2"))


@pytest.mark.slow
async def test_a_model_is_tried_answers_once_it_is_certified_and_is_rolled_back(
    bus: Bus, rules: Policy, sluice: Command
) -> None:
    """From the command to the standing that workers obey, by a trainer."""

    def version(model: str) -> str:
        stream = rules.streams["logs"]
        return batch_version(with_model(rules, model), "logs", stream, QUALITY_WANTED)

    def asked(number: int, share: float, shadowed: str, published: str | None) -> Audit:
        one = audit(number, rules, at_ms=now_ms - round((1 - share) * 30 * HOUR_MS))
        said = replace(one.shadows[0], rule="batch", version=shadowed, size=8)
        if published is None:
            return replace(one, shadows=(said,))
        least = judged.standing(now_ms).audit_probability
        below = replace(one, below=True, rule="batch", version=published, decided_by="nano", probability=least)
        return replace(below, shadows=(said,))

    old, new, now_ms = rules.tiers.nano.model, "gpt-6-luna", round(time.time() * 1000)
    judged = StreamQuality("logs", QUALITY_WANTED, rules.streams["logs"].version)
    for number in range(2_000):
        judged.fold(asked(number, number / 2_000, version(old), None))
    await publish(bus, judged)
    assert "answers at 100%" in (await sluice("policy", "list", "-s", "logs")).output
    assert (await sluice("policy", "try", new, "-s", "logs")).exit_code == 0
    assert (await ordered(bus)).candidate_model == new
    shown = (await sluice("policy", "list", "-s", "logs")).output
    assert f"{new} in nano's place once certified" in shown
    assert "no audit has its answer yet" in shown
    await tell(bus, [audit(n, rules, stream="kernel") for n in range(3_000)])  # what the certificate has heard
    async with training(bus, rules):

        async def stands(model: str | None, certified: bool) -> bool:
            newest = await certificate(bus)
            if newest is None:
                return False
            told = newest.standing
            known = {told.batch_version, *(each.version for each in told.batch_others if each.certified)}
            return told.candidate_model == model and (version(new) in known, version(old) in known) == (certified, True)

        await until(lambda: stands(new, False))
        assert f"{new} is tried in place of {old}" in (await sluice("quality", "-s", "logs")).output
        await tell(bus, [asked(n, n / 1_500, version(new), version(old)) for n in range(1_500)])
        await until(lambda: stands(new, True))
        assert f"{new} answers a tenth in place of {old} until " in (await sluice("quality", "-s", "logs")).output
        shown = (await sluice("policy", "list", "-s", "logs")).output
        assert "answers a tenth until " in shown
        assert "answers the rest" in shown
        assert f"{old} answers again" in (await sluice("policy", "rollback", "logs")).output
        await until(lambda: stands(None, True))


# --- feedback -------------------------------------------------------------------------------------------


async def test_feedback_is_written_as_it_was_given(bus: Bus, rules: Policy, sluice: Command) -> None:
    message_id = f"{bus.prefix}logs/0/7"
    words = ("feedback", message_id, "--stream", "logs", "--label", "alert", "--by", "ann", "--text", "disk fails")
    assert (await sluice(*words)).output == f"{message_id} of logs is 'alert'\n"
    (record,) = await bus.read(bus.names.topic(FEEDBACK))
    assert record.key == message_id.encode()
    said = codec.decode(Feedback, record.value)
    assert (said.id, said.stream, said.label, said.by, said.text) == (message_id, "logs", "alert", "ann", "disk fails")
    assert ("ce_type", b"sluice.feedback.v1") in record.headers


@pytest.mark.parametrize(
    ("message", "stream", "label", "told"),
    [
        ("{topic}/0/7", "none", "alert", "--stream 'none': "),
        ("{topic}/0/7", "logs", "party", "--label 'party': stream 'logs' has alert, routine."),
        ("{topic}", "logs", "alert", "is no message id: write topic/partition/offset"),
        ("{topic}/0/x", "logs", "alert", "is no message id: write topic/partition/offset"),
        ("elsewhere/0/7", "logs", "alert", "not 'elsewhere'"),
    ],
)
async def test_feedback_that_cannot_be_meant_is_refused(
    bus: Bus, rules: Policy, sluice: Command, message: str, stream: str, label: str, told: str
) -> None:
    id_ = message.format(topic=bus.prefix + "logs")
    assert told in refused(await sluice("feedback", id_, "--stream", stream, "--label", label))
    assert await bus.values(bus.names.topic(FEEDBACK)) == []


async def test_commands_say_which_topic_is_missing(bus: Bus, sluice: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Bus(bus.brokers, bus.prefix + "nowhere.")
    monkeypatch.setattr(settings, "load", lambda _: policy(elsewhere))
    assert "sluice topics apply" in refused(await sluice("quality"))
    words = ("feedback", f"{elsewhere.prefix}logs/0/1", "-s", "logs", "-l", "alert")
    assert f"topic {elsewhere.prefix}feedback is missing" in refused(await sluice(*words))
