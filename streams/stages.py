"""What each stage does with a record: the glue between Kafka records and `processors`."""

import functools
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from processors.bursts import Bursts
from processors.clock import Clock
from processors.errors import AnswerLater, BudgetSpent
from processors.items import Glimpse, Ignored, Item
from processors.normalise.normaliser import Normaliser
from processors.policy import Session
from processors.referee import Referee
from processors.signals import Signals, event_ms
from processors.triage import Known, Triage, Triaged
from streams.engine.stage import Gathering, Later, Outputs, Outs
from streams.framed import Framed
from streams.reading import Reading, Waiting
from streams.session_stage import SessionKeeper
from topics import codec
from topics.catalog import AUDITS, DECISIONS, LESSONS, RESOLUTIONS, SIGNALS, Names, Stage, escalations
from topics.headers import TRACEPARENT, EventHeaders
from topics.limits import PARK_SECONDS_MAX, PARK_SECONDS_MIN
from topics.messages import AgentTier, Audit, Decision, Escalation, Lesson, Parked, Rejected, Resolution, Signal
from topics.records import Out, Record, message_id
from topics.stencils import Filling

if TYPE_CHECKING:
    from processors.agents.resolver import Resolver

log = logging.getLogger(__name__)

_Fresh = tuple[int, Record, Item | Ignored | Glimpse]  # the place among the results
_Again = tuple[int, Record, Item | Ignored | Glimpse, Known]  # the place among the results; what is given again


class TriageStage:
    """inputs → decisions, escalations.*, signals"""

    def __init__(
        self,
        names: Names,
        topics: Mapping[str, tuple[Normaliser, Triage, Literal["none", "key"]]],
        clock: Clock,
        framed: Framed | None = None,
    ) -> None:
        """`topics`: for each input topic how its records are read, decided and ordered. `framed`: of the schema
        registry, where there is one."""
        self._topics = topics
        self._clock = clock
        self._reading = None if framed is None else Reading(framed)
        self._write = _Writer(names, "triage", clock)
        self._sessions: dict[tuple[str, int], SessionKeeper] = {}  # of log lines, by partition

    def adopt(self, triages: Mapping[str, Triage]) -> None:
        """From here on these decide what is taken of their topics; what was taken before ends as it began."""
        self._topics = {
            topic: (normaliser, triages.get(topic, triage), order)
            for topic, (normaliser, triage, order) in self._topics.items()
        }

    def order(self, topic: str) -> Literal["none", "key"]:
        return self._topics[topic][2]

    def lookback(self, topic: str) -> int:
        return self._topics[topic][0].lookback

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later | Gathering]:
        """What is decided as a message like it was before is gathered and written together, with no Decision each."""
        topic = records[0].topic
        if topic not in self._topics:  # parked under an earlier policy
            told = f"no stream of the policy reads topic '{topic}': add it to one, or send the record elsewhere"
            return [Rejected("policy", told)] * len(records)
        normaliser, triage, _ = self._topics[topic]
        glimpse, decided_again, referee = normaliser.glimpse, triage.recogniser(), triage.referee
        coins = itertools.repeat(False) if referee is None else referee.audits_among(records)
        read = normaliser.read if self._reading is None else functools.partial(self._reading.read, normaliser)
        taken_s = self._clock.monotonic()
        results: list[Outputs | Later | Gathering] = []
        again: list[_Again] = []
        fresh: list[_Fresh] = []
        for record, audited in zip(records, coins, strict=False):
            try:
                seen: Item | Ignored | Glimpse | None = glimpse(record)
                if seen is None:
                    whole = read(record)
                    if isinstance(whole, Rejected):
                        results.append(whole)
                        continue
                    if isinstance(whole, Waiting):
                        results.append(functools.partial(self._read_first, record, normaliser, triage, whole))
                        continue
                    seen = whole
                if normaliser.session is not None and isinstance(seen, Item) and seen.session is not None:
                    results.append(self._keeper(record, normaliser.session).take(record, seen, triage))
                    continue
                known = decided_again(seen, record.timestamp)
                if known is not None and not (audited and known.audited):
                    again.append((len(results), record, seen, known))
                    results.append(())  # its place
                elif referee is not None:
                    fresh.append((len(results), record, seen))
                    results.append(())
                else:
                    results.append(self._first(record, normaliser, triage, seen))
            except Exception as error:  # noqa: BLE001 one record's: those before it must not be taken twice
                results.append(_failed(record, error))
        if again:
            seconds = self._clock.monotonic() - taken_s
            self._write_again(again, results, seconds, triage)
            triage.count([known for _, _, _, known in again], seconds)
            if referee is not None and referee.has_looks:
                _note_looks(again, normaliser, referee)
        if fresh:
            self._decide_together(fresh, results, normaliser, triage)
        if triage.bursts is not None:
            self._tell_bursts(triage.bursts, records[0], results)
        return results

    def _decide_together(
        self,
        fresh: Sequence[_Fresh],
        results: list[Outputs | Later | Gathering],
        normaliser: Normaliser,
        triage: Triage,
    ) -> None:
        """Of messages that are like none before them: a student judges them all at once."""
        assert triage.referee is not None
        items: list[tuple[int, Record, Item | Ignored]] = []
        for place, record, seen in fresh:
            try:
                read = normaliser.read(record) if isinstance(seen, Glimpse) else seen
                if isinstance(read, Rejected):
                    results[place] = read
                else:
                    items.append((place, record, read))
            except Exception as error:  # noqa: BLE001 as above
                results[place] = _failed(record, error)
        try:
            triage.referee.foresee([item for _, _, item in items if isinstance(item, Item)])
        except Exception as error:  # each is asked for itself
            log.error("a student failed on a batch", exc_info=error)
        for place, record, item in items:
            try:
                results[place] = self._first(record, normaliser, triage, item)
            except Exception as error:  # noqa: BLE001 as above
                results[place] = _failed(record, error)

    def _first(
        self, record: Record, normaliser: Normaliser, triage: Triage, seen: Item | Ignored | Glimpse
    ) -> Outputs | Later:
        """Of a record that is like none before it, or that needs all of its message."""
        read = normaliser.read(record) if isinstance(seen, Glimpse) else seen
        if isinstance(read, Rejected):
            return read
        if triaged := triage.free(read):
            return self._outputs(record, triage, read, triaged)
        assert isinstance(read, Item), "what is ignored is free"
        return functools.partial(self._ask, record, triage, read)

    async def _read_first(self, record: Record, normaliser: Normaliser, triage: Triage, waiting: Waiting) -> Outputs:
        """Of a record that waits for its schema."""
        assert self._reading is not None, "it made the record wait"
        seen = await self._reading.seen(waiting)
        result = seen if isinstance(seen, Rejected) else self._first(record, normaliser, triage, seen)
        return await result() if callable(result) else result

    def _write_again(
        self, again: Sequence[_Again], results: list[Outputs | Later | Gathering], seconds: float, triage: Triage
    ) -> None:
        """Puts what is decided again into its places."""
        latency_ms, now_ms = round(seconds * 1000, 3), int(self._clock.time() * 1000)
        topic, headers = self._write.decisions
        fillings: dict[int, Filling] = {}  # by partition: parked records come from several
        counting: list[_Again] = []
        for place, record, seen, known in again:
            try:
                filling = fillings.get(record.partition)
                if filling is None:
                    filling = fillings[record.partition] = Filling(record.topic, record.partition, latency_ms)
                decision_id, value = filling.decision(known.stencil, record, seen.session)
                around = headers(decision_id, now_ms, seen.traceparent)
                out = tuple.__new__(Out, (topic, record.key, value, around, None))  # at half the price of Out(…)
                results[place] = (out,)
                if known.counts:
                    counting.append((place, record, seen, known))
            except Exception as error:  # noqa: BLE001 as above
                results[place] = _failed(record, error)
        if counting:
            self._count_again(counting, results, now_ms, triage.bursts)

    def _count_again(
        self, again: Sequence[_Again], results: list[Outputs | Later | Gathering], now_ms: int, bursts: Bursts | None
    ) -> None:
        """Of what is decided again, what counts. One Signal for all that counts toward the same alert in the same
        second, with the last of it: it is committed together. Where each key keeps its order it may not be, and each
        decision has its own."""
        together = self.order(again[0][1].topic) == "none"
        groups: dict[tuple[str, int], tuple[int, int, _Again]] = {}
        for one in again:
            place, record, seen, known = one
            at_ms = event_ms(record.timestamp, now_ms)
            if bursts is not None and known.template is not None:
                where = record.topic, record.partition
                bursts.count(where, seen.tenant, known.template, at_ms, message_id(record))
            if known.signal is None:
                continue
            like = known.signal.fingerprint, at_ms // 1000 if together else place
            groups[like] = (groups[like][0] + 1 if like in groups else 1), at_ms, one
        for count, at_ms, (place, record, seen, known) in groups.values():
            assert known.signal is not None
            signal = replace(known.signal, count=count, at_ms=at_ms, id=message_id(record))
            _add(results, place, self._write.signal(signal, seen.traceparent))

    def _tell_bursts(self, bursts: Bursts, first: Record, results: list[Outputs | Later | Gathering]) -> None:
        """With the last record that is ready; where none is, with the next batch's."""
        place = next((at for at in reversed(range(len(results))) if isinstance(results[at], tuple)), None)
        if place is not None:
            for signal in bursts.due((first.topic, first.partition)):
                _add(results, place, self._write.signal(signal, None))

    async def _ask(self, record: Record, triage: Triage, item: Item) -> Outputs:
        try:
            triaged = await triage.ask(item)
        except BudgetSpent as error:
            if error.when_spent != "park" or not triage.parkable or error.retry_after_s < PARK_SECONDS_MIN:
                raise
            return self._parked(error.retry_after_s, str(error))
        except AnswerLater as error:
            return self._parked(error.again_s, str(error))
        outputs = self._outputs(record, triage, item, triaged)
        if triage.bursts is None:
            return outputs
        due = triage.bursts.due((record.topic, record.partition))
        return (*outputs, *(self._write.signal(signal, None) for signal in due))

    def _parked(self, seconds: float, why: str) -> Parked:
        return Parked(round((self._clock.time() + min(seconds, PARK_SECONDS_MAX)) * 1000), why)

    def _outputs(self, record: Record, triage: Triage, read: Item | Ignored, triaged: Triaged) -> Outs:
        outs = [self._write.decision(record, triaged.decision, read.traceparent)]
        if triaged.escalation is not None:
            outs.append(self._write.escalation(record, triaged.escalation, read.traceparent))
        if triaged.signal is not None:
            outs.append(self._write.signal(triaged.signal, read.traceparent))
        if triaged.audit is not None:
            outs.append(self._write.audit(record, triaged.audit))
        if triaged.lesson is not None:
            outs.append(self._write.lesson(record, triaged.lesson))
        template = triaged.decision.template
        if triage.bursts is not None and template is not None:
            at_ms = event_ms(record.timestamp, int(self._clock.time() * 1000))
            place = record.topic, record.partition
            triage.bursts.count(place, read.tenant, template, at_ms, triaged.decision.id)
        return tuple(outs)

    # --- sessions of log lines

    def _keeper(self, record: Record, spec: Session) -> SessionKeeper:
        place = record.topic, record.partition
        keeper = self._sessions.get(place)
        if keeper is None:
            keeper = SessionKeeper(spec, self._clock, self._session_outputs, self._line_output)
            self._sessions[place] = keeper
        return keeper

    def _session_outputs(self, record: Record, triage: Triage, item: Item, triaged: Triaged) -> Outs:
        """Of a session's last line, with what is said about the session."""
        outputs = self._outputs(record, triage, item, triaged)
        if triage.bursts is None:
            return outputs
        due = triage.bursts.due((record.topic, record.partition))
        return (*outputs, *(self._write.signal(signal, None) for signal in due))

    def _line_output(self, record: Record, triage: Triage, decision: Decision, traceparent: bytes | None) -> Out:
        """Of its other lines."""
        if triage.bursts is not None and decision.template is not None:
            at_ms = event_ms(record.timestamp, int(self._clock.time() * 1000))
            place = record.topic, record.partition
            triage.bursts.count(place, decision.tenant, decision.template, at_ms, decision.id)
        return self._write.decision(record, decision, traceparent)

    def _recall_line(self, record: Record, normaliser: Normaliser, spec: Session) -> None:
        read = normaliser.read if self._reading is None else functools.partial(self._reading.read, normaliser)
        seen = read(record)
        if isinstance(seen, Item):
            self._keeper(record, spec).recall(record, seen)

    # ---

    def recall(self, records: Sequence[Record]) -> None:
        normaliser = self._topics[records[0].topic][0]
        recall = normaliser.recall if self._reading is None else functools.partial(self._reading.recall, normaliser)
        if normaliser.session is not None:
            recall = functools.partial(self._recall_line, normaliser=normaliser, spec=normaliser.session)
        for record in records:
            recall(record)

    def forget(self, topic: str, partition: int) -> None:
        normaliser, triage, _ = self._topics[topic]
        normaliser.forget(topic, partition)
        if self._reading is not None:
            self._reading.forget(topic, partition)
        if triage.bursts is not None:
            triage.bursts.forget((topic, partition))
        self._sessions.pop((topic, partition), None)


def _note_looks(again: Sequence[_Again], normaliser: Normaliser, referee: Referee) -> None:
    """Of what template memory has decided again, what nano is asked about too: that alone is read whole."""
    for (_, record, _, known), wanted in zip(again, referee.looks_among([one[1] for one in again]), strict=True):
        if not wanted or known.verdict is None or known.key is not None:
            continue
        if not referee.has_looks:
            return
        try:
            item = normaliser.read(record)
            if isinstance(item, Item):
                referee.look(item, known.verdict)
        except Exception as error:  # it is decided, whatever comes of this
            log.error("triage: no look at %s", message_id(record), exc_info=error)


def _add(results: list[Outputs | Later | Gathering], place: int, out: Out) -> None:
    outs = results[place]
    assert isinstance(outs, tuple)
    results[place] = (*outs, out)


def _failed(record: Record, error: Exception) -> Rejected:
    log.error("triage: %s is rejected", message_id(record), exc_info=error)
    return Rejected("internal", f"{type(error).__name__}: {error}")


class AgentStage:
    """escalations.<tier> → resolutions, or escalations of the next tier; signals; lessons"""

    def __init__(
        self,
        names: Names,
        tier: AgentTier,
        resolver: "Resolver",
        signals: Mapping[str, Signals],
        taught: Collection[str],
        clock: Clock,
    ) -> None:
        """`signals`: for each stream that the resolver knows. `taught`: those that have students."""
        self._clock = clock
        self._write = _Writer(names, tier, clock)
        self.adopt(resolver, signals, taught)

    def adopt(self, resolver: "Resolver", signals: Mapping[str, Signals], taught: Collection[str]) -> None:
        """From here on these; what was begun before ends as it began."""
        self._resolver = resolver
        self._signals = signals
        self._taught = taught

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
        signals, taught = self._signals, self._taught  # the policy may change meanwhile
        ended = await self._resolver.resolve(escalation, traceparent)
        now_ms = int(self._clock.time() * 1000)
        outs = []
        match ended:
            case Resolution():
                outs.append(self._write.resolution(record, ended, traceparent))
                if ended.status == "resolved" and ended.stream in taught:
                    outs.append(self._write.lesson(record, _lesson(ended, now_ms)))
            case Escalation():
                outs.append(self._write.escalation(record, ended, traceparent))
        if (signal := signals[escalation.stream].reviewed(escalation, ended, now_ms)) is not None:
            outs.append(self._write.signal(signal, traceparent))
        return tuple(outs)

    def recall(self, records: Sequence[Record]) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass


def _lesson(resolution: Resolution, now_ms: int) -> Lesson:
    """Without the text: an agent has no control beside it, so its word counts of what nano's control let teach."""
    return Lesson(
        id=resolution.id,
        stream=resolution.stream,
        tenant=resolution.tenant,
        at_ms=now_ms,
        policy_version=resolution.policy_version,
        label=resolution.label,
        tier=resolution.tier,
        confidence=resolution.confidence,
        text="",
    )


class _Writer:
    """Values to records: the topic, the key (the input's; a signal's fingerprint), CloudEvents headers, the sender's
    traceparent."""

    def __init__(self, names: Names, stage: Stage, clock: Clock) -> None:
        self._clock = clock
        self.decisions = names.topic(DECISIONS), EventHeaders(stage, "decision")
        self._resolutions = names.topic(RESOLUTIONS), EventHeaders(stage, "resolution", part=stage)
        self._escalations: dict[AgentTier, tuple[str, EventHeaders]] = {
            tier: (names.topic(escalations(tier)), EventHeaders(stage, "escalation", part=tier))
            for tier in get_args(AgentTier)
        }
        self._audits = names.topic(AUDITS), EventHeaders(stage, "audit")
        self._lessons = names.topic(LESSONS), EventHeaders(stage, "lesson", part=None if stage == "triage" else stage)
        self._signals = names.topic(SIGNALS)
        self._of_signals = {says: EventHeaders(stage, "signal", part=says) for says in ("decided", "lines", "reviewed")}

    def decision(self, record: Record, decision: Decision, traceparent: bytes | None) -> Out:
        return self._out(*self.decisions, record.key, decision, traceparent)

    def escalation(self, record: Record, escalation: Escalation, traceparent: bytes | None) -> Out:
        return self._out(*self._escalations[escalation.to], record.key, escalation, traceparent)

    def resolution(self, record: Record, resolution: Resolution, traceparent: bytes | None) -> Out:
        return self._out(*self._resolutions, record.key, resolution, traceparent)

    def audit(self, record: Record, audit: Audit) -> Out:
        return self._out(*self._audits, record.key, audit, None)

    def lesson(self, record: Record, lesson: Lesson) -> Out:
        return self._out(*self._lessons, record.key, lesson, None)

    def signal(self, signal: Signal, traceparent: bytes | None) -> Out:
        return self._out(self._signals, self._of_signals[signal.says], signal.fingerprint.encode(), signal, traceparent)

    def _out(
        self,
        topic: str,
        headers: EventHeaders,
        key: bytes | None,
        value: Decision | Escalation | Resolution | Signal | Audit | Lesson,
        traceparent: bytes | None,
    ) -> Out:
        now_ms = int(self._clock.time() * 1000)
        return Out(topic, key, codec.encode(value), headers(value.id, now_ms, traceparent))
