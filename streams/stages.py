"""What each stage does with a record: the glue between Kafka records and `processors`."""

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from processors.clock import Clock
from processors.errors import BudgetSpent
from processors.items import Glimpse, Ignored, Item
from processors.normalise.normaliser import Normaliser
from processors.triage import Known, Triage, Triaged
from streams.engine.stage import Later, Outputs
from topics import codec
from topics.catalog import DECISIONS, RESOLUTIONS, Names, Stage, escalations
from topics.headers import TRACEPARENT, EventHeaders
from topics.limits import PARK_SECONDS_MIN
from topics.messages import AgentTier, Decision, Escalation, Parked, Rejected, Resolution
from topics.records import Out, Record, message_id
from topics.stencils import Filling

if TYPE_CHECKING:
    from processors.agents.resolver import Resolver

log = logging.getLogger(__name__)

_Again = tuple[int, Record, Item | Ignored | Glimpse, Known]  # the place among the results; what is given again


class TriageStage:
    """inputs → decisions, escalations.*"""

    def __init__(
        self, names: Names, topics: Mapping[str, tuple[Normaliser, Triage, Literal["none", "key"]]], clock: Clock
    ) -> None:
        """`topics`: for each input topic how its records are read, decided and ordered."""
        self._topics = topics
        self._clock = clock
        self._write = _Writer(names, "triage", clock)

    def order(self, topic: str) -> Literal["none", "key"]:
        return self._topics[topic][2]

    def lookback(self, topic: str) -> int:
        return self._topics[topic][0].lookback

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        """What is decided as a message like it was before is gathered and written together, with no Decision each."""
        topic = records[0].topic
        if topic not in self._topics:  # parked under an earlier policy
            told = f"no stream of the policy reads topic '{topic}': add it to one, or send the record elsewhere"
            return [Rejected("policy", told)] * len(records)
        normaliser, triage, _ = self._topics[topic]
        glimpse, read, decided_again = normaliser.glimpse, normaliser.read, triage.again
        taken_s = self._clock.monotonic()
        results: list[Outputs | Later] = []
        again: list[_Again] = []
        for record in records:
            try:
                seen = glimpse(record) or read(record)
                if isinstance(seen, Rejected):
                    results.append(seen)
                elif (known := decided_again(seen)) is not None:
                    again.append((len(results), record, seen, known))
                    results.append(())  # its place
                else:
                    results.append(self._first(record, normaliser, triage, seen))
            except Exception as error:  # noqa: BLE001 one record's: those before it must not be taken twice
                results.append(_failed(record, error))
        if again:
            seconds = self._clock.monotonic() - taken_s
            self._write_again(again, results, seconds)
            triage.count([known for _, _, _, known in again], seconds)
        return results

    def _first(
        self, record: Record, normaliser: Normaliser, triage: Triage, seen: Item | Ignored | Glimpse
    ) -> Outputs | Later:
        """Of a record that is like none before it, or that needs all of its message."""
        read = normaliser.read(record) if isinstance(seen, Glimpse) else seen
        if isinstance(read, Rejected):
            return read
        if triaged := triage.free(read):
            return self._outputs(record, read, triaged)
        assert isinstance(read, Item), "what is ignored is free"
        return functools.partial(self._ask, record, triage, read)

    def _write_again(self, again: Sequence[_Again], results: list[Outputs | Later], seconds: float) -> None:
        """Puts what is decided again into its places."""
        latency_ms, now_ms = round(seconds * 1000, 3), int(self._clock.time() * 1000)
        topic, headers = self._write.decisions
        fillings: dict[int, Filling] = {}  # by partition: parked records come from several
        for place, record, seen, known in again:
            try:
                filling = fillings.get(record.partition)
                if filling is None:
                    filling = fillings[record.partition] = Filling(record.topic, record.partition, latency_ms)
                decision_id, value = filling.decision(known.stencil, record, seen.session)
                around = headers(decision_id, now_ms, seen.traceparent)
                out = tuple.__new__(Out, (topic, record.key, value, around, None))  # at half the price of Out(…)
                results[place] = (out,)
            except Exception as error:  # noqa: BLE001 as above
                results[place] = _failed(record, error)

    async def _ask(self, record: Record, triage: Triage, item: Item) -> Outputs:
        try:
            triaged = await triage.ask(item)
        except BudgetSpent as error:
            if error.when_spent != "park" or not triage.parkable or error.retry_after_s < PARK_SECONDS_MIN:
                raise
            return Parked(round((self._clock.time() + error.retry_after_s) * 1000), str(error))
        return self._outputs(record, item, triaged)

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


def _failed(record: Record, error: Exception) -> Rejected:
    log.error("triage: %s is rejected", message_id(record), exc_info=error)
    return Rejected("internal", f"{type(error).__name__}: {error}")


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
        self.decisions = names.topic(DECISIONS), EventHeaders(stage, "decision")
        self._resolutions = names.topic(RESOLUTIONS), EventHeaders(stage, "resolution", part=stage)
        self._escalations: dict[AgentTier, tuple[str, EventHeaders]] = {
            tier: (names.topic(escalations(tier)), EventHeaders(stage, "escalation", part=tier))
            for tier in get_args(AgentTier)
        }

    def decision(self, record: Record, decision: Decision, traceparent: bytes | None) -> Out:
        return self._out(*self.decisions, record, decision, traceparent)

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
