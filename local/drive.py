"""Drives the pipeline until everything that went in has come out: under the demo and under `sluice eval`."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.collect import Collected, Collector
from processors.clock import SystemClock
from processors.errors import SluiceError
from processors.items import Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from streams import kafka_security, pipeline, topics_admin
from streams.brokers import Brokers
from streams.ingest import Written, ingest
from streams.settings import Runtime
from streams.sources import FileRecord
from topics.catalog import STAGES
from topics.records import Headers

PARTITIONS = 4
QUIET_SECONDS = 2.0  # after the last output: signals take half a second to become an alert
STALLED_SECONDS_MAX = 90.0  # without a single output while work is open: something is broken and must be seen


class Stalled(SluiceError):
    """The pipeline stopped giving results before everything was decided."""


@dataclass(frozen=True, slots=True)
class Fed:
    """A record as it lies on its topic; what normalisers and scorers look at."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def id(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(slots=True)
class Feed:
    """One topic's input: what to write, and what was written so far, in order."""

    topic: str
    records: AsyncIterable[FileRecord]
    written: list[Fed] = field(default_factory=list)


async def drive(
    policy: Policy,
    feeds: Iterable[Feed],
    env: Mapping[str, str],
    *,
    seed: int | None = None,
    on_progress: Callable[[Collected], None] = lambda _seen: None,
) -> Collected:
    """Creates the topics, runs every stage in this process, writes the feeds and waits until nothing is open.

    Raises Stalled, or what the stages raise; the stages are shut down in order in either case.
    """
    brokers = kafka_security.brokers(policy.kafka, env)
    feeds = list(feeds)
    await create_topics(policy, [feed.topic for feed in feeds], brokers)
    with tempfile.TemporaryDirectory(prefix="sluice-data-") as data:
        return await _drive(policy, feeds, env, brokers, Runtime(http_port=0, data_dir=Path(data)), seed, on_progress)


async def create_topics(policy: Policy, inputs: Sequence[str], brokers: Brokers) -> None:
    """What the stages need, and `inputs`. Those that are there stay; `drive` does it too, for whoever has not."""
    await topics_admin.apply(
        brokers,
        policy.kafka.names,
        partitions=PARTITIONS,
        replication_factor=policy.kafka.replication_factor,
        inputs=inputs,
        inputs_retention_ms=-1,  # a record's time may be long ago, and the broker would sweep it away
    )


async def _drive(
    policy: Policy,
    feeds: Sequence[Feed],
    env: Mapping[str, str],
    brokers: Brokers,
    runtime: Runtime,
    seed: int | None,
    on_progress: Callable[[Collected], None],
) -> Collected:
    collector = Collector(brokers, policy.kafka.names)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        collecting = tasks.create_task(collector.run())
        running = tasks.create_task(
            pipeline.run(
                policy,
                STAGES,
                runtime=runtime,
                env=env,
                clock=SystemClock(),
                rng=random.Random(seed),
                stop=stop,
            )
        )
        try:
            feeding = tasks.create_task(_feed_all(feeds, brokers, collector.seen))
            await _until_done(collector.seen, feeding, on_progress)
        finally:
            stop.set()
            await asyncio.wait({running})
            collecting.cancel()
    return collector.seen


async def _feed_all(feeds: Iterable[Feed], brokers: Brokers, seen: Collected) -> None:
    async with asyncio.TaskGroup() as tasks:
        for feed in feeds:

            def on_written(record: FileRecord, written: Written, feed: Feed = feed) -> None:
                fed = Fed(
                    feed.topic,
                    written.partition,
                    written.offset,
                    record.timestamp_ms or written.timestamp_ms,
                    record.key,
                    record.value,
                    record.headers,
                )
                feed.written.append(fed)
                seen.inputs.add(fed.id)

            tasks.create_task(ingest(feed.records, feed.topic, brokers, on_written=on_written))


async def _until_done(seen: Collected, feeding: "asyncio.Task[None]", on_progress: Callable[[Collected], None]) -> None:
    last, since = -1, 0.0
    while not (feeding.done() and seen.done and since >= QUIET_SECONDS):
        on_progress(seen)
        await asyncio.sleep(0.25)
        outputs = len(seen.inputs) + len(seen.decisions) + len(seen.dead) + sum(map(len, seen.resolutions.values()))
        outputs += seen.alerts_told
        last, since = (outputs, 0.0) if outputs != last else (last, since + 0.25)
        if since > STALLED_SECONDS_MAX:
            raise Stalled(
                f"no result for {STALLED_SECONDS_MAX:.0f} s while {seen.undecided} messages and {seen.unresolved} "
                "escalations are open. The log above says what holds them."
            )
    on_progress(seen)


def texts_of(policy: Policy, stream: str, fed: Iterable[Fed]) -> Iterator[str]:
    """The messages' texts as a model would be shown them, in order; what is not judged is left out."""
    normaliser = normaliser_for(stream, policy.streams[stream])
    for record in fed:
        if isinstance(item := normaliser.read(record), Item):
            yield item.text
