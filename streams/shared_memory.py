"""What workers remember together: a compacted topic that each of them writes to, reads at the start, and follows.

Written best effort and outside any transaction: money that was spent stays spent, and an entry that is lost costs one
more question. `remember` may be called before the topic is open; learners listen from then on.

What is erased gets a tombstone each, and all workers are told by a marker, so that what they hold and what is still on
its way goes, too.
"""

import asyncio
import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processors.clock import Clock
from processors.remembered import Erased, Erasures, Learner, MemoryKind, Remembered
from streams import shared
from streams.brokers import Brokers
from topics import codec, limits
from topics.catalog import MEMORY, Names
from topics.records import Record

log = logging.getLogger("sluice.memory")

_MARKER = "/erased/"  # no stream's name begins like this
_FLUSH_SECONDS_MAX = 2.0  # part of a shutdown
_STOP_SECONDS_MAX = 1.0


def key(stream: str, kind: MemoryKind, digest: str) -> bytes:
    """Of an entry's record."""
    return f"{stream}/{kind}/{digest}".encode()


class SharedMemory:
    """One a process, for all streams and kinds."""

    def __init__(self, clock: Clock, by: str) -> None:
        """`by`: this process, told apart from every other, itself after a restart among them."""
        self._clock = clock
        self._by = by
        self._learners: dict[tuple[str, str], Learner] = {}
        self._waiting: OrderedDict[bytes, Remembered] = OrderedDict()  # by key: of several the newest is told
        self._more = asyncio.Event()
        self._erasures = Erasures()  # what was on its way then does not come back
        self._fresh = Erasures()  # that learners have not obeyed yet
        self.dropped = 0  # entries that others were not told, because too many waited or the broker was away

    def listen(self, stream: str, kind: MemoryKind, learner: Learner) -> None:
        """From here on `learner` hears what others tell of the stream, in place of who did before."""
        self._learners[stream, kind] = learner

    def remember(self, entry: Remembered) -> None:
        """Tells others of an entry. Does not wait; what is too much or too large is not told."""
        place = key(entry.stream, entry.kind, entry.digest)
        if place not in self._waiting and len(self._waiting) >= limits.MEMORY_QUEUE_MAX:
            self.dropped += 1
            return
        self._waiting[place] = replace(entry, at_ms=round(self._clock.time() * 1000), by=self._by)
        self._more.set()

    @asynccontextmanager
    async def open(self, brokers: Brokers, names: Names) -> AsyncIterator[None]:
        """Reads what is there, then follows and tells for as long as the context is open. What waits when it closes
        is told within about two seconds, or not at all."""
        topic = names.topic(MEMORY)
        producer = _producer(brokers)
        try:
            await producer.start()
            async with shared.following(brokers, [topic], self):
                writing = asyncio.create_task(self._write(producer, topic))
                try:
                    yield
                finally:
                    writing.cancel()
                    with suppress(asyncio.CancelledError):
                        await writing
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_FLUSH_SECONDS_MAX):
                            await self._write_waiting(producer, topic)
                            await producer.flush()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS_MAX):
                    await producer.stop()

    def take(self, records: Sequence[Record]) -> None:
        """What others have told; called by the follower."""
        oldest_ms = self._clock.time() * 1000 - limits.MEMORY_TOPIC_AGE_MS_MAX
        for record in records:
            try:
                told = _read(record)
            except codec.Undecodable as error:
                log.error("a record of %s cannot be read: %s", record.topic, error)
                continue
            match told:
                case Erased():
                    self._erasures.add(told)
                    self._fresh.add(told)
                case _Forgotten():
                    learner = self._learners.get((told.stream, told.kind))
                    if learner is not None:
                        learner.forget(told.digest)
                case Remembered():
                    learner = self._learners.get((told.stream, told.kind))
                    if learner is None or told.by == self._by or told.at_ms < oldest_ms:
                        continue
                    if not self._erasures.cover(told.tenant, told.ids, told.at_ms):
                        learner.heard(told)

    async def settle(self) -> None:
        """Obeys all erasures that were read, in one go: of several entries and markers only the times count."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, Erasures()
        for place, entry in list(self._waiting.items()):
            if fresh.cover(entry.tenant, entry.ids, entry.at_ms):
                del self._waiting[place]
        for learner in self._learners.values():
            learner.erase(fresh)

    async def _write(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Until it is cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self._write_waiting(producer, topic)

    async def _write_waiting(self, producer: AIOKafkaProducer, topic: str) -> None:
        while self._waiting:
            place, entry = self._waiting.popitem(last=False)
            value = codec.encode(entry)
            if len(value) > limits.MEMORY_ENTRY_BYTES_MAX:
                self.dropped += 1
                continue
            try:
                answer = await producer.send(topic, key=place, value=value)
                answer.add_done_callback(self._answered)
            except KafkaError as error:
                self._lost(error)

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled() and (error := answer.exception()) is not None:
            self._lost(error)

    def _lost(self, error: BaseException) -> None:
        self.dropped += 1
        log.warning("an entry of memory is not told to other workers", extra={"error": repr(error)})


async def erase(
    brokers: Brokers, names: Names, clock: Clock, *, tenant: str | None = None, id: str | None = None
) -> int:
    """Makes all workers forget a tenant, or what was learnt from one message; how many entries of the topic went.

    Takes some seconds: what workers tell until MEMORY_ERASE_SECONDS from now is erased, too. Raises KafkaError,
    TimeoutError or ConfigurationError where the topic cannot be read or written.
    """
    erased = Erased(at_ms=round((clock.time() + limits.MEMORY_ERASE_SECONDS) * 1000), tenant=tenant, id=id)
    topic, gone, erasures = names.topic(MEMORY), set[bytes](), Erasures()
    erasures.add(erased)
    name = hashlib.blake2b(orjson.dumps([tenant, id]), digest_size=16).hexdigest()
    async with _producer(brokers) as producer:
        await producer.send_and_wait(topic, key=f"{_MARKER}{name}".encode(), value=codec.encode(erased))
        for _ in range(limits.MEMORY_ERASE_PASSES_MAX):
            last = clock.time() * 1000 > erased.at_ms
            found = [
                key(entry.stream, entry.kind, entry.digest)
                for entry in (await _entries(brokers, topic)).values()
                if erasures.cover(entry.tenant, entry.ids, entry.at_ms)
            ]
            for place in found:
                await producer.send_and_wait(topic, key=place, value=None)
            gone.update(found)
            if last and not found:
                break
            await clock.sleep(max(0.5, erased.at_ms / 1000 - clock.time()))
    return len(gone)


@dataclass(slots=True)
class Summary:
    """What the topic holds of one stream and kind."""

    entries: int = 0
    tenants: set[str] = field(default_factory=set)
    answers: float = 0.0  # that the entries rest on, as they are weighed
    contradicted: int = 0  # entries whose answers did not all agree
    labels: Counter[str] = field(default_factory=Counter)
    policy_versions: Counter[str] = field(default_factory=Counter)
    newest_ms: int = 0


async def summaries(brokers: Brokers, names: Names) -> Mapping[tuple[str, MemoryKind], Summary]:
    """By stream and kind. Raises as `erase`."""
    found: dict[tuple[str, MemoryKind], Summary] = {}
    for entry in (await _entries(brokers, names.topic(MEMORY))).values():
        summary = found.setdefault((entry.stream, entry.kind), Summary())
        summary.entries += 1
        summary.tenants.add(entry.tenant)
        summary.answers += sum(entry.counts.values()) if entry.counts else 1
        summary.contradicted += len(entry.counts) > 1
        summary.labels[entry.verdict.label] += 1
        summary.policy_versions[entry.policy_version] += 1
        summary.newest_ms = max(summary.newest_ms, entry.at_ms)
    return found


async def _entries(brokers: Brokers, topic: str) -> Mapping[bytes, Remembered]:
    """The latest of each key, without features: they are most of it."""
    entries: dict[bytes, Remembered] = {}

    def take(records: Sequence[Record]) -> None:
        for record in records:
            with suppress(codec.Undecodable):
                told = _read(record)
                if isinstance(told, Remembered):
                    entries[record.key or b""] = replace(told, features=None)
                elif isinstance(told, _Forgotten):
                    entries.pop(record.key or b"", None)

    await shared.read_whole(brokers, [topic], take)
    return entries


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """A tombstone of an entry."""

    stream: str
    kind: str
    digest: str


def _read(record: Record) -> Remembered | Erased | _Forgotten | None:
    """None for the tombstone of a marker. Raises Undecodable, also where the key is not that of the value."""
    name = (record.key or b"").decode(errors="replace")
    if name.startswith(_MARKER):
        return None if record.value is None else codec.decode(Erased, record.value)
    if record.value is None:
        stream, _, rest = name.partition("/")
        kind, _, digest = rest.partition("/")
        return _Forgotten(stream, kind, digest)
    entry = codec.decode(Remembered, record.value)
    if key(entry.stream, entry.kind, entry.digest) != record.key:
        raise codec.Undecodable(f"the key {name} is not that of its value")
    return entry


def _producer(brokers: Brokers) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **brokers.client_options, acks="all", linger_ms=20, compression_type="lz4", client_id="sluice-memory"
    )
