"""Decides a message with the cheapest means that may: rules, memory, a student, then nano. The gate says what climbs.

Where the stream promises a quality, its referee says which means may answer, and what the reference judges too.

What rules or memory decide without an escalation is kept as a stencil, so that whole batches of such messages are
decided again without a Decision each: `again` looks whether everything that led to it is as it was.

Texts that give orders are asked alone and never remembered: an answer that its text may have dictated is not kept.
Everything else is remembered by its whole normalised text, dialogues by their window of turns and requested
escalations by their text too, because the request changes where a message goes and not what it is.
"""

import functools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from processors import worth
from processors.asking import Jobs, Model
from processors.batches import Batches
from processors.bursts import Bursts
from processors.cache import Cache
from processors.clock import Clock
from processors.exact_sharing import ExactSharing
from processors.gate import Gate
from processors.injection import gives_orders
from processors.items import Glimpse, Ignored, Item
from processors.memory import Exactly, Key, Keys, Memory
from processors.metrics import DECIDED, DECISION_SECONDS, ESCALATED, observe
from processors.nano import Nano
from processors.policy import Policy, Stream
from processors.postponed import Postponed, hurried, postpones
from processors.proposals import Proposer
from processors.questions import FREE
from processors.referee import Referee, Refereed
from processors.remembered import Learner, MemoryKind, Remembered
from processors.rule_versions import memory_of
from processors.rules import Held, Rules
from processors.session_item import KIND_CHARS
from processors.session_votes import Votes
from processors.sharing import Sharing
from processors.signals import Signals
from processors.student.lessons import student_text
from processors.templates import Entry, Templates
from processors.voting import Voting
from topics.limits import KNOWN_DECISION_CHARS_MAX, KNOWN_DECISIONS_MAX, MEMORY_TEXT_CHARS_MAX
from topics.messages import IGNORED, Audit, Decision, Escalation, Lesson, Means, Signal, Verdict
from topics.stencils import Stencil

if TYPE_CHECKING:
    from processors.near import NearDuplicates


@dataclass(frozen=True, slots=True)
class Triaged:
    """What became of one record."""

    decision: Decision
    escalation: Escalation | None
    signal: Signal | None  # toward an alert
    audit: Audit | None = None  # what the stream's reference made of it
    lesson: Lesson | None = None  # what students may learn from it


@dataclass(frozen=True, slots=True)
class Known:
    """A decision that climbs nowhere, kept to be given again."""

    stencil: Stencil
    counted: tuple[Means, str]  # by what means, and the label
    key: Key | None  # in memory, of the verdict that it rests on
    verdict: Verdict | None  # of memory; without a key it is of messages like it
    template: str | None
    audited: bool  # it rests on memory: the reference may have to look
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
        remember: Callable[[Remembered], None] = lambda _: None,
        jobs: Jobs | None = None,
    ) -> None:
        """`remember`: told what was paid for, to share it with other workers. `jobs`: for who can park records, and
        takes AnswerLater for an answer."""
        self.parkable = stream.parkable
        self.bursts = None if stream.alerts.burst_at is None else Bursts(name, stream.alerts.burst_at)
        self._version = stream.version
        self._confidence_min = stream.confidence_min
        self._temperature = 1.0  # of nano's stated confidences
        self._clock = clock
        self._rules = Rules(stream)
        answered_by = memory_of(policy, stream)
        self._keys = Keys(name, self._version, answered_by)
        self._memory = memory
        patient = postpones(stream, jobs)
        asked_now = hurried(stream) if patient else stream
        self._batches = Batches(name, asked_now, Nano(name, asked_now, model, rng, clock=clock), clock)
        self._postponed: Postponed | None = None
        if patient and jobs is not None:
            self._postponed = Postponed(name, stream, model, jobs, self._batches, self._keys, clock=clock, rng=rng)
        self._sharing = Sharing(self._batches)
        self._voting = Voting(self._batches, asked_now, rng)
        self._gate = Gate(stream, self._version, clock, prices=worth.prices(policy.tiers))
        self._votes = None if stream.session is None else Votes(self._remembered, rng)
        self._exact = ExactSharing(name, stream, answered_by, memory, clock, remember=remember)
        self.learners: dict[MemoryKind, Learner] = {"exact": self._exact}  # that hear what other workers have paid for
        self.referee: Referee | None = None
        self._templates: Templates | None = None
        self._near: NearDuplicates | None = None
        if stream.quality is not None:
            proposers: list[Proposer] = [Exactly(memory, self._keys)]
            if stream.kind == "log" and stream.session is None:
                self._templates = self.learners["template"] = Templates(name, stream, answered_by, remember=remember)
                proposers.append(self._templates)
            elif stream.kind == "email":
                self._near = self.learners["near"] = _near_duplicates(name, stream, answered_by, remember)
                proposers.append(self._near)
            self.referee = Referee(
                name,
                stream,
                stream.quality,
                policy,
                model,
                self._batches,
                self._voting,
                memory=proposers,
                clock=clock,
                rng=rng,
            )
        self._signals = Signals(name, stream.alerts)
        # By tenant and text, or by the template's entry, where it rests on memory; by tenant, template and rule; by
        # tenant alone where ignored
        self._known: Cache[tuple[str | None, ...] | Entry, Known] = Cache(KNOWN_DECISIONS_MAX)
        self._count = functools.cache(functools.partial(DECIDED.labels, name))
        self._count_escalation = functools.cache(functools.partial(ESCALATED.labels, name))
        self._seconds = DECISION_SECONDS.labels(name)

    def recogniser(self) -> Callable[[Item | Ignored | Glimpse, int], Known | None]:
        """Tells what `free` has decided about such a message and would decide again; None where it has to be asked.

        Made anew in each turn of the event loop: what is the same for all messages of one is asked once, and may be
        other in the next. Its second argument is the record's timestamp. Who takes a decision counts it (`count`), and
        where it is `audited` tosses the referee's coin before.
        """
        self._exact.expire()
        first, known_like, remembered, key_of = self._rules.first, self._known.get, self._memory.get, self._keys.key
        referee, templates = self.referee, self._templates
        free_from = 0.0 if referee is None else referee.answers_from
        if referee is not None and referee.standing.temperature != self._temperature:
            self._temperature = referee.standing.temperature
            self._known = Cache(KNOWN_DECISIONS_MAX)  # whether a message climbs may be another matter now
            known_like = self._known.get
        if referee is None or referee.has_student:
            templates = None  # memory alone does not decide
        any_stands_back = referee is not None and referee.any_stands_back

        def again(seen: Item | Ignored | Glimpse, event_ms: int) -> Known | None:
            if not isinstance(seen, Glimpse):
                if isinstance(seen, Ignored):
                    return known_like((seen.tenant,))
                if seen.asked_tier is not None:
                    return None
            held = first(seen)
            if held is not None:
                return known_like((seen.tenant, seen.template, held.rule.name))
            tenant, text = seen.tenant, seen.memory_text
            known, score = known_like((tenant, text)), 1.0
            if known is None or known.key is None or remembered(known.key) is not known.verdict:
                if templates is None or not isinstance(seen, Glimpse) or len(text) > MEMORY_TEXT_CHARS_MAX:
                    return None
                if remembered(key_of(tenant, text)) is not None:
                    return None  # the very same text was answered: that is surer, and this is its first time here
                entry = templates.known(seen, event_ms)
                if entry is None:
                    return None
                known, score = known_like(entry), entry.score
                if known is None or known.verdict is not entry.verdict:
                    return None
            if referee is not None and (
                score < free_from
                or known.verdict is None
                or (any_stands_back and referee.stands_back(tenant, known.template, known.verdict))
            ):
                return None
            return known

        return again

    def count(self, decided: Iterable[Known], seconds: float) -> None:
        """Decisions that were given again, and the time that each of them took."""
        counts = Counter(known.counted for known in decided)
        for (by, label), times in counts.items():
            self._count(by, label).inc(times)
        observe(self._seconds, seconds, counts.total())

    def vote(self, item: Item) -> Item:
        """The message as it is to be given to `free` and `ask`: a session is one of its kind's votes."""
        return item if self._votes is None or item.session is None else self._votes.of(item)

    def free(self, item: Item | Ignored) -> Triaged | None:
        """What rules or memory decide, at once and for nothing; None where a model has to be asked."""
        taken_s = self._clock.monotonic()
        self._exact.expire()
        if isinstance(item, Ignored):
            triaged = self._ignored(item, taken_s)
            self._keep((item.tenant,), triaged)
            return triaged
        return self._free(item, self._rules.first(item), taken_s)

    async def ask(self, item: Item) -> Triaged:
        """Asks nano, in company of other messages.

        Raises AccountError or ProviderUnavailable, which say nothing about the message, AnswerLater where a Batch job
        works at it, or AnswerError where it got no valid answer even alone.

        Cancelling takes nothing from those who travel along or wait for the same answer.
        """
        taken_s = self._clock.monotonic()
        held = self._rules.first(item)
        if free := self._free(item, held, taken_s):  # answered since it was taken
            return free
        return self._triaged(item, await self._answer(item), held, taken_s)

    async def close(self) -> None:
        """Abandons the calls under way. Who still waits gets ProviderUnavailable."""
        await self._batches.close()
        if self._postponed is not None:
            await self._postponed.close()
        if self.referee is not None:
            await self.referee.close()

    def _free(self, item: Item, held: Held | None, taken_s: float) -> Triaged | None:
        if held is not None and held.verdict is not None:
            triaged = self._triaged(item, Refereed(held.verdict, FREE), held, taken_s)
            self._keep((item.tenant, item.template, held.rule.name), triaged)
            return triaged
        key = self._keys.key(item.tenant, item.memory_text)
        remembered = self._memory.get(key) if self.referee is None else self.referee.free(item)
        if remembered is None:
            return None
        triaged = self._triaged(item, Refereed(remembered, FREE), held, taken_s)
        if held is None:
            if self._memory.get(key) is remembered:
                self._keep((item.tenant, item.memory_text), triaged, key, remembered)
            elif (entry := self._template_entry(item)) is not None and entry.verdict is remembered:
                self._keep(entry, triaged, None, remembered)
        return triaged

    def _template_entry(self, item: Item) -> Entry | None:
        if self._templates is None or len(item.memory_text) > MEMORY_TEXT_CHARS_MAX:
            return None
        return self._templates.known(item, item.source.timestamp_ms)

    def _keep(
        self,
        like: tuple[str | None, ...] | Entry,
        triaged: Triaged,
        key: Key | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """Keeps a decision for all messages like this one. What climbs is decided each time: it takes the message."""
        if triaged.escalation is None:
            decision = triaged.decision
            stencil = Stencil(decision)
            if stencil.chars <= KNOWN_DECISION_CHARS_MAX:
                counted = (decision.decided_by, decision.label)
                counts = triaged.signal is not None or self.bursts is not None
                known = Known(
                    stencil, counted, key, verdict, decision.template, verdict is not None, triaged.signal, counts
                )
                self._known.put(like, known)

    def _remembered(self, tenant: str, text: str) -> Verdict | None:
        return self._memory.get(self._keys.key(tenant, text))

    async def _answer(self, item: Item) -> Refereed:
        alone = gives_orders(item.text)
        if self.referee is not None:
            refereed = await self.referee.answer(item, alone=alone)
            if refereed.teaches:
                self._learn(item, refereed.verdict)
            if refereed.heard is not None:
                self._learn(item, refereed.heard)
            return refereed
        if alone:
            answered = await self._batches.put(item, alone=True).answer()
            return Refereed(answered.verdict, answered.bill)
        key = self._keys.key(item.tenant, item.memory_text)
        later = None if self._postponed is None else await self._postponed.answer(key, item)
        answered, own = later or await self._sharing.answer(key, item)
        if not own:
            return Refereed(replace(answered.verdict, tier="memory"), FREE)
        answered = await self._voting.more(item, answered)
        if not answered.suspect:
            self._learn(item, answered.verdict)
        return Refereed(answered.verdict, answered.bill)

    def _learn(self, item: Item, verdict: Verdict) -> None:
        """What a model was paid for."""
        if verdict.confidence is not None and verdict.confidence >= self._confidence_min:
            if self._votes is not None and len(item.memory_text) > KIND_CHARS:  # no line that is asked alone
                item = self._votes.heard(item)
            key = self._keys.key(item.tenant, item.memory_text)
            self._exact.put(key, item, replace(verdict, tier="memory"))
        for kin in (self._templates, self._near):
            if kin is not None:  # an empty one is not nothing
                kin.learn(item, verdict)

    def _triaged(self, item: Item, refereed: Refereed, held: Held | None, taken_s: float) -> Triaged:
        verdict, bill = refereed.verdict, refereed.bill
        priority = held.rule.then.priority if held is not None else None
        escalation = self._gate.escalation(item, verdict, held.rule if held is not None else None, self._temperature)
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
            model=verdict.model if bill.batch_size else None,
            policy_version=self._version,
            escalated_to=escalation.to if escalation is not None else None,
            batch_size=bill.batch_size,
            tokens=bill.tokens,
            cost_usd_micros=bill.cost_usd_micros,
            latency_ms=self._done(verdict.tier, verdict.label, taken_s),
            unproven=refereed.unproven,
            lane=bill.lane,
        )
        now_ms = round(self._clock.time() * 1000)
        lesson = self._lesson(item, verdict, now_ms) if refereed.teaches and refereed.audit is None else None
        return Triaged(decision, escalation, self._signals.decided(decision, now_ms), refereed.audit, lesson)

    def _lesson(self, item: Item, verdict: Verdict, now_ms: int) -> Lesson:
        assert verdict.tier in ("nano", "mini", "flagship"), "who was asked is a model"
        return Lesson(
            id=item.id,
            stream=item.stream,
            tenant=item.tenant,
            at_ms=now_ms,
            policy_version=self._version,
            label=verdict.label,
            tier=verdict.tier,
            confidence=verdict.confidence,
            text=student_text(item),
        )

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


def _near_duplicates(name: str, stream: Stream, nano: str, remember: Callable[[Remembered], None]) -> "NearDuplicates":
    from processors.near import NearDuplicates  # numpy takes its time to load: not for --help

    return NearDuplicates(name, stream, nano, remember=remember)
