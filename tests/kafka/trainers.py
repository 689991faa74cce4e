"""Trainers for tests: a policy with two streams that promise a quality, audits, lessons, and a trainer that runs."""

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from processors.clock import SystemClock
from processors.policy import Policy, Quality
from processors.quality.state import StreamQuality
from streams import quality_records, student_records
from streams.brokers import Brokers
from streams.quality_records import Certificate, Order
from streams.student_records import Listing
from streams.trainer import Trainer
from streams.trainer_lessons import Lesson as Known
from streams.trainer_process import Taught
from streams.trainer_term import Teach, stream_in
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import SECONDS_MAX
from topics import codec, limits
from topics.catalog import AUDITS, LESSONS, QUALITY, STUDENTS
from topics.messages import Audit, Lesson, Shadow, Source

LABELS = {"alert": {"means": "An operator must look"}, "routine": {"means": "Nobody needs to look"}}
QUALITY_WANTED = Quality(reference="flagship", max_disagreement=0.1, confidence=0.9)
PUBLISH_SECONDS = 0.2
HOUR_MS = 3_600_000
AT_MS = 1_790_000_000_000


def policy(bus: Bus, quality: Quality | None = QUALITY_WANTED) -> Policy:
    """Streams `logs` and `kernel` promise `quality`, `mail` promises nothing."""
    streams = {
        name: {"kind": "log", "topics": [bus.prefix + name], "labels": LABELS} for name in ("logs", "kernel", "mail")
    }
    plain = Policy.model_validate({"kafka": {"prefix": bus.prefix}, "streams": streams})
    promising = {
        name: stream.model_copy(update={"quality": quality}) if name != "mail" else stream
        for name, stream in plain.streams.items()
    }
    return plain.model_copy(update={"streams": promising})


def audit(
    number: int, rules: Policy, *, stream: str = "logs", agrees: bool = True, version: str = "m", at_ms: int = AT_MS
) -> Audit:
    """The reference's judgement of message `number`, and what `version` of the free rule would have said."""
    said, other = ("routine", "alert") if number % 3 else ("alert", "routine")
    return Audit(
        id=f"{stream}/0/{number}",
        source=Source(stream, 0, number, None, at_ms),
        stream=stream,
        tenant="default",
        at_ms=at_ms,
        policy_version=rules.streams[stream].version,
        reference="flagship",
        reference_label=said,
        label=said,
        decided_by="flagship",
        below=False,
        rule=None,
        version=None,
        probability=1.0,
        shadows=(Shadow(rule="free", version=version, label=said if agrees else other, score=1.0),),
        template=None,
        text=f"{'disk fails' if said == 'alert' else 'all is well'} on host {number}",
        cost_usd_micros=100.0,
    )


def lesson(number: int, rules: Policy, *, stream: str = "logs", label: str | None = None) -> Lesson:
    said = label or ("routine" if number % 3 else "alert")
    return Lesson(
        id=f"{stream}/1/{number}",
        stream=stream,
        tenant="default",
        at_ms=AT_MS,
        policy_version=rules.streams[stream].version,
        label=said,
        tier="nano",
        confidence=0.9,
        text=f"{'disk fails' if said == 'alert' else 'all is well'} on host {number}",
    )


async def tell(bus: Bus, messages: Iterable[Audit | Lesson]) -> None:
    """Writes them where triage does."""
    by_topic: dict[str, list[Send]] = {bus.names.topic(AUDITS): [], bus.names.topic(LESSONS): []}
    for message in messages:
        topic = bus.names.topic(AUDITS if isinstance(message, Audit) else LESSONS)
        by_topic[topic].append(Send(codec.encode(message), message.id.encode()))
    for topic, sends in by_topic.items():
        await bus.produce(topic, sends)


async def order(bus: Bus, wanted: Order) -> None:
    key, value = quality_records.order_record(wanted)
    await bus.produce(bus.names.topic(QUALITY), [Send(value, key)])


async def certificates(bus: Bus) -> list[Certificate]:
    """All that were published, in order."""
    found: list[Certificate] = []
    for record in await bus.read(bus.names.topic(QUALITY)):
        with contextlib.suppress(codec.Undecodable):
            if isinstance(each := quality_records.read(record), Certificate):
                found.append(each)
    return found


async def certificate(bus: Bus, stream: str = "logs") -> Certificate | None:
    """The newest of a stream."""
    found = [each for each in await certificates(bus) if each.stream == stream]
    return found[-1] if found else None


async def listing(bus: Bus, stream: str = "logs") -> Listing | None:
    found = [student_records.read_listing(record) for record in await bus.read(bus.names.topic(STUDENTS))]
    known = [each for each in found if each is not None and each.stream == stream]
    return known[-1] if known else None


class Teacher:
    """Teaches at once: a student's dump is what it was taught, its version how often this one has taught."""

    def __init__(self, padding: int = 0) -> None:
        self.taught: list[Sequence[Known]] = []
        self._padding = padding  # bytes of a dump besides

    async def __call__(self, labels: Sequence[str], lessons: Sequence[Known], seed: int) -> Taught | None:
        self.taught.append(lessons)
        version = f"{len(lessons):06}"
        return Taught(version, version.encode() + bytes(self._padding))


@contextlib.asynccontextmanager
async def training(
    bus: Bus, rules: Policy, teacher: Teach | None = None, *, clock: SystemClock | None = None
) -> AsyncIterator[Trainer]:
    """A trainer, stopped in order at the end."""
    trainer = Trainer(
        rules, bus.brokers, clock=clock or SystemClock(), rng=random.Random(1), teach=teacher or Teacher()
    )
    stop = asyncio.Event()
    task = asyncio.create_task(trainer.run(stop))
    try:
        yield trainer
    finally:
        stop.set()
        await asyncio.wait_for(task, SECONDS_MAX)


@contextlib.asynccontextmanager
async def process(bus: Bus, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The same as a process of its own, without students; ended with SIGKILL."""
    with (folder / "trainer.log").open("ab") as log:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, bus.bootstrap_servers, bus.prefix),
            cwd=Path(__file__).parents[2],
            env=os.environ,
            stderr=log,
        )
        try:
            yield started
        finally:
            if started.returncode is None:
                started.kill()
            await started.wait()


async def wrong(bus: Bus, rules: Policy, stream: str = "logs") -> list[str]:
    """Certificates that are not what follows from the audits before their offset; that go back; empty when all is
    well."""
    heard = await bus.read(bus.names.topic(AUDITS))
    spec = rules.streams[stream]
    judged = StreamQuality(stream, QUALITY_WANTED, spec.version, audit_min=spec.audit_min)
    told: list[str] = []
    folded = 0
    for each in await certificates(bus):
        if each.stream != stream:
            continue
        if each.offset < folded:
            told.append(f"offset {each.offset} after {folded}")
        for record in heard:
            if folded <= record.offset < each.offset and record.value is not None:
                try:
                    one = codec.decode(Audit, record.value)
                except codec.Undecodable:
                    if stream_in(record.value) in (None, stream):
                        judged.lose(1, record.timestamp, since_ms=record.timestamp)
                    continue
                if one.stream == stream:
                    judged.fold(one)
        folded = max(folded, each.offset)
        plain = codec.decode(Certificate, codec.encode(replace(each, state=judged.dump())))
        if plain.state != each.state or judged.standing(each.at_ms) != each.standing:
            told.append(f"at offset {each.offset}: {each.state} is not {plain.state}, or {each.standing} does not fit")
    return told


def main() -> None:
    """A trainer until it is killed: `python -m tests.kafka.trainers BOOTSTRAP_SERVERS PREFIX`."""
    limits.TRAINER_PUBLISH_SECONDS = PUBLISH_SECONDS
    bus = Bus(Brokers(sys.argv[1]), sys.argv[2])
    trainer = Trainer(policy(bus), bus.brokers, clock=SystemClock(), rng=random.Random(), teach=Teacher())
    asyncio.run(trainer.run(asyncio.Event()))


if __name__ == "__main__":
    main()
