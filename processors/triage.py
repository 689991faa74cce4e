"""Decides a message with the cheapest means that may: rules, exact memory, then nano. The gate says what climbs.

What rules or memory decide without an escalation is kept as a stencil, so that whole batches of such messages are
decided again without a Decision each: `again` looks whether everything that led to it is as it was.

Texts that give orders are asked alone and never remembered: an answer that its text may have dictated is not kept.
Everything else is remembered by its whole normalised text, dialogues by their window of turns and requested
escalations by their text too, because the request changes where a message goes and not what it is.
"""

import functools
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from processors.asking import Model
from processors.batches import Batches
from processors.bursts import Bursts
from processors.cache import Cache
from processors.clock import Clock
from processors.gate import Gate
from processors.injection import gives_orders
from processors.items import Glimpse, Ignored, Item
from processors.memory import Key, Keys, Memory
from processors.metrics import DECIDED, DECISION_SECONDS, ESCALATED, observe
from processors.nano import Nano
from processors.policy import Policy, Stream
from processors.questions import FREE, Answered, Bill
from processors.rules import Held, Rules
from processors.sharing import Sharing
from processors.signals import Signals
from topics.limits import KNOWN_DECISION_CHARS_MAX, KNOWN_DECISIONS_MAX
from topics.messages import IGNORED, Decision, Escalation, Means, Signal, Verdict
from topics.stencils import Stencil


@dataclass(frozen=True, slots=True)
class Triaged:
    """What became of one record."""

    decision: Decision
    escalation: Escalation | None
    signal: Signal | None  # toward an alert


class Known(NamedTuple):
    """A decision that climbs nowhere, kept to be given again."""

    stencil: Stencil
    counted: tuple[Means, str]  # by what means, and the label
    key: Key | None  # in memory, of the verdict that it rests on
    verdict: Verdict | None
    template: str | None
    signal: Signal | None  # as the first such message gave it
    counts: bool  # toward an alert or a burst; most count toward nothing, which this tells at once


class Triage:
    """Triage of one stream. `memory` may be shared by all streams; `rng` should be unpredictable to senders."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        policy: Policy,
        model: Model,
        *,
        clock: Clock,
        rng: random.Random,
        memory: Memory,
    ) -> None:
        self.parkable = stream.parkable
        self.bursts = None if stream.alerts.burst_at is None else Bursts(name, stream.alerts.burst_at)
        self._version = stream.version
        self._confidence_min = stream.confidence_min
        self._clock = clock
        self._rules = Rules(stream)
        self._keys = Keys(name, self._version, policy.tiers.nano.model)
        self._memory = memory
        self._batches = Batches(name, stream, Nano(name, stream, model, rng), clock)
        self._sharing = Sharing(self._batches)
        self._gate = Gate(stream, self._version, clock)
        self._signals = Signals(name, stream.alerts)
        # By tenant and text where it rests on memory, by tenant, template and rule, by tenant alone where ignored
        self._known: Cache[tuple[str | None, ...], Known] = Cache(KNOWN_DECISIONS_MAX)
        self._count = functools.cache(functools.partial(DECIDED.labels, name))
        self._count_escalation = functools.cache(functools.partial(ESCALATED.labels, name))
        self._seconds = DECISION_SECONDS.labels(name)

    def again(self, seen: Item | Ignored | Glimpse) -> Known | None:
        """What `free` has decided about such a message and would decide again; None where it has to be asked.

        Who takes it counts it (`count`).
        """
        if not isinstance(seen, Glimpse):
            if isinstance(seen, Ignored):
                return self._known.get((seen.tenant,))
            if seen.asked_tier is not None:
                return None
        held = self._rules.first(seen)
        if held is not None:
            return self._known.get((seen.tenant, seen.template, held.rule.name))
        known = self._known.get((seen.tenant, seen.memory_text))
        if known is None or known.key is None or self._memory.get(known.key) is not known.verdict:
            return None
        return known

    def count(self, decided: Iterable[Known], seconds: float) -> None:
        """Decisions that were given again, and the time that each of them took."""
        counts = Counter(known.counted for known in decided)
        for (by, label), times in counts.items():
            self._count(by, label).inc(times)
        observe(self._seconds, seconds, counts.total())

    def free(self, item: Item | Ignored) -> Triaged | None:
        """What rules or memory decide, at once and for nothing; None where a model has to be asked."""
        taken_s = self._clock.monotonic()
        if isinstance(item, Ignored):
            triaged = self._ignored(item, taken_s)
            self._keep((item.tenant,), triaged)
            return triaged
        return self._free(item, self._rules.first(item), taken_s)

    async def ask(self, item: Item) -> Triaged:
        """Asks nano, in company of other messages.

        Raises AccountError or ProviderUnavailable, which say nothing about the message, or AnswerError where it got
        no valid answer even alone. Cancelling takes nothing from those who travel along or wait for the same answer.
        """
        taken_s = self._clock.monotonic()
        held = self._rules.first(item)
        if free := self._free(item, held, taken_s):  # answered since it was taken
            return free
        answered = await self._answer(item)
        return self._triaged(item, answered.verdict, answered.bill, held, taken_s)

    async def close(self) -> None:
        """Abandons the calls under way. Who still waits gets ProviderUnavailable."""
        await self._batches.close()

    def _free(self, item: Item, held: Held | None, taken_s: float) -> Triaged | None:
        if held is not None and held.verdict is not None:
            triaged = self._triaged(item, held.verdict, FREE, held, taken_s)
            self._keep((item.tenant, item.template, held.rule.name), triaged)
            return triaged
        key = self._keys.key(item.tenant, item.memory_text)
        remembered = self._memory.get(key)
        if remembered is None:
            return None
        triaged = self._triaged(item, remembered, FREE, held, taken_s)
        if held is None:
            self._keep((item.tenant, item.memory_text), triaged, key, remembered)
        return triaged

    def _keep(
        self, like: tuple[str | None, ...], triaged: Triaged, key: Key | None = None, verdict: Verdict | None = None
    ) -> None:
        """Keeps a decision for all messages like this one. What climbs is decided each time: it takes the message."""
        if triaged.escalation is None:
            decision = triaged.decision
            stencil = Stencil(decision)
            if stencil.chars <= KNOWN_DECISION_CHARS_MAX:
                counted = (decision.decided_by, decision.label)
                counts = triaged.signal is not None or self.bursts is not None
                known = Known(stencil, counted, key, verdict, decision.template, triaged.signal, counts)
                self._known.put(like, known)

    async def _answer(self, item: Item) -> Answered:
        if gives_orders(item.text):
            return await self._batches.put(item, alone=True).answer()
        key = self._keys.key(item.tenant, item.memory_text)
        answered, own = await self._sharing.answer(key, item)
        from_memory = replace(answered.verdict, tier="memory")
        if not own:
            return Answered(from_memory, FREE)
        if answered.verdict.confidence is not None and answered.verdict.confidence >= self._confidence_min:
            self._memory.put(key, from_memory)
        return answered

    def _triaged(self, item: Item, verdict: Verdict, bill: Bill, held: Held | None, taken_s: float) -> Triaged:
        priority = held.rule.then.priority if held is not None else None
        escalation = self._gate.escalation(item, verdict, held.rule if held is not None else None)
        if escalation is not None:
            self._count_escalation(escalation.to, escalation.reason).inc()
        decision = Decision(
            id=item.id,
            source=item.source,
            stream=item.stream,
            tenant=item.tenant,
            label=verdict.label,
            severity=verdict.severity,
            confidence=verdict.confidence,
            priority=verdict.priority if priority is None else priority,
            fields=verdict.fields,
            summary=verdict.summary,
            template=item.template,
            session=item.session,
            decided_by=verdict.tier,
            model=verdict.model if verdict.tier == "nano" else None,
            policy_version=self._version,
            escalated_to=escalation.to if escalation is not None else None,
            batch_size=bill.batch_size,
            tokens=bill.tokens,
            cost_usd_micros=bill.cost_usd_micros,
            latency_ms=self._done(verdict.tier, verdict.label, taken_s),
        )
        return Triaged(decision, escalation, self._signals.decided(decision, round(self._clock.time() * 1000)))

    def _ignored(self, ignored: Ignored, taken_s: float) -> Triaged:
        source = ignored.source
        decision = Decision(
            id=f"{source.topic}/{source.partition}/{source.offset}",
            source=source,
            stream=ignored.stream,
            tenant=ignored.tenant,
            label=IGNORED,
            severity=None,
            confidence=None,
            priority=0,
            fields={},
            summary=None,
            template=None,
            session=ignored.session,
            decided_by="rule",
            model=None,
            policy_version=self._version,
            escalated_to=None,
            batch_size=FREE.batch_size,
            tokens=FREE.tokens,
            cost_usd_micros=FREE.cost_usd_micros,
            latency_ms=self._done("rule", IGNORED, taken_s),
        )
        return Triaged(decision, None, None)

    def _done(self, by: Means, label: str, taken_s: float) -> float:
        """Counts a decision; its latency in milliseconds."""
        seconds = self._clock.monotonic() - taken_s
        self._count(by, label).inc()
        self._seconds.observe(seconds)
        return round(seconds * 1000, 3)
