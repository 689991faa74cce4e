"""Writes records of files to an input topic."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.structs import RecordMetadata

from processors import sessions
from processors.errors import ConfigurationError
from processors.policy import Stream
from streams import topics_admin
from streams.brokers import Brokers
from streams.sources import FileRecord
from topics import limits
from topics.inputs import read_log
from topics.log_lines import LogLine

_OUTSTANDING_MAX = 5_000  # sends not yet acknowledged: bounds memory while the broker is slow
_OUTSTANDING_BYTES_MAX = 64 * limits.MIB  # may all go in one request, and a broker takes 100 MiB; a larger goes alone


@dataclass(frozen=True, slots=True)
class Written:
    """Where a record went."""

    partition: int
    offset: int
    timestamp_ms: int


async def ingest(
    records: AsyncIterable[FileRecord],
    topic: str,
    brokers: Brokers,
    *,
    on_written: Callable[[FileRecord, Written], None] = lambda _record, _written: None,
) -> int:
    """Sends every record to `topic`, in order, and gives their number once all are acknowledged by all replicas.

    Raises ConfigurationError, naming record, rule and remedy, at the first that the topic does not admit; what
    came before it is written.
    """
    producer = AIOKafkaProducer(
        **brokers.client_options,
        enable_idempotence=True,
        acks="all",
        compression_type="lz4",
        linger_ms=20,
        max_request_size=limits.DEAD_LETTER_VALUE_BYTES_MAX,
        client_id="sluice-ingest",
    )
    outstanding: deque[tuple[FileRecord, asyncio.Future[RecordMetadata]]] = deque()
    outstanding_bytes = count = 0

    async def settle() -> None:
        nonlocal outstanding_bytes
        record, future = outstanding.popleft()
        outstanding_bytes -= _size(record)
        try:
            metadata = await future
        except MessageSizeTooLargeError:
            raise _too_large(record, f"topic '{topic}'", await _limit(topic, brokers)) from None
        except TopicAuthorizationFailedError:
            raise _not_allowed(topic) from None
        on_written(record, Written(metadata.partition, metadata.offset, metadata.timestamp))

    await producer.start()
    try:
        await _must_exist(producer, topic)
        async for record in records:
            while outstanding and outstanding_bytes + _size(record) > _OUTSTANDING_BYTES_MAX:
                await settle()
            try:
                future = await producer.send(
                    topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    timestamp_ms=record.timestamp_ms,
                )
            except MessageSizeTooLargeError:
                raise _too_large(record, "any broker", limits.DEAD_LETTER_VALUE_BYTES_MAX) from None
            outstanding.append((record, future))
            outstanding_bytes += _size(record)
            count += 1
            while outstanding and (outstanding[0][1].done() or len(outstanding) >= _OUTSTANDING_MAX):
                await settle()
        while outstanding:
            await settle()
    finally:
        for _, future in outstanding:
            future.cancel()
        await producer.stop()
    return count


async def keyed(stream: Stream, records: AsyncIterable[FileRecord]) -> AsyncIterator[FileRecord]:
    """`records` with their session as the key, where the stream's lines are judged by session and they have no other:
    all lines of a session have to be in one partition."""
    key_of = None if stream.session is None else sessions.key_of(stream.session)
    async for record in records:
        session = None
        if key_of is not None and record.key is None:
            line = read_log(record.value, stream.format)
            session = key_of(line.text, line.fields) if isinstance(line, LogLine) else None
        yield record if session is None else replace(record, key=session.encode(errors="replace"))


def _size(record: FileRecord) -> int:
    return len(record.key or b"") + len(record.value or b"")


async def _must_exist(producer: AIOKafkaProducer, topic: str) -> None:
    """Raises ConfigurationError for a topic that is not there, instead of waiting for somebody to create it."""
    try:
        async with asyncio.timeout(10):
            await producer.partitions_for(topic)
    except TopicAuthorizationFailedError:
        raise _not_allowed(topic) from None
    except (TimeoutError, UnknownTopicOrPartitionError):
        raise ConfigurationError(
            f"topic '{topic}' does not exist. Create it (`sluice topics apply --inputs` creates the policy's inputs)."
        ) from None


async def _limit(topic: str, brokers: Brokers) -> int | None:
    """The topic's max.message.bytes; None where we may not look."""
    try:
        async with topics_admin.connected(brokers) as admin:
            there = await topics_admin.existing(admin, [topic])
    except ConfigurationError:
        return None
    return int(there[topic].config["max.message.bytes"]) if topic in there else None


def _not_allowed(topic: str) -> ConfigurationError:
    return ConfigurationError(f"the broker does not allow writing to topic '{topic}': allow Write on it to this user")


def _too_large(record: FileRecord, who: str, bytes_max: int | None) -> ConfigurationError:
    admits = "" if bytes_max is None else f" (max.message.bytes = {bytes_max:,})"
    return ConfigurationError(
        f"{record.place}: a record of {len(record.value or b''):,} bytes is larger than {who} admits{admits}. "
        f"Raise the topic's max.message.bytes (Sluice decides records of up to {limits.INPUT_VALUE_BYTES_MAX:,} bytes, "
        "a mail on a cut text), or leave the record out."
    )
