"""A new policy beside the one that runs: recent messages decided by it too, and where the two differ.

Nothing is written to Kafka. What was decided is read from `decisions`, the messages from their inputs; a message that
is no longer there is counted and left out.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.errors import AnswerError, BudgetSpent, ConfigurationError
from processors.items import Ignored, Item
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy, Stream
from processors.triage import Triage
from streams import topics_admin
from streams.brokers import Brokers
from streams.framed import Framed
from topics import codec, limits
from topics.catalog import DECISIONS
from topics.messages import Decision, Rejected

_POLL_MS = 1_000
_SILENT_POLLS_MAX = 10  # of one second each, while records are known to be there


@dataclass(frozen=True, slots=True)
class Pair:
    """One message under both policies."""

    text: str
    before: Decision
    after: Decision | Rejected

    @property
    def differs(self) -> tuple[str, ...]:
        """The names of what is not the same: label, severity, escalated_to, fields; or `rejected`."""
        if isinstance(self.after, Rejected):
            return ("rejected",)
        names = ("label", "severity", "escalated_to", "fields")
        return tuple(name for name in names if getattr(self.before, name) != getattr(self.after, name))


@dataclass(slots=True)
class Shadow:
    """One stream's comparison."""

    stream: str
    pairs: list[Pair] = field(default_factory=list)
    gone: int = 0  # decided, and no longer in the input topic
    unpaid: int = 0  # left out when the money was spent

    @property
    def differing(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.differs]

    @property
    def labels(self) -> Mapping[tuple[str, str], int]:
        """How often which label became which other, the most frequent first."""
        changed = Counter(
            (pair.before.label, pair.after.reason if isinstance(pair.after, Rejected) else pair.after.label)
            for pair in self.pairs
            if "label" in pair.differs or "rejected" in pair.differs
        )
        return dict(changed.most_common())

    @property
    def usd(self) -> tuple[float, float]:
        """Dollars of triage under the old policy and under the new one."""
        before = sum(pair.before.cost_usd_micros for pair in self.pairs)
        after = sum(pair.after.cost_usd_micros for pair in self.pairs if isinstance(pair.after, Decision))
        return before / 1e6, after / 1e6

    @property
    def escalations(self) -> tuple[int, int]:
        """Messages that climbed under the old policy, and under the new one."""
        after = [pair.after for pair in self.pairs if isinstance(pair.after, Decision)]
        return sum(p.before.escalated_to is not None for p in self.pairs), sum(
            d.escalated_to is not None for d in after
        )


async def compare(
    policy: Policy, triages: Mapping[str, Triage], brokers: Brokers, messages: int, framed: Framed | None = None
) -> list[Shadow]:
    """The last `messages` decisions of each stream that `triages` has, decided again by it.

    Raises ConfigurationError where topics are missing. A budget that is spent ends the comparison, not the command.
    """
    async with AsyncExitStack() as open_:
        consumer = AIOKafkaConsumer(
            **brokers.client_options,
            client_id="sluice-shadow",
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        await consumer.start()
        open_.push_async_callback(consumer.stop)
        decided = await _recent(consumer, policy.kafka.names.topic(DECISIONS), triages.keys(), messages)
        return [
            await _compare(name, policy.streams[name], consumer, triage, decided.get(name, []), framed)
            for name, triage in triages.items()
        ]


async def _recent(
    consumer: AIOKafkaConsumer, topic: str, streams: Set[str], messages: int
) -> Mapping[str, Sequence[Decision]]:
    """Each stream's last decisions, oldest first."""
    await topics_admin.assign(consumer, [topic], from_beginning=True)
    partitions = consumer.assignment()
    ends = await consumer.end_offsets(partitions)
    found: dict[str, list[tuple[int, Decision]]] = defaultdict(list)
    back = messages * max(len(streams), 1) * 2  # transaction markers take offsets, too
    for partition in partitions:
        start = ends[partition] - min(back, limits.SHADOW_RECORDS_MAX)
        async for record in _between(consumer, partition, start, ends[partition]):
            try:
                decision = codec.decode(Decision, record.value or b"")
            except codec.Undecodable:
                continue  # somebody else's, or a tombstone
            if decision.stream in streams:
                found[decision.stream].append((record.timestamp, decision))
    return {
        name: [decision for _, decision in sorted(those, key=lambda each: each[0])[-messages:]]
        for name, those in found.items()
    }


async def _compare(
    name: str,
    stream: Stream,
    consumer: AIOKafkaConsumer,
    triage: Triage,
    decided: Sequence[Decision],
    framed: Framed | None,
) -> Shadow:
    shadow = Shadow(name)
    wanted: dict[TopicPartition, dict[int, Decision]] = defaultdict(dict)
    for decision in decided:
        if decision.source.topic in stream.topics:
            wanted[TopicPartition(decision.source.topic, decision.source.partition)][decision.source.offset] = decision
        else:
            shadow.gone += 1
    normaliser = normaliser_for(name, stream)
    read: list[tuple[Decision, Item | Ignored | Rejected]] = []
    for partition, by_offset in wanted.items():
        end = max(by_offset) + 1
        start = max(min(by_offset) - normaliser.lookback, end - limits.SHADOW_RECORDS_MAX)
        consumer.assign([partition])
        async for record in _between(consumer, partition, start, end):
            plain = record if framed is None else await framed.natural(record)
            if record.offset in by_offset:
                seen = plain if isinstance(plain, Rejected) else normaliser.read(plain)
                read.append((by_offset.pop(record.offset), seen))
            elif not isinstance(plain, Rejected):
                normaliser.recall(plain)
        shadow.gone += len(by_offset)
    for outcome in await asyncio.gather(*(_decide(triage, before, seen) for before, seen in read)):
        if outcome is None:
            shadow.unpaid += 1
        else:
            shadow.pairs.append(outcome)
    return shadow


async def _decide(triage: Triage, before: Decision, seen: Item | Ignored | Rejected) -> Pair | None:
    """None where there is no money left for it."""
    text = seen.text if isinstance(seen, Item) else ""
    if isinstance(seen, Rejected):
        return Pair(text, before, seen)
    try:
        triaged = triage.free(seen)
        if triaged is None:
            assert isinstance(seen, Item), "what is ignored is free"
            triaged = await triage.ask(seen)
    except AnswerError as error:
        return Pair(text, before, Rejected("model_invalid", str(error)))
    except BudgetSpent:
        return None
    return Pair(text, before, triaged.decision)


async def _between(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> AsyncIterator[ConsumerRecord]:
    """The records of an assigned partition in [start, end) that are there."""
    start = max(start, (await consumer.beginning_offsets([partition]))[partition])
    end = min(end, (await consumer.end_offsets([partition]))[partition])
    if start >= end:
        return
    consumer.seek(partition, start)
    silent = 0
    while await consumer.position(partition) < end:
        polled = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=limits.POLL_RECORDS_MAX)
        silent = 0 if polled else silent + 1
        if silent == _SILENT_POLLS_MAX:
            raise ConfigurationError(
                f"{partition.topic}/{partition.partition}: nothing came for {_SILENT_POLLS_MAX} s, and there is more, "
                f"up to offset {end}: is a transaction open, or the broker away?"
            )
        for record in polled.get(partition, []):
            if record.offset < end:
                yield record
