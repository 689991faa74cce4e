"""The ways of deciding a source that `sluice eval --compare` puts beside each other, as data.

A variant is a name and how it is started; each adds one means to the one before it. All are run prequentially: a
message is decided, and scored, before anything learns from it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from local.eval.plain import Plain
from processors.asking import Answer, Ask, Model
from processors.batches import Batches
from processors.clock import Clock
from processors.errors import AnswerError
from processors.gate import Gate
from processors.gateway.gateway import Gateway
from processors.injection import gives_orders
from processors.items import Item
from processors.memory import Memory
from processors.nano import Nano
from processors.near import NearDuplicates
from processors.policy import Policy, Quality, Stream
from processors.proposers import Chain
from processors.quality.admission import Spread
from processors.quality.state import StreamQuality
from processors.referee import Referee
from processors.student.lessons import Example, student_text
from processors.student.proposer import StudentProposer
from processors.student.training import train
from processors.templates import Templates
from processors.triage import Triage
from processors.voting import Voting
from topics.limits import STUDENT_LESSONS_MIN
from topics.messages import Audit, Decision, Means, Tier, Verdict

_EXPIRY_MS = 100 * 86_400_000  # of a stream with so many messages a second, though it ends within a minute
_WINDOWS = 240  # in a source: a proof needs QUALITY_WINDOWS_MIN of them, a tenth


@dataclass(frozen=True, slots=True)
class Decided:
    """What a variant made of one message. `label` is None where no valid answer came."""

    label: str | None
    by: Means
    climbs: bool  # to an agent, which is not asked here
    below: bool = False  # published below the stream's reference, under its guarantee
    trial_usd_micros: float = 0.0  # of what it cost, what a trial took: gone once there is none


class Running(Protocol):
    """A variant at work on one stream."""

    @property
    def certified(self) -> str:
        """What may answer below the reference; empty where nothing may. What it spends while this stays the same is
        what it costs to run."""
        ...

    @property
    def proof(self) -> str:
        """In words: what was certified or given up last, and why. Empty where nothing is to be proven."""
        ...

    async def decide(self, item: Item) -> Decided:
        """Safe to call concurrently. Raises what Model.ask raises of an account or a provider that is away."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a variant is started with. The gateway is the variant's own: what it spends is told by it."""

    name: str  # of the stream
    stream: Stream
    policy: Policy
    gateway: Gateway
    clock: Clock
    rng: random.Random
    quality: Quality  # what is to be proven, where the variant proves anything
    messages: int  # that will come
    deadline_s: float | None  # of its answers, where it may use the cheap lanes

    @property
    def model(self) -> Model:
        return self.gateway if self.deadline_s is None else _Unhurried(self.gateway, self.deadline_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A row of the table. `lanes`: it may use the cheap ones, at a deadline of 15 minutes; else all is realtime.
    `judges`: where a stream is judged by session, whether it is asked about every line all the same."""

    name: str
    start: Callable[[Setting], Running]
    lanes: bool = False
    proves: bool = False  # depends on the reference and on what is to be proven of it
    judges: Literal["messages", "sessions", "sessions only"] = "sessions"  # the last: no row where there are none


class _Asking:
    """Every message to a model; the same gate as triage's says what climbs."""

    certified = "all"
    proof = ""

    def __init__(self, setting: Setting) -> None:
        self._gate = Gate(setting.stream, setting.stream.version, setting.clock)

    def _decided(self, item: Item, verdict: Verdict) -> Decided:
        return Decided(verdict.label, verdict.tier, self._gate.escalation(item, verdict, None) is not None)


class _Plainly(_Asking):
    """One plain call a message (local/eval/plain.py)."""

    def __init__(self, setting: Setting, tier: Tier) -> None:
        super().__init__(setting)
        self._tier: Tier = tier
        self._plain = Plain(setting.name, setting.stream, tier, setting.gateway)

    async def decide(self, item: Item) -> Decided:
        try:
            return self._decided(item, await self._plain.ask(item))
        except AnswerError:
            return Decided(None, self._tier, False)

    async def close(self) -> None:
        """Nothing is kept."""


class _Batched(_Asking):
    """Nano with many messages a call, and nothing else but second votes where `votes` says so."""

    def __init__(self, setting: Setting, *, votes: bool) -> None:
        super().__init__(setting)
        nano = Nano(setting.name, setting.stream, setting.model, setting.rng, clock=setting.clock)
        self._batches = Batches(setting.name, setting.stream, nano, setting.clock)
        self._voting = Voting(self._batches, setting.stream, setting.rng) if votes else None

    async def decide(self, item: Item) -> Decided:
        alone = gives_orders(item.text)
        try:
            answered = await self._batches.put(item, alone=alone).answer()
            if self._voting is not None and not alone:
                answered = await self._voting.more(item, answered)
        except AnswerError:
            return Decided(None, "nano", False)
        return self._decided(item, answered.verdict)

    async def close(self) -> None:
        await self._batches.close()


class _Triaged:
    """Triage as it is, with a memory of its own; the stream promises no quality."""

    certified = "all"
    proof = ""

    def __init__(self, setting: Setting) -> None:
        self._triage = Triage(
            setting.name,
            setting.stream,
            setting.policy,
            setting.model,
            clock=setting.clock,
            rng=setting.rng,
            memory=Memory(),
        )

    async def decide(self, item: Item) -> Decided:
        try:
            item = self._triage.vote(item)
            triaged = self._triage.free(item) or await self._triage.ask(item)
        except AnswerError:
            return Decided(None, "nano", False)
        decision = triaged.decision
        return Decided(decision.label, decision.decided_by, decision.escalated_to is not None)

    async def close(self) -> None:
        await self._triage.close()


class _Recalling(_Triaged):
    """Beside exact memory: templates of log lines, near-duplicates of mail. What they are sure of is published without
    a proof: their own score is taken at its word."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._stream = setting.stream
        self._score_min = 1 - setting.quality.max_disagreement
        self._gate = Gate(setting.stream, setting.stream.version, setting.clock)
        model = setting.policy.tiers.nano.model
        self._recalling: list[Templates | NearDuplicates] = []
        match setting.stream.kind:
            case "log":
                self._recalling.append(Templates(setting.name, setting.stream, model))
            case "email":
                self._recalling.append(NearDuplicates(setting.name, setting.stream, model))
        self._chain = Chain(self._recalling)

    async def decide(self, item: Item) -> Decided:
        item = self._triage.vote(item)
        free = self._triage.free(item)
        proposal = None if free is not None or gives_orders(item.text) else self._chain.propose(item)
        if proposal is not None and proposal.score >= self._score_min:
            climbs = self._gate.escalation(item, proposal.verdict, None) is not None
            return Decided(proposal.verdict.label, proposal.verdict.tier, climbs)
        try:
            triaged = free or await self._triage.ask(item)
        except AnswerError:
            return Decided(None, "nano", False)
        decision = triaged.decision
        if decision.decided_by == "nano":
            self._learn(item, _verdict(decision))
        return Decided(decision.label, decision.decided_by, decision.escalated_to is not None)

    def _learn(self, item: Item, verdict: Verdict) -> None:
        for memory in self._recalling:
            memory.learn(item, verdict)


class _Taught(_Recalling):
    """And a student, trained anew each time its lessons have doubled."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._lessons: list[Example] = []
        self._next = STUDENT_LESSONS_MIN

    def _learn(self, item: Item, verdict: Verdict) -> None:
        super()._learn(item, verdict)
        if gives_orders(item.text):
            return
        self._lessons.append(Example(student_text(item), verdict.label))
        if len(self._lessons) == self._next:
            self._next *= 2
            student = train(list(self._stream.labels), self._lessons, seed=0)
            if student is not None:
                self._chain = Chain([*self._recalling, StudentProposer(student, self._stream)])


class _Gated:
    """Triage under its guarantee: the reference answers until audits have shown that something cheaper may.

    Proofs are spread over windows of messages, because these messages come faster than a stream's would, and take a
    tenth of the source at least. Every message is audited, since the source is short; a worker audits a thousand a day
    for a trial, and else the stream's least share, which is what `Decided.trial_usd_micros` leaves of the cost.
    """

    def __init__(self, setting: Setting) -> None:
        self._stream = setting.stream.model_copy(update={"quality": setting.quality})
        policy = setting.policy.model_copy(update={"streams": {setting.name: self._stream}})
        self._triage = Triage(
            setting.name,
            self._stream,
            policy,
            setting.model,
            clock=setting.clock,
            rng=setting.rng,
            memory=Memory(),
        )
        self._clock = setting.clock
        self._quality = StreamQuality(
            setting.name,
            setting.quality,
            self._stream.version,
            audit_min=1.0,
            spread=Spread(window_messages=max(1, setting.messages // _WINDOWS)),
            expiry_ms=_EXPIRY_MS,
        )
        self._lessons: list[Example] = []
        self._next = STUDENT_LESSONS_MIN
        self._students: dict[str, StudentProposer] = {}  # by version, the oldest first: as many as lessons doubled

    @property
    def certified(self) -> str:
        standing = self._referee.standing
        free = () if standing.free_version is None else (f"{standing.free_version} from {standing.free_score_min}",)
        batch = ("batches",) if standing.batch_certified else ()
        return ", ".join((*free, *batch))

    @property
    def proof(self) -> str:
        report = self._quality.report(round(self._clock.time() * 1000))
        if report.events:
            return report.events[0].what
        tried = [version for version in report.versions if version.levels]
        return f"too few audits yet, versions on trial: {len(tried)}" if tried else "no version was on trial yet"

    @property
    def _referee(self) -> Referee:
        assert self._triage.referee is not None, "the stream promises a quality"
        return self._triage.referee

    async def decide(self, item: Item) -> Decided:
        try:
            item = self._triage.vote(item)
            triaged = self._triage.free(item) or await self._triage.ask(item)
        except AnswerError:
            return Decided(None, "nano", False)
        decision, audit, lesson = triaged.decision, triaged.audit, triaged.lesson
        spared = audit is None and (decision.decided_by in ("memory", "student") or decision.batch_size > 1)
        decided = Decided(
            decision.label,
            decision.decided_by,
            decision.escalated_to is not None,
            below=spared or (audit is not None and audit.below),
            trial_usd_micros=0.0 if audit is None else self._of_trial(audit),
        )
        if audit is not None:
            self._quality.fold(audit)
            self._adopt()
        taught = audit.reference_label if audit is not None else lesson.label if lesson is not None else None
        if taught is not None and not gives_orders(item.text):
            self._learn(Example(student_text(item), taught))
        return decided

    def _of_trial(self, audit: Audit) -> float:
        """Without a trial fewer would be audited. What is asked in shadow beside the reference's own answers stays."""
        return audit.cost_usd_micros * (1 - self._stream.audit_min / audit.probability) if audit.below else 0.0

    def _learn(self, lesson: Example) -> None:
        """Students come seldom: each new version has to prove itself anew, and with less of δ."""
        self._lessons.append(lesson)
        if len(self._lessons) == self._next:
            self._next *= 2
            student = train(list(self._stream.labels), self._lessons, seed=0)
            if student is not None:
                self._students[student.version] = StudentProposer(student, self._stream)
                self._adopt()

    def _adopt(self) -> None:
        standing = self._quality.standing(round(self._clock.time() * 1000))
        self._referee.adopt(replace(standing, untried_probability=self._stream.audit_min), self._students)

    async def close(self) -> None:
        await self._triage.close()


class _Unhurried:
    """A model that is asked with time enough for the cheap lanes."""

    def __init__(self, model: Model, deadline_s: float) -> None:
        self._model = model
        self._deadline_s = deadline_s

    async def ask(self, ask: Ask) -> Answer:
        return await self._model.ask(ask if ask.deadline_s is not None else replace(ask, deadline_s=self._deadline_s))


def _verdict(decision: Decision) -> Verdict:
    return Verdict(
        tier=decision.decided_by,
        label=decision.label,
        severity=decision.severity,
        confidence=decision.confidence,
        priority=decision.priority,
        fields=decision.fields,
        summary=decision.summary,
        model=decision.model,
    )


def plain(tier: Tier) -> Callable[[Setting], Running]:
    """One plain call a message to `tier`."""
    return lambda setting: _Plainly(setting, tier)


BASELINE = Variant(name="nano, one a call", start=plain("nano"), judges="messages")
SESSIONS = Variant(name="nano, one a session", start=plain("nano"), judges="sessions only")

LADDER: tuple[Variant, ...] = (
    Variant(name="flagship for all", start=plain("flagship"), judges="messages"),
    Variant(name="mini for all", start=plain("mini"), judges="messages"),
    BASELINE,
    SESSIONS,
    Variant(name="nano, batched", start=partial(_Batched, votes=False)),
    Variant(name="+ second votes", start=partial(_Batched, votes=True)),
    Variant(name="+ exact memory", start=_Triaged),
    Variant(name="+ template, near memory", start=_Recalling),
    Variant(name="+ student", start=_Taught),
    Variant(name="+ student, cheap lanes", start=_Taught, lanes=True),
    Variant(name="+ gate", start=_Gated, proves=True),
    Variant(name="+ gate, cheap lanes", start=_Gated, proves=True, lanes=True),
)
"""In the table's order."""
