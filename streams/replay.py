"""Sends dead letters back to the topics they came from: each once, however often this is run, or killed, or run twice
at the same time.

The order of the steps is the guarantee:
1. start the producer: this fences a run that goes on elsewhere, and ends the transaction that it left open;
2. read which dead letters were sent back before: from here on nobody but this run adds to them;
3. read the dead letters, up to where they ended then: what dies again meanwhile is left for the next run;
4. send them in transactions, each with what the next run's step 2 will read.
A failure ends the run; nothing is tried again in place.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from processors.clock import Clock
from processors.errors import ConfigurationError
from streams import topics_admin
from streams.brokers import Brokers
from streams.replay_choice import Choice, Going, Stays, Wanted
from streams.replay_sender import ReplayEnded, Sender, fits, sender
from streams.replayed import Replayed
from streams.topics_admin import Existing
from topics import limits
from topics.catalog import DEAD_LETTERS, ESCALATIONS_FLAGSHIP, ESCALATIONS_MINI, REPLAYS, Names
from topics.records import message_id

_POLL_SECONDS = 0.1
_FETCH_BYTES = 256 * limits.KIB  # compressed, and ten times as much in memory; a larger record comes alone
_POLL_RECORDS = 500
_FETCH_WAIT_MS = 50  # a consumer's stop waits for its last fetch

OnProgress = Callable[[int, int, int], None]
"""Called with how much of the dead letters is read, how much there is, and how many were sent."""


@dataclass(slots=True)
class Report:
    """What a run did; of a dry run, what it would have done."""

    sent: Counter[tuple[str, str]] = field(default_factory=Counter)  # by reason and topic
    left: Counter[Stays] = field(default_factory=Counter)
    examples: list[Going] = field(default_factory=list)  # the first of each reason and topic
    finished: bool = True  # False: it was told to stop


async def replay(
    brokers: Brokers,
    names: Names,
    streams: Mapping[str, str],
    wanted: Wanted,
    *,
    dry_run: bool,
    clock: Clock,
    stop: asyncio.Event,
    on_progress: OnProgress = lambda _read, _of, _sent: None,
) -> Report:
    """Sends back what is wanted; with `dry_run` it only looks. `streams`: the stream of each input topic.

    `stop`, once set, ends it after the transaction under way. Raises ConfigurationError where a topic or a right is
    missing, and ReplayEnded where another run took over or the broker failed: running it again goes on from there.
    """
    letters, replays = names.topic(DEAD_LETTERS), names.topic(REPLAYS)
    escalations = [names.topic(ESCALATIONS_MINI), names.topic(ESCALATIONS_FLAGSHIP)]
    async with topics_admin.connected(brokers) as admin:
        there = await topics_admin.existing(admin, [letters, replays, *streams, *escalations])
    _require(there, letters, replays)
    async with AsyncExitStack() as open_:
        send_to = None
        if not dry_run:
            send_to = await open_.enter_async_context(sender(brokers, names, there, clock))
        consumer = await open_.enter_async_context(_consumer(brokers))
        offsets = await _present(consumer, letters, there[letters])
        replayed = Replayed(letters, offsets)
        async for records, _ in _read(consumer, replays, await _present(consumer, replays, there[replays])):
            if stop.is_set():
                return Report(finished=False)
            for record in records:
                _remember(replayed, record)
        choice = Choice(wanted, streams=streams, escalations=escalations, there=there, replayed=replayed)
        run = _Run(brokers, choice, there, send_to, wanted.limit)
        if wanted.since_ms is not None:
            offsets = await _since(consumer, letters, offsets, wanted.since_ms)
        total = sum(map(len, offsets.values()))
        async for records, read in _read(consumer, letters, offsets):
            await run.take(records)
            on_progress(read, total, run.taken)
            if stop.is_set() or run.taken == wanted.limit:
                break
        await run.flush()
        run.report.finished = not stop.is_set()
        return run.report


def _remember(replayed: Replayed, record: ConsumerRecord) -> None:
    try:
        replayed.add(record.key, record.value)
    except ValueError as error:
        raise ConfigurationError(
            f"{message_id(record)} is not by `sluice replay` ({error}): write a tombstone for its key, and keep others"
            " from writing there"
        ) from None


class _Run:
    """Gathers what goes back into transactions, and counts it once it is committed."""

    def __init__(
        self,
        brokers: Brokers,
        choice: Choice,
        there: Mapping[str, Existing],
        send_to: Sender | None,
        limit: int | None,
    ) -> None:
        self.report = Report()
        self.taken = 0
        self._brokers = brokers
        self._choice = choice
        self._there = there
        self._sender = send_to
        self._limit = limit
        self._batch: list[Going] = []
        self._batch_bytes = 0

    async def take(self, records: list[ConsumerRecord]) -> None:
        """In order, up to the limit."""
        for record in records:
            if self.taken == self._limit:
                return
            chosen = self._choice.of(record)
            if isinstance(chosen, Going):
                chosen = await self._whole(chosen)
            if isinstance(chosen, Going):
                await self._add(chosen)
            elif chosen is not None:
                self.report.left[chosen] += 1

    async def flush(self) -> None:
        """Sends what is gathered."""
        if not self._batch:
            return
        if self._sender is not None:
            await self._sender.send(self._batch)
        for going in self._batch:
            group = going.letter.reason, going.letter.topic
            if group not in self.report.sent and len(self.report.examples) < limits.REPLAY_EXAMPLES_MAX:
                self.report.examples.append(replace(going, value=None))  # which may be large, and nobody looks at
            self.report.sent[group] += 1
        self._batch, self._batch_bytes = [], 0

    async def _add(self, going: Going) -> None:
        if self._batch_bytes + going.bytes > limits.REPLAY_BYTES_MAX or len(self._batch) == limits.REPLAY_RECORDS_MAX:
            await self.flush()
        self._batch.append(going)
        self._batch_bytes += going.bytes
        self.taken += 1

    async def _whole(self, going: Going) -> Going | Stays:
        """With its value, which a dead letter lacks that was too large with it; if its topic admits it."""
        topic = going.letter.topic
        if going.value is None:
            value = await _value_at_origin(self._brokers, going)
            if value is None:
                return Stays("value_gone", topic)
            going = replace(going, value=value)
        return going if fits(going, self._there[topic]) else Stays("too_large", topic)


def _require(there: Mapping[str, Existing], letters: str, replays: str) -> None:
    """Raises ConfigurationError where a topic is missing, or what was sent back would be forgotten too soon."""
    if missing := [name for name in (letters, replays) if name not in there]:
        raise ConfigurationError(
            f"topic {', '.join(missing)} is missing, or may not be described: `sluice topics apply` creates it"
        )
    known_ms = int(there[replays].config["retention.ms"])
    kept_ms = int(there[letters].config["retention.ms"])
    segment_ms = int(there[letters].config["segment.ms"])  # a record goes with the last one of its segment
    needed_ms = kept_ms + segment_ms if kept_ms >= 0 else -1  # Kafka's "for ever"
    if known_ms >= 0 and (needed_ms < 0 or known_ms < needed_ms):
        raise ConfigurationError(
            f"{replays} has retention.ms={known_ms}, which forgets what was sent back while it may still lie on"
            f" {letters}: `kafka-configs --alter --entity-type topics --entity-name {replays}"
            f" --add-config retention.ms={needed_ms}`"
        )


@asynccontextmanager
async def _consumer(brokers: Brokers) -> AsyncIterator[AIOKafkaConsumer]:
    """Outside any group: it commits nothing and disturbs nobody. What goes wrong with it is told in our words."""
    consumer = AIOKafkaConsumer(
        **brokers.client_options,
        client_id="sluice-replay",
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # of what expires while it is read
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
        max_poll_records=_POLL_RECORDS,
    )
    try:
        await consumer.start()
        yield consumer
    except TopicAuthorizationFailedError as error:
        raise ConfigurationError(f"the broker does not allow reading {error.args[0]}: allow Read on it") from error
    except KafkaError as error:
        raise ReplayEnded(f"the broker failed while it was read ({error!r}): run it again") from error
    finally:
        await _stop(consumer)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """Also where the broker is away: aiokafka then lets out that it has cancelled its own fetch."""
    try:
        await consumer.stop()
    except (KafkaError, asyncio.CancelledError):
        await consumer._client.close()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


async def _present(consumer: AIOKafkaConsumer, topic: str, found: Existing) -> dict[int, range]:
    """The committed offsets of each partition, as of now."""
    partitions = [TopicPartition(topic, number) for number in range(found.partitions)]
    first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    return {partition.partition: range(first[partition], end[partition]) for partition in partitions}


async def _since(
    consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[int, range], since_ms: int
) -> dict[int, range]:
    """Without what lies before the first record of that time: nothing there is of that time."""
    found = await consumer.offsets_for_times({TopicPartition(topic, number): since_ms for number in offsets})
    return {
        partition.partition: range(max(span.start, at.offset), span.stop) if at is not None else range(0)
        for partition, at in found.items()
        for span in (offsets[partition.partition],)
    }


async def _read(
    consumer: AIOKafkaConsumer, topic: str, offsets: Mapping[int, range]
) -> AsyncIterator[tuple[list[ConsumerRecord], int]]:
    """Records at these offsets, one partition after the other, with how many offsets are read. No records where none
    came for a while, so that whoever reads may stop. Raises ReplayEnded where the broker is silent for long."""
    before = 0
    for number, span in offsets.items():
        partition, position, silent_s = TopicPartition(topic, number), span.start, 0.0
        if span:
            consumer.assign([partition])
            consumer.seek(partition, span.start)
        while position < span.stop:
            polled = await consumer.getmany(timeout_ms=int(_POLL_SECONDS * 1000))
            last, position = position, await consumer.position(partition)
            silent_s = 0.0 if position > last else silent_s + _POLL_SECONDS
            if silent_s > limits.REPLAY_SILENCE_SECONDS_MAX:
                raise ReplayEnded(f"the broker gives nothing of {topic}/{number} for {silent_s:.0f} s: run it again")
            records = [record for record in polled.get(partition, ()) if record.offset < span.stop]
            yield records, before + min(position, span.stop) - span.start
        before += len(span)


async def _value_at_origin(brokers: Brokers, going: Going) -> bytes | None:
    """The value as the record still has it; None where the record is gone, or another has its offset."""
    letter = going.letter
    here = range(letter.offset, letter.offset + 1)
    async with _consumer(brokers) as consumer:
        partition = TopicPartition(letter.topic, letter.partition)
        first, end = await consumer.beginning_offsets([partition]), await consumer.end_offsets([partition])
        if not first[partition] <= letter.offset < end[partition]:
            return None
        async for records, _ in _read(consumer, letter.topic, {letter.partition: here}):
            for record in records:
                if (record.timestamp, record.key) == (letter.timestamp_ms, going.key):
                    value: bytes | None = record.value
                    return value
    return None
