"""State that workers share by compacted topics: read whole at the start, then followed.

A follower is outside any group, reads committed records only, and waits for a broker that is away. What it heard last
holds meanwhile: a certificate ends by its own time.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from processors.clock import Clock
from processors.errors import ConfigurationError
from processors.policy import Policy
from processors.quality.standing import UNPROVEN, Standing, claim_of
from streams import topics_admin
from streams.brokers import Brokers
from streams.quality_records import Newest
from streams.student_records import Kept, Shelf
from topics import limits
from topics.catalog import QUALITY, STUDENTS, Names
from topics.records import Record

log = logging.getLogger("sluice.shared")

S = TypeVar("S")


class Reader(Protocol):
    """What is fed by a follower."""

    def take(self, records: Sequence[Record]) -> None:
        """Some records of one partition, in order. May get records again after a failure."""
        ...

    async def settle(self) -> None:
        """Called when the end is reached for the first time, and from then on after every poll, at least once in
        SHARED_POLL_SECONDS: here what was read takes effect."""
        ...


@asynccontextmanager
async def following(brokers: Brokers, topics: Sequence[str], reader: Reader) -> AsyncIterator[None]:
    """Feeds `reader` as long as the context is open. On entering it, waits until everything that is there was read
    and has taken effect; where that takes longer than SHARED_START_SECONDS_MAX it is entered without, and the rest
    follows."""
    settled = asyncio.Event()
    task = asyncio.create_task(_follow(brokers, topics, reader, settled))
    try:
        try:
            await asyncio.wait_for(settled.wait(), limits.SHARED_START_SECONDS_MAX)
        except TimeoutError:
            log.warning("%s cannot be read whole yet: this worker begins without", ", ".join(topics))
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _follow(brokers: Brokers, topics: Sequence[str], reader: Reader, settled: asyncio.Event) -> None:
    """Until it is cancelled."""
    positions: dict[TopicPartition, int] = {}
    while True:
        consumer = _consumer(brokers)
        try:
            await consumer.start()
            ends = await _ends(consumer, topics)
            await topics_admin.assign(consumer, topics, from_beginning=True)
            for partition, offset in positions.items():
                consumer.seek(partition, offset)
            await _to_end(consumer, reader, positions, ends)
            await reader.settle()
            settled.set()
            while True:
                await _poll(consumer, reader, positions)
                await reader.settle()
        except Exception as error:  # noqa: BLE001 what is known holds, and the rest is read when the broker is back
            log.warning("%s is not followed for now", ", ".join(topics), extra={"error": repr(error)})
            if settled.is_set():
                await reader.settle()  # what ends by its own time ends meanwhile
        finally:
            await consumer.stop()
        await asyncio.sleep(limits.SHARED_RETRY_SECONDS)


async def read_whole(brokers: Brokers, topics: Sequence[str], take: Callable[[Sequence[Record]], None]) -> None:
    """Everything that is committed in `topics` now. Raises KafkaError, TimeoutError where nothing more comes, or
    ConfigurationError where a topic is missing."""
    consumer = _consumer(brokers)
    try:
        await consumer.start()
        ends = await _ends(consumer, topics)
        await topics_admin.assign(consumer, topics, from_beginning=True)
        await _to_end(consumer, _Taking(take), {}, ends)
    finally:
        await consumer.stop()


async def read_now(brokers: Brokers, takers: Mapping[str, Callable[[Record], None]]) -> None:
    """`read_whole` for a command: of each topic its records, one by one. Raises ConfigurationError in a person's words
    where that cannot be."""

    def take(records: Sequence[Record]) -> None:
        for record in records:
            takers[record.topic](record)

    await topics_admin.reach(brokers)
    try:
        await read_whole(brokers, list(takers), take)
    except (KafkaError, TimeoutError) as error:
        raise ConfigurationError(f"topics {', '.join(takers)} cannot be read now: {error}") from error


class _Taking:
    """A Reader of one reading."""

    def __init__(self, take: Callable[[Sequence[Record]], None]) -> None:
        self.take = take

    async def settle(self) -> None:
        """Never called."""


def _consumer(brokers: Brokers) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **brokers.client_options,
        client_id="sluice-shared",
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=limits.SHARED_FETCH_WAIT_MS,
    )


async def _ends(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
    """What is committed now. Asked before anything is fetched: a broker answers in turn, and a fetch of what is not
    there yet takes SHARED_FETCH_WAIT_MS."""
    ends: Mapping[TopicPartition, int] = await consumer.end_offsets(await topics_admin.partitions(consumer, topics))
    return ends


async def _to_end(
    consumer: AIOKafkaConsumer,
    reader: Reader,
    positions: dict[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> None:
    """Up to `ends`. Raises TimeoutError where no record comes for SHARED_SILENCE_SECONDS_MAX."""
    silent_polls = 0
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        silent_polls = 0 if await _poll(consumer, reader, positions) else silent_polls + 1
        if silent_polls * limits.SHARED_POLL_SECONDS > limits.SHARED_SILENCE_SECONDS_MAX:
            raise TimeoutError("records are there and do not come")


async def _poll(consumer: AIOKafkaConsumer, reader: Reader, positions: dict[TopicPartition, int]) -> bool:
    polled: Mapping[TopicPartition, Sequence[ConsumerRecord]] = await consumer.getmany(
        timeout_ms=round(limits.SHARED_POLL_SECONDS * 1000), max_records=limits.SHARED_POLL_RECORDS_MAX
    )
    for partition, records in polled.items():
        reader.take(records)
        positions[partition] = records[-1].offset + 1
    return bool(polled)


# --- certificates ---------------------------------------------------------------------------------


class Standings:
    """What may be answered below its reference in each stream, now.

    UNPROVEN until a certificate is there for the stream's policy and claim as this worker has them, after the
    certificate's end, and while an operator has switched the stream off.
    """

    def __init__(self, policy: Policy, clock: Clock, on_change: Callable[[str, Standing], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._newest = Newest()
        self._wanted = wanted(policy)
        self._told: dict[str, Standing] = {}

    def adopt(self, policy: Policy) -> None:
        """Another policy; what changes by it is told at once."""
        self._wanted = wanted(policy)
        self._tell()

    def standing(self, stream: str) -> Standing:
        """UNPROVEN for a stream that is not known."""
        certificate, order = self._newest.certificates.get(stream), self._newest.orders.get(stream)
        if order is not None and order.off:
            return Standing(off=True)
        if certificate is None or (certificate.policy_version, certificate.claim) != self._wanted.get(stream):
            return UNPROVEN
        standing = certificate.standing
        ends_ms = standing.expires_at_ms
        if ends_ms is not None and ends_ms <= self._clock.time() * 1000:
            return Standing(candidate=standing.candidate, candidate_model=standing.candidate_model)
        return replace(standing, coin=certificate.coin)

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            self._newest.take(record)

    async def settle(self) -> None:
        self._tell()

    def _tell(self) -> None:
        for stream in self._wanted:
            standing = self.standing(stream)
            if self._told.get(stream, UNPROVEN) != standing:
                self._told[stream] = standing
                self._on_change(stream, standing)


@asynccontextmanager
async def follow_quality(
    policy: Policy, brokers: Brokers, clock: Clock, on_change: Callable[[str, Standing], None]
) -> AsyncIterator[Standings]:
    """`on_change(stream, standing)` is called on the event loop, first on entering, within about a second of what it
    tells."""
    standings = Standings(policy, clock, on_change)
    async with following(brokers, [policy.kafka.names.topic(QUALITY)], standings):
        yield standings


def wanted(policy: Policy) -> Mapping[str, tuple[str, str]]:
    """By stream what a certificate has to be for: policy version and claim."""
    return {
        name: (stream.version, claim_of(stream.quality))
        for name, stream in policy.streams.items()
        if stream.quality is not None
    }


# --- students ---------------------------------------------------------------------------------------


class _Students(Generic[S]):
    def __init__(
        self,
        streams: Sequence[str],
        load: Callable[[bytes], S],
        on_student: Callable[[str, Kept, S], None],
        on_gone: Callable[[str, str], None],
    ) -> None:
        self._shelf = Shelf(streams)
        self._load = load
        self._on_student = on_student
        self._on_gone = on_gone
        self._told: dict[str, set[str]] = {stream: set() for stream in streams}

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            self._shelf.put(record)

    async def settle(self) -> None:
        for stream, kept, dump in self._shelf.take():
            try:
                student = await asyncio.to_thread(self._load, dump)  # a few megabytes: the loop goes on
            except ValueError as error:  # of a release that this one does not know
                log.error("student %s of %s cannot be loaded: %s", kept.version, stream, error)
                continue
            self._told[stream].add(kept.version)
            self._on_student(stream, kept, student)
        for stream, kept_now in self._shelf.kept.items():
            for version in sorted(self._told[stream] - kept_now.keys()):
                self._told[stream].remove(version)
                self._on_gone(stream, version)


@asynccontextmanager
async def follow_students(
    names: Names,
    streams: Sequence[str],
    brokers: Brokers,
    load: Callable[[bytes], S],
    on_student: Callable[[str, Kept, S], None],
    on_gone: Callable[[str, str], None] = lambda _stream, _version: None,
) -> AsyncIterator[None]:
    """`on_student(stream, kept, student)` is called once for each whole student, the oldest of a stream first, those
    that are there before the context is entered; `on_gone(stream, version)` for each that is kept no longer. Both on
    the event loop. A stream has at most STUDENTS_KEPT_MAX at a time, the certified among them however old it is.

    `load` runs in a thread; ValueError: it is told in the log, and the student is left out.
    """
    async with following(brokers, [names.topic(STUDENTS)], _Students(streams, load, on_student, on_gone)):
        yield


async def write(
    brokers: Brokers, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """One record of a person's. Returns when the brokers have it. Raises ConfigurationError where the topic is missing,
    or KafkaError."""
    async with topics_admin.connected(brokers) as admin:
        if topic not in await topics_admin.existing(admin, [], [topic]):
            raise ConfigurationError(f"topic {topic} is missing on the broker: `sluice topics apply` creates it")
    producer = AIOKafkaProducer(
        **brokers.client_options, enable_idempotence=True, acks="all", client_id="sluice-operator"
    )
    try:
        await producer.start()
        async with asyncio.timeout(limits.SHARED_SILENCE_SECONDS_MAX):
            await producer.send_and_wait(topic, key=key, value=value, headers=list(headers))
    finally:
        await producer.stop()
