"""The trainer on a real Kafka: what it says follows from the audits, whatever is killed."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from local.kafka import LocalKafka
from processors.clock import SystemClock
from processors.policy import Policy
from processors.quality.standing import UNPROVEN, Standing
from processors.student.student import Student
from streams import quality_records, shared
from streams.quality_records import Order
from streams.shared import Standings
from streams.student_records import Kept
from streams.trainer_process import TrainingFailed, teach
from tests.conftest import IN_DOCKER
from tests.kafka.bus import SOON_BACK, Bus, Send
from tests.kafka.engines import until
from tests.kafka.trainers import (
    PUBLISH_SECONDS,
    Teacher,
    audit,
    certificate,
    certificates,
    lesson,
    listing,
    order,
    policy,
    process,
    tell,
    training,
    wrong,
)
from topics import limits
from topics.catalog import AUDITS, FEEDBACK, LESSONS, QUALITY, STUDENTS

HAVE = ("logs", "kernel")  # a quality


@pytest.fixture
async def rules(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> Policy:
    monkeypatch.setattr(limits, "TRAINER_PUBLISH_SECONDS", PUBLISH_SECONDS)
    await bus.owned()
    return policy(bus)


def reaches(bus: Bus, offset: int, stream: str = "logs") -> Callable[[], Any]:
    """Whether the stream's certificate goes so far."""

    async def reached() -> bool:
        newest = await certificate(bus, stream)
        return newest is not None and newest.offset >= offset

    return reached


async def lost(bus: Bus, stream: str = "logs") -> int:
    """Records that void what is claimed of the stream since the start."""
    newest = await certificate(bus, stream)
    assert newest is not None
    start = newest.state["running"]["start"]
    return 0 if start is None else int(start[3])


async def committed(bus: Bus) -> dict[str, int]:
    """By topic: what the group has committed."""
    consumer = AIOKafkaConsumer(**bus.brokers.client_options, group_id=bus.names.group("trainer"))
    async with consumer:
        return {
            topic.name: await consumer.committed(TopicPartition(bus.names.topic(topic), 0)) or 0
            for topic in (AUDITS, LESSONS, FEEDBACK)
        }


# --- certificates -----------------------------------------------------------------------------------


async def test_what_is_certified_follows_from_the_audits_of_each_stream(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await tell(bus, [audit(n, rules) for n in range(40)])
        await tell(bus, [audit(n, rules, stream="kernel", agrees=False) for n in range(20)])
        await tell(bus, [audit(99, rules, stream="mail")])
        await until(reaches(bus, 60, "kernel"))
        await until(reaches(bus, 60))
    logs, kernel = await certificate(bus), await certificate(bus, "kernel")
    assert logs is not None
    assert kernel is not None
    assert logs.state != kernel.state
    assert await wrong(bus, rules) == await wrong(bus, rules, "kernel") == []
    assert await certificate(bus, "mail") is None


async def test_a_quiet_stream_has_a_word_from_the_start(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await until(lambda: certificate(bus, "kernel"))
    said = await certificates(bus)
    assert {(each.stream, each.standing.free_version) for each in said} == {("logs", None), ("kernel", None)}


async def test_the_groups_offsets_show_the_lag(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await tell(bus, [audit(n, rules) for n in range(7)])
        await tell(bus, [lesson(n, rules) for n in range(5)])
        await until(reaches(bus, 7))

        async def even() -> bool:
            return await committed(bus) == {"audits": 7, "lessons": 5, "feedback": 0}

        await until(even)


async def test_a_restart_goes_on_and_counts_no_audit_twice(bus: Bus, rules: Policy) -> None:
    for end in (30, 45):
        async with training(bus, rules):
            await tell(bus, [audit(n, rules) for n in range(end - 15, end)])
            await until(reaches(bus, end - 15))
    newest = await certificate(bus)
    assert newest is not None
    assert newest.offset == 30
    assert await wrong(bus, rules) == []


@pytest.mark.slow
async def test_a_certificate_is_never_wider_than_its_audits_whenever_the_trainer_is_killed(
    bus: Bus, rules: Policy, tmp_path: Path
) -> None:
    """Four times with SIGKILL, at moments that a seed chooses, while audits come and disagreements among them. Each
    certificate that anybody could read is compared with the audits before its offset. It does not show what happens
    where the broker itself loses what it acknowledged."""
    rng, number, enough = random.Random(6), 0, asyncio.Event()

    async def audits() -> None:
        nonlocal number
        while not enough.is_set():
            some = range(number, number + rng.randrange(1, 40))
            await tell(bus, [audit(n, rules, agrees=rng.random() > 0.02) for n in some])
            number = some.stop
            await asyncio.sleep(0.02)

    telling = asyncio.create_task(audits())
    for _ in range(4):
        before = len(await certificates(bus))
        async with process(bus, tmp_path):

            async def goes_on(before: int = before) -> bool:
                return len(await certificates(bus)) > before + 1

            await until(goes_on, "certificates of this life")
            await asyncio.sleep(rng.random() * 1.5)
    enough.set()
    await telling
    async with training(bus, rules):
        await until(reaches(bus, len(await bus.read(bus.names.topic(AUDITS)))))
    assert number > 100
    assert await wrong(bus, rules) == []


@pytest.mark.slow
async def test_one_that_was_stopped_and_woken_writes_nothing_over_its_successor(
    bus: Bus, rules: Policy, tmp_path: Path
) -> None:
    async with process(bus, tmp_path) as stopped:
        await tell(bus, [audit(n, rules) for n in range(20)])
        await until(reaches(bus, 20))
        stopped.send_signal(signal.SIGSTOP)
        async with training(bus, rules) as successor:
            await tell(bus, [audit(n, rules, agrees=False) for n in range(20, 40)])
            await until(reaches(bus, 40))
            stopped.send_signal(signal.SIGCONT)
            await tell(bus, [audit(n, rules) for n in range(40, 60)])
            await until(reaches(bus, 60))
            await until(lambda: successor.health().joined)
    assert await wrong(bus, rules) == []


async def test_a_second_one_stands_by_and_takes_over(bus: Bus, rules: Policy) -> None:
    async with contextlib.AsyncExitStack() as first_open:
        first = await first_open.enter_async_context(training(bus, rules))
        await until(lambda: first.health().joined and first.health().partitions == 1)
        async with training(bus, rules) as second:
            await until(lambda: first.health().joined and second.health().joined)
            assert first.health().partitions + second.health().partitions == 1
            await first_open.aclose()
            await until(lambda: second.health().partitions == 1)
            await tell(bus, [audit(n, rules) for n in range(9)])
            await until(reaches(bus, 9))
    assert await wrong(bus, rules) == []


async def test_what_cannot_be_read_is_passed_over(bus: Bus, rules: Policy) -> None:
    strange: list[Send | bytes] = [b"no json", b"{}", Send(None, b"a tombstone")]
    for topic in (AUDITS, LESSONS, FEEDBACK):
        await bus.produce(bus.names.topic(topic), strange)
    await bus.produce(bus.names.topic(QUALITY), [Send(b"{}", b"command/logs")])
    async with training(bus, rules):
        await tell(bus, [audit(1, rules)])
        await bus.produce(bus.names.topic(AUDITS), [b'{"stream": "kernel"}'])
        await until(reaches(bus, 5))
        await until(reaches(bus, 5, "kernel"))
    assert await wrong(bus, rules) == await wrong(bus, rules, "kernel") == []
    assert [await lost(bus), await lost(bus, "kernel")] == [2, 3], "what names no stream may be anyone's"


async def test_audits_that_were_removed_before_they_were_read_void_the_claim(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await tell(bus, [audit(n, rules) for n in range(20)])
        await until(reaches(bus, 20))
    await tell(bus, [audit(n, rules) for n in range(20, 40)])
    audits = TopicPartition(bus.names.topic(AUDITS), 0)
    admin = AIOKafkaAdminClient(**bus.brokers.client_options)
    await admin.start()
    await admin.delete_records({audits: RecordsToDelete(before_offset=20)})
    async with training(bus, rules):
        await until(reaches(bus, 40))
    assert await lost(bus) == 0, "those had been read"
    await tell(bus, [audit(n, rules) for n in range(40, 60)])
    await admin.delete_records({audits: RecordsToDelete(before_offset=47)})
    await admin.close()
    async with training(bus, rules):
        await until(reaches(bus, 60))
    assert await lost(bus) == 7
    newest = await certificate(bus)
    assert newest is not None
    assert newest.report["start"]["why"].startswith("void: 7 records")


async def test_an_audit_of_tomorrow_is_one_of_now(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await tell(bus, [audit(1, rules, at_ms=9_000_000_000_000)])
        await until(reaches(bus, 1))
    newest = await certificate(bus)
    assert newest is not None
    assert newest.state["clock_ms"] <= newest.at_ms


async def test_a_streams_coin_is_made_once(bus: Bus, rules: Policy) -> None:
    for end in (5, 10):
        async with training(bus, rules):
            await tell(bus, [audit(n, rules) for n in range(end - 5, end)])
            await until(reaches(bus, end))
            await until(lambda: certificate(bus, "kernel"))
    coins = {stream: {each.coin for each in await certificates(bus) if each.stream == stream} for stream in HAVE}
    assert [len(found) for found in coins.values()] == [1, 1]
    assert len(set.union(*coins.values())) == 2
    assert all(len(bytes.fromhex(coin)) == 32 for found in coins.values() for coin in found)


async def test_a_stream_that_promises_a_quality_again_goes_on_with_its_state(bus: Bus, rules: Policy) -> None:
    without = {**rules.streams, "logs": rules.streams["logs"].model_copy(update={"quality": None})}
    async with training(bus, rules) as trainer:
        await tell(bus, [audit(n, rules) for n in range(20)])
        await until(reaches(bus, 20))
        trainer.adopt(rules.model_copy(update={"streams": without}))
        await tell(bus, [audit(n, rules) for n in range(20, 30)])
        await tell(bus, [audit(30, rules, stream="kernel")])
        await until(reaches(bus, 31, "kernel"))
        trainer.adopt(rules)
        await until(reaches(bus, 30))
    assert await wrong(bus, rules) == []


async def test_another_policy_is_another_certificate_from_the_next_audit_on(bus: Bus, rules: Policy) -> None:
    other = rules.model_copy(
        update={
            "streams": {
                name: stream.model_copy(update={"confidence_min": 0.99}) for name, stream in rules.streams.items()
            }
        }
    )
    async with training(bus, rules) as trainer:
        await tell(bus, [audit(n, rules) for n in range(9)])
        await until(reaches(bus, 9))
        trainer.adopt(other)
        await tell(bus, [audit(n, other) for n in range(9, 18)])
        await until(reaches(bus, 18))
    said = [(each.policy_version, each.offset) for each in await certificates(bus) if each.stream == "logs"]
    assert said[-1] == (other.streams["logs"].version, 18)
    assert said[-1][0] != said[0][0] == rules.streams["logs"].version


async def test_audits_that_are_gone_with_their_topic_certify_nothing(
    bus: Bus, rules: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TRAINER_AUDITS_BEHIND_SECONDS_MAX", 0.5)
    async with training(bus, rules):
        await tell(bus, [audit(n, rules) for n in range(20)])
        await until(reaches(bus, 20))
    one = await certificate(bus)
    assert one is not None
    key, value = quality_records.certificate_record(replace(one, offset=1_000))
    await bus.produce(bus.names.topic(QUALITY), [Send(value, key)])
    async with training(bus, rules):

        async def anew() -> bool:
            newest = await certificate(bus)
            return newest is not None and newest.offset < 1_000

        await until(anew)
        await until(reaches(bus, 20))
    newest = await certificate(bus)
    assert newest is not None
    assert newest.report["began_anew_ms"] is not None
    counts = [each.state["admissions"]["free"]["count"] for each in (one, newest)]
    assert counts == [1, 2], "no part of δ is spent twice"
    assert newest.coin == one.coin


# --- students ---------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Students are taught by ten labels, and at once."""
    monkeypatch.setattr(limits, "STUDENT_LESSONS_MIN", 10)
    monkeypatch.setattr(limits, "STUDENT_LESSONS_MAX", 1_000)
    monkeypatch.setattr(limits, "STUDENT_INTERVAL_SECONDS", 0.0)


async def versions(bus: Bus) -> list[str]:
    found = await listing(bus)
    return [each.version for each in found.students] if found else []


@asynccontextmanager
async def shelf(bus: Bus) -> AsyncIterator[dict[str, bytes]]:
    """By version what a worker has of `logs`."""
    found: dict[str, bytes] = {}

    def on_student(stream: str, kept: Kept, dump: bytes) -> None:
        assert (stream, len(dump)) == ("logs", kept.bytes)
        assert kept.version not in found
        found[kept.version] = dump

    def on_gone(stream: str, version: str) -> None:
        assert stream == "logs"
        del found[version]

    streams = ["logs", "kernel"]
    async with shared.follow_students(bus.names, streams, bus.brokers, lambda dump: dump, on_student, on_gone):
        yield found


@pytest.mark.usefixtures("soon")
async def test_students_are_taught_by_all_that_is_known_and_come_whole_to_workers(bus: Bus, rules: Policy) -> None:
    teacher = Teacher(padding=2 * limits.STUDENT_PART_BYTES)
    async with shelf(bus) as live, training(bus, rules, teacher):
        await tell(bus, [lesson(n, rules) for n in range(12)])
        await until(lambda: versions(bus))
        await tell(bus, [audit(n, rules) for n in range(500, 530)])
        await until(lambda: len(teacher.taught) > 1)
        await until(lambda: len(live) == 2)
        async with shelf(bus) as late:
            assert late == live
    assert live == {version: version.encode() + bytes(2 * limits.STUDENT_PART_BYTES) for version in live}
    told = {each.text: each.weight for each in teacher.taught[-1]}
    assert len(told) == len(teacher.taught[-1]) > 12
    assert told["all is well on host 1"] < told["all is well on host 500"], "the reference counts for more"


@pytest.mark.usefixtures("soon")
async def test_a_persons_word_outweighs_the_models(bus: Bus, rules: Policy) -> None:
    teacher = Teacher()
    corrected = b'{"id":"logs/1/1","stream":"logs","label":"alert"}'
    await bus.produce(bus.names.topic(FEEDBACK), [corrected])
    await tell(bus, [lesson(n, rules) for n in range(12)])
    async with training(bus, rules, teacher):
        await until(lambda: teacher.taught)
        first = {each.text: each.label for each in teacher.taught[0]}
        await bus.produce(bus.names.topic(FEEDBACK), [corrected])
        await tell(bus, [lesson(n, rules) for n in range(12, 40)])
        await until(lambda: len(teacher.taught) > 1)
    assert {each.text: each.label for each in teacher.taught[-1]}["all is well on host 1"] == "alert"
    assert len(first) == 12


@pytest.mark.usefixtures("soon")
async def test_a_restart_teaches_nothing_anew_and_knows_what_was_there(bus: Bus, rules: Policy) -> None:
    await tell(bus, [lesson(n, rules) for n in range(20)])
    async with training(bus, rules):
        await until(lambda: versions(bus))
    again = Teacher()
    async with training(bus, rules, again) as trainer:
        await tell(bus, [lesson(n, rules) for n in range(20, 30)])
        await tell(bus, [audit(1, rules)])
        await until(reaches(bus, 1))
        assert trainer.health().in_flight == 0
        assert again.taught == []
        await tell(bus, [lesson(n, rules) for n in range(30, 45)])
        await until(lambda: again.taught)
    assert len(again.taught[0]) > 40, "the lessons of before are read again"


@pytest.mark.usefixtures("soon")
async def test_old_students_go_and_leave_no_part_behind(bus: Bus, rules: Policy) -> None:
    sent = 0
    async with training(bus, rules, Teacher(padding=limits.STUDENT_PART_BYTES)):
        for round_ in range(limits.STUDENTS_KEPT_MAX + 2):
            size = 10 * 2**round_
            await tell(bus, [lesson(n, rules) for n in range(sent, sent + size)])
            sent += size

            async def taught(least: int = sent * 4 // 5) -> bool:
                found = await listing(bus)
                return found is not None and found.students[-1].labels >= least

            await until(taught)
    kept = await versions(bus)
    assert len(kept) == limits.STUDENTS_KEPT_MAX
    newest = {record.key: record.value for record in await bus.read(bus.names.topic(STUDENTS))}
    there = {key.split(b"/")[1].decode() for key, value in newest.items() if value is not None and b"/" in key}
    assert there == set(kept)
    assert sum(value is None for value in newest.values()) >= 4


@pytest.mark.usefixtures("soon")
async def test_a_training_that_fails_is_told_and_stops_nothing(
    bus: Bus, rules: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Teacher):
        async def __call__(self, *_: Any) -> None:
            raise TrainingFailed("no core is free")

    await tell(bus, [lesson(n, rules) for n in range(20)])
    async with training(bus, rules, Failing()):
        await until(lambda: "no core is free" in caplog.text)
        await tell(bus, [audit(1, rules)])
        await until(reaches(bus, 1))
    assert await versions(bus) == []


async def test_a_real_student_comes_to_a_worker_and_judges(bus: Bus, rules: Policy) -> None:
    live: dict[str, Student] = {}

    def on_student(stream: str, kept: Kept, student: Student) -> None:
        assert kept.policy_version == rules.streams[stream].version
        live[kept.version] = student

    follows = shared.follow_students(bus.names, ["logs"], bus.brokers, Student.load, on_student)
    async with follows, training(bus, rules, teach):
        await tell(bus, [lesson(n, rules) for n in range(limits.STUDENT_LESSONS_MIN)])
        await until(lambda: live)
    ((version, student),) = live.items()
    assert student.version == version
    assert [label for label, _ in student.judge(["disk fails on host 3", "all is well on host 4"])] == [
        "alert",
        "routine",
    ]


# --- orders and followers ---------------------------------------------------------------------------


@asynccontextmanager
async def standings(bus: Bus, rules: Policy) -> AsyncIterator[tuple[Standings, list[Standing]]]:
    """A worker's view of `logs`, and what was told it."""
    told: list[Standing] = []

    def on_change(stream: str, standing: Standing) -> None:
        if stream == "logs":
            told.append(standing)

    async with shared.follow_quality(rules, bus.brokers, SystemClock(), on_change) as view:
        yield view, told


async def test_a_worker_that_starts_knows_what_is_certified_before_it_begins(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await tell(bus, [audit(n, rules) for n in range(30)])
        await until(reaches(bus, 30))
        newest = await certificate(bus)
        assert newest is not None
        assert newest.standing != UNPROVEN
        async with standings(bus, rules) as (view, told):
            known = replace(newest.standing, coin=newest.coin)
            assert told == [known]
            assert view.standing("logs") == known
            assert view.standing("kernel").free_version is None


async def test_switching_off_needs_no_trainer(bus: Bus, rules: Policy) -> None:
    async with training(bus, rules):
        await tell(bus, [audit(n, rules) for n in range(30)])
        await until(reaches(bus, 30))
    async with standings(bus, rules) as (view, _):
        assert not view.standing("logs").off
        await order(bus, Order(stream="logs", off=True))
        await until(lambda: view.standing("logs").off)
        assert view.standing("logs").free_version is None
        await order(bus, Order(stream="logs"))
        await until(lambda: not view.standing("logs").off)


@pytest.mark.slow
@pytest.mark.skipif(IN_DOCKER, reason="SLUICE_KAFKA=docker: this test ends a broker of its own")
async def test_trainer_and_workers_wait_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARED_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(limits, "TRAINER_RESTART_SECONDS", 0.2)
    async with LocalKafka(settings=SOON_BACK) as kafka:
        bus = Bus(kafka.brokers, "t.")
        await bus.owned()
        rules = policy(bus)
        async with standings(bus, rules) as (view, _), training(bus, rules):
            await tell(bus, [audit(n, rules) for n in range(9)])
            await until(reaches(bus, 9))
            await asyncio.to_thread(kafka.kill)
            await asyncio.sleep(1.0)  # so that both meet the broker's absence
            await asyncio.to_thread(kafka.start)
            await tell(bus, [audit(n, rules) for n in range(9, 30)])
            await until(reaches(bus, 30))
            newest = await certificate(bus)
            assert newest is not None
            await until(lambda: view.standing("logs") == replace(newest.standing, coin=newest.coin))
        assert await wrong(bus, rules) == []
