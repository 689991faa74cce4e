"""What each stage does with a record: the glue between Kafka records and `processors`."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from processors.clock import Clock
from processors.items import Ignored, Item
from processors.normalise.normaliser import Normaliser
from processors.triage import Triage, Triaged
from streams.engine.stage import Later, Outputs
from topics import codec
from topics.catalog import DECISIONS, RESOLUTIONS, Names, Stage, escalations
from topics.headers import TRACEPARENT, EventHeaders
from topics.messages import AgentTier, Decision, Escalation, Rejected, Resolution
from topics.records import Out, Record

if TYPE_CHECKING:
    from processors.agents.resolver import Resolver


class TriageStage:
    """inputs → decisions, escalations.*"""

    def __init__(
        self, names: Names, topics: Mapping[str, tuple[Normaliser, Triage, Literal["none", "key"]]], clock: Clock
    ) -> None:
        """`topics`: for each input topic how its records are read, decided and ordered."""
        self._topics = topics
        self._write = _Writer(names, "triage", clock)

    def order(self, topic: str) -> Literal["none", "key"]:
        return self._topics[topic][2]

    def lookback(self, topic: str) -> int:
        return self._topics[topic][0].lookback

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        normaliser, triage, _ = self._topics[records[0].topic]
        results: list[Outputs | Later] = []
        for record in records:
            read = normaliser.read(record)
            if isinstance(read, Rejected):
                results.append(read)
            elif triaged := triage.free(read):
                results.append(self._outputs(record, read, triaged))
            else:
                assert isinstance(read, Item), "what is ignored is free"
                results.append(functools.partial(self._ask, record, triage, read))
        return results

    async def _ask(self, record: Record, triage: Triage, item: Item) -> Outputs:
        return self._outputs(record, item, await triage.ask(item))

    def _outputs(self, record: Record, read: Item | Ignored, triaged: Triaged) -> Outputs:
        decision = self._write.decision(record, triaged.decision, read.traceparent)
        if triaged.escalation is None:
            return (decision,)
        return (decision, self._write.escalation(record, triaged.escalation, read.traceparent))

    def recall(self, records: Sequence[Record]) -> None:
        normaliser = self._topics[records[0].topic][0]
        for record in records:
            normaliser.recall(record)

    def forget(self, topic: str, partition: int) -> None:
        self._topics[topic][0].forget(topic, partition)


class AgentStage:
    """escalations.<tier> → resolutions, or escalations of the next tier"""

    def __init__(self, names: Names, tier: AgentTier, resolver: "Resolver", clock: Clock) -> None:
        self._resolver = resolver
        self._write = _Writer(names, tier, clock)

    def order(self, topic: str) -> Literal["none", "key"]:  # noqa: ARG002
        return "none"

    def lookback(self, topic: str) -> int:  # noqa: ARG002
        return 0

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        return [self._take(record) for record in records]

    def _take(self, record: Record) -> Outputs | Later:
        if record.value is None:
            return ()  # somebody erased it
        try:
            escalation = codec.decode(Escalation, record.value)
        except codec.Undecodable as error:
            return Rejected("unknown_shape", f"not an Escalation: {error}")
        return functools.partial(self._resolve, record, escalation)

    async def _resolve(self, record: Record, escalation: Escalation) -> Outputs:
        traceparent = next((value for name, value in record.headers if name == TRACEPARENT), None)
        match await self._resolver.resolve(escalation, traceparent):
            case Resolution() as resolution:
                return (self._write.resolution(record, resolution, traceparent),)
            case Escalation() as climbing:
                return (self._write.escalation(record, climbing, traceparent),)

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass


class _Writer:
    """Values to records: the topic, the input's key, CloudEvents headers, the sender's traceparent."""

    def __init__(self, names: Names, stage: Stage, clock: Clock) -> None:
        self._clock = clock
        self._decisions = names.topic(DECISIONS), EventHeaders(stage, "decision")
        self._resolutions = names.topic(RESOLUTIONS), EventHeaders(stage, "resolution", part=stage)
        self._escalations: dict[AgentTier, tuple[str, EventHeaders]] = {
            tier: (names.topic(escalations(tier)), EventHeaders(stage, "escalation", part=tier))
            for tier in get_args(AgentTier)
        }

    def decision(self, record: Record, decision: Decision, traceparent: bytes | None) -> Out:
        return self._out(*self._decisions, record, decision, traceparent)

    def escalation(self, record: Record, escalation: Escalation, traceparent: bytes | None) -> Out:
        return self._out(*self._escalations[escalation.to], record, escalation, traceparent)

    def resolution(self, record: Record, resolution: Resolution, traceparent: bytes | None) -> Out:
        return self._out(*self._resolutions, record, resolution, traceparent)

    def _out(
        self,
        topic: str,
        headers: EventHeaders,
        record: Record,
        value: Decision | Escalation | Resolution,
        traceparent: bytes | None,
    ) -> Out:
        now_ms = int(self._clock.time() * 1000)
        return Out(topic, record.key, codec.encode(value), headers(value.id, now_ms, traceparent))
