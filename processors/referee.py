"""Whether a cheaper means may answer a message, and which messages the reference judges too.

One a stream with `quality`. Two rules may publish below the reference, each once the standing says that it is proven:
`free` (memory, then the student) and `batch` (nano with many messages a call, where the reference is more than that).
What neither may answer goes to the reference itself, whose answer is an audit of both.

The coin of an audit is tossed for the record, not for the answer: whoever asks again gets the same side, and no sender
can know it. It is fixed before the answer is known, as the proof of the running claim wants it (processors/quality).

An operator may have another model tried in nano's place (candidates.py): it is asked about what is audited, and answers
for the rule `batch` once its version is certified, a share of the messages for a day and then all.

What `free` answers and no coin audits is looked at cheaply, by another coin (looks.py). Where looks and audits show
that something has changed, the rule stands back (regions.py), and the reference answers as where nothing is certified.
"""

import functools
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple
from weakref import WeakSet

from processors.asking import Model
from processors.batches import Batches
from processors.cache import Cache
from processors.candidates import Asked, Beside, Nanos, canary_until_ms, shadow_of, with_model
from processors.clock import Clock
from processors.coin import Coin
from processors.errors import AnswerError, ConfigurationError, SluiceError
from processors.injection import gives_orders
from processors.items import Item
from processors.looks import Looks
from processors.nano import Nano
from processors.policy import Policy, Quality, Stream
from processors.proposals import BatchProposer, Proposal, Proposer
from processors.proposers import Chain, surer
from processors.quality.standing import UNPROVEN, Standing
from processors.questions import FREE, Answered, Bill
from processors.regions import Region, Regions, region_of
from processors.rule_versions import FREE_RULE, batch_version, free_version
from processors.student.lessons import student_text
from processors.voting import Voting
from topics.limits import (
    BATCH_SHADOWS_SHARE,
    CANARY_SHARE,
    LOOKS_DEADLINE_SECONDS_MIN,
    LOOKS_SHARE,
    PLANS_MAX,
    SELF_AUDITS_SHARE,
)
from topics.messages import Audit, Shadow, Source, Verdict
from topics.records import Record

log = logging.getLogger("sluice.triage")

DAY_S = 86_400
NEVER = 2.0  # no score is as high
_CANARY = "/canary"  # no topic has a slash: this coin is another than that of any record's audit
_LOOK = "/look"  # as above
_TOLD = "/told"


@dataclass(frozen=True, slots=True)
class Refereed:
    """What is published of a message, and what the reference made of it where it was asked."""

    verdict: Verdict
    bill: Bill  # of the answer; an audit has its own
    audit: Audit | None = None
    unproven: bool = False
    teaches: bool = False  # whether a model answered, and others may learn from it
    heard: Verdict | None = None  # what the reference says in place of what was published for nothing: memory learns it


class _Plan(NamedTuple):
    """What was said of a message when its coin was tossed. What is learnt or certified later changes nothing of it:
    an audited answer has to be the one that would have been published without its audit."""

    proven: Proposal | None  # of the certified rule; published as it is
    guess: Proposal | None  # of the newest version: an unproven answer, or a batch's votes are weighed by it
    version: str | None  # of `proven`
    shadows: tuple[Shadow, ...]  # of the versions on trial
    batch: Nanos | None  # certified, and by its side of the canary: it answers what `proven` does not
    audited: bool  # the side of its coin
    probability: float
    told_share: float  # of the audits, that regions hear of: of all in a trial, chance alone would close them
    instead: Region | None = None  # where `proven` stands back: the reference answers


class Referee:
    """Its standing and its proposers change as audits and students come."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        quality: Quality,
        policy: Policy,
        model: Model,
        batches: Batches,
        voting: Voting,
        *,
        memory: Sequence[Proposer],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`batches`, `voting`: of nano, many messages a call. `memory`: proposers, those first that cost least."""
        self._name = name
        self._quality = quality
        self._policy_version = stream.version
        self._models = batch_version(policy, name, stream, quality)
        self._free_models = free_version(policy, name, stream, quality)
        self._memory = tuple(memory)
        self._students: dict[str, Proposer] = {}  # by version; the last is the newest
        self._foreseen: dict[tuple[str, str], Proposal | None] = {}  # by student and message id
        self._plans: Cache[str, _Plan] = Cache(PLANS_MAX)  # by message id
        self._batches = batches
        self._own = Nanos(self._models, policy.tiers.nano.model, batches, voting)
        self._candidate: Nanos | None = None  # another model, on trial or certified
        self._candidate_model: str | None = None  # as it was told
        self._candidates: WeakSet[Batches] = WeakSet()  # one that is over is there as long as a message waits for it
        self._new_candidate = functools.partial(_candidate, policy, name, stream, quality, model, clock, rng)
        self._beside = Beside(name, clock)
        self._voting = voting
        self._singly: Batches | None = None
        if quality.reference in ("mini", "flagship"):
            tier: Literal["mini", "flagship"] = "mini" if quality.reference == "mini" else "flagship"
            single = stream.model_copy(update={"batch": 1})
            self._singly = Batches(name, single, Nano(name, single, model, rng, tier, clock=clock), clock)
        self._clock = clock
        self._own_secret = rng.randbytes(32)  # until the stream's is known: then all is audited anyway
        self._coin = Coin(self._own_secret)
        self._audits_spent = (0, 0.0)  # the day, and micro-dollars of audits in it
        self._regions = Regions(quality.max_disagreement)
        self._looks: Looks | None = None
        if quality.reference != "nano":  # whose audits cost no more than looks: there they find what changes
            patient = stream.model_copy(update={"deadline": max(stream.deadline, LOOKS_DEADLINE_SECONDS_MIN)})
            self._looks = Looks(
                name,
                Batches(name, patient, Nano(name, patient, model, rng, clock=clock), clock),
                self._reference,
                self._told,
                clock,
                affordable=self._affordable,
                spend=self._spend,
            )
        self.adopt(UNPROVEN)

    def adopt(self, standing: Standing, students: Mapping[str, Proposer] | None = None) -> None:
        """What the audits so far allow, and the students that are there by version, the oldest first: the newest
        answers in shadow until it is certified. None: those that were there."""
        self.standing = standing
        secret = bytes.fromhex(standing.coin) or self._own_secret
        if secret != self._coin.secret:
            self._coin = Coin(secret)
        self._propose_model(standing.candidate_model)
        self._batches_certified = self._certified_batches(standing)
        known = self._candidate
        self._canary_until_ms = 0 if known is None else canary_until_ms(standing, known.version)
        if students is not None:
            self._students = dict(students)
        self._certified = self._answering()
        self._chains = {known: Chain((*self._memory, self._students[known])) for known in self._students}
        self._chains[""] = Chain(self._memory)
        self._foreseen = {}

    async def close(self) -> None:
        if self._looks is not None:
            await self._looks.close()
        if self._singly is not None:
            await self._singly.close()
        for batches in tuple(self._candidates):
            await batches.close()

    def _propose_model(self, model: str | None) -> None:
        """From now on this model is asked in shadow, unless it is the policy's, or nano is the reference itself."""
        if model == self._candidate_model:
            return
        self._candidate_model, self._candidate = model, None
        if model is None or model == self._own.model or self._singly is None:
            return
        try:
            self._candidate = self._new_candidate(model)
        except ConfigurationError as error:
            log.error("stream %s does without what was ordered: %s", self._name, error)
            return
        self._candidates.add(self._candidate.batches)

    def _certified_batches(self, standing: Standing) -> Sequence[Nanos]:
        """Who may stand for the reference: the candidate before the policy's own model."""
        sizes = {other.version: other.size_max for other in standing.batch_others}
        if standing.batch_version is not None:
            sizes[standing.batch_version] = standing.batch_size_max
        known = [each for each in (self._candidate, self._own) if each is not None]
        for each in known:
            each.batches.controller.at_most(sizes.get(each.version))
        return [each for each in known if each.version in standing.certified_batches]

    def _answering_batches(self, item: Item) -> Nanos | None:
        """Who stands for the reference about this message: until its canary is over, the candidate for its share
        alone. By a coin of the record's own, which says nothing about its audit: so the audits of each are a fair
        sample of what it answers."""
        for each in self._batches_certified:
            if each is not self._candidate or self._clock.time() * 1000 >= self._canary_until_ms:
                return each
            if self._coin.tossed(_CANARY, item.source.partition, item.source.offset, CANARY_SHARE):
                return each
        return None

    # --- what may be answered for nothing ---------------------------------------------------------

    @property
    def answers_from(self) -> float:
        """The score from which a proposal is published for nothing. Where the day's money for audits is spent nobody
        may look at it, and it is published as unproven, by `answer`."""
        return self.standing.free_score_min if self._certified is not None and self._affordable() else NEVER

    @property
    def has_student(self) -> bool:
        """Whether a student is part of what is certified, so that memory alone does not decide."""
        return bool(self._certified)

    def foresee(self, items: Sequence[Item]) -> None:
        """What students say of a whole batch, at a fraction of what each alone would cost. Of the batch alone: the
        next call forgets it."""
        self._foreseen = {}
        for version in {self._certified or "", *self._on_trial}:
            student = self._students.get(version)
            if isinstance(student, BatchProposer):
                said = zip((item.id for item in items), student.propose_all(items), strict=True)
                self._foreseen |= {(version, id_): proposal for id_, proposal in said}

    def spared(self, source: Source) -> bool:
        """Whether the coin spares the record an audit."""
        return self.spared_at(source.topic, source.partition, source.offset)

    def spared_at(self, topic: str, partition: int, offset: int) -> bool:
        return not self._coin.tossed(topic, partition, offset, self.standing.audit_probability)

    def audits_among(self, records: Sequence[Record]) -> Sequence[bool]:
        """Of which of these records of one topic the coin wants an audit."""
        return self._coin.tossed_for(records[0].topic, records, self.standing.audit_probability)

    def free(self, item: Item) -> Verdict | None:
        """An answer that may be published as it is: proven, and spared an audit. Where there is none, `answer` is told
        what the rules said when the coin was tossed."""
        if self._plans.get(item.id) is not None:
            return None  # its coin was tossed already
        proven = self._proven(item)
        back = proven is not None and self.stands_back(item.tenant, item.template, proven.verdict)
        if proven is not None and not back and self._affordable() and self.spared(item.source):
            self._look_now_and_then(item, proven)
            return proven.verdict
        self._plans.put(item.id, self._plan(item, proven))
        return None

    @property
    def any_stands_back(self) -> bool:
        """False nearly always: then no region has to be asked about."""
        return self._regions.any_closed

    def stands_back(self, tenant: str, template: str | None, published: Verdict) -> bool:
        """Whether the reference answers such messages in the place of `published`, because that was wrong of late."""
        if not self._regions.any_closed:
            return False
        region = region_of(tenant, template, published.tier, published.label)
        return self._regions.stands_back(region, self._clock.monotonic())

    @property
    def has_looks(self) -> bool:
        """Whether there is room for one: where there is none, no coin need be tossed."""
        return self._looks is not None and self._looks.room

    def looks_at(self, partition: int, offset: int) -> bool:
        """Whether its own coin, which says nothing about the audit's, has nano look at a record. What exact memory
        answers needs no look: the very same text was judged by the reference, or by what is proven, and a look would
        repeat that. Sessions do: of those that memory takes for the same, lines differ."""
        return self.has_looks and self._coin.tossed(_LOOK, partition, offset, LOOKS_SHARE)

    def _look_now_and_then(self, item: Item, published: Proposal) -> None:
        same = published.verdict.tier == "memory" and published.score >= 1.0 and item.session is None
        if not same and self.looks_at(item.source.partition, item.source.offset):
            self.look(item, published.verdict)

    def looks_among(self, records: Sequence[Record]) -> Sequence[bool]:
        """Of which of these records the coin of `looks_at` wants a look; whether there is room is not asked."""
        return self._coin.tossed_for(_LOOK, records, LOOKS_SHARE)

    def look(self, item: Item, published: Verdict) -> None:
        """Notes that nano shall be asked too. It waits for nothing, and raises nothing."""
        if self._looks is not None:
            self._looks.note(item, published)

    def _told(self, item: Item, published: Verdict, disagrees: bool) -> None:
        """What the reference makes of a published answer: by an audit, or by a look."""
        region = region_of(item.tenant, item.template, published.tier, published.label)
        if self._regions.judged(region, disagrees, self._clock.monotonic()):
            told = "stream %s: the reference answers instead of %s '%s' in one region, where it disagreed"
            log.warning(told, self._name, published.tier, published.label)

    def _plan(self, item: Item, proven: Proposal | None) -> "_Plan":
        guesses = [(known, self._propose(item, known)) for known in self._on_trial]
        instead: Region | None = None
        if proven is not None and self.stands_back(item.tenant, item.template, proven.verdict):
            instead = region_of(item.tenant, item.template, proven.verdict.tier, proven.verdict.label)
        return _Plan(
            proven=proven,
            guess=guesses[-1][1],
            version=self.standing.free_version,
            shadows=tuple(
                Shadow(rule="free", version=self._version(known), label=guess.verdict.label, score=guess.score)
                for known, guess in guesses
                if guess is not None
            ),
            batch=self._answering_batches(item),
            audited=not self.spared(item.source),
            probability=self.standing.audit_probability,
            told_share=self.standing.untried_probability / (self.standing.audit_probability or 1.0),
            instead=instead,
        )

    # --- what has to be asked -----------------------------------------------------------------------

    async def answer(self, item: Item, *, alone: bool) -> Refereed:
        """Asks whom it takes. `alone`: the text is one that nobody may learn from; the reference itself judges it.

        Raises as Batches.put says.
        """
        if alone:  # neither rule answers such texts, so there is nothing to audit
            answered = await self._reference(item, alone=True)
            return Refereed(answered.verdict, answered.bill)
        plan = self._plans.get(item.id) or self._plan(item, self._proven(item))
        refereed = await self._by_plan(item, plan)
        self._plans.forget(item.id)
        return refereed

    async def _by_plan(self, item: Item, plan: "_Plan") -> Refereed:
        if plan.proven is not None and plan.instead is not None:
            reference = await self._reference(item)
            if not reference.suspect:
                self._regions.answered(plan.instead, reference.verdict.label != plan.proven.verdict.label)
            return await self._judged(item, plan, reference)
        if plan.proven is not None:
            return await self._below(item, plan, Answered(plan.proven.verdict, FREE), "free")
        may_guess = self._quality.when_uncertified == "answer-unproven" and not self.standing.off
        if may_guess and plan.guess is not None:
            return await self._unproven(item, plan, Answered(plan.guess.verdict, FREE))
        if self._quality.reference == "nano":
            return await self._judged(item, plan, await self._reference(item))
        if plan.batch is not None or may_guess:
            if plan.batch is not None and self._candidate is not None:
                self._beside.passed(item)
            # Unproven ones are evidence, each for itself
            batched = await (
                self._own.voting.answer(item, plan.guess)
                if plan.batch is None
                else plan.batch.voting.shared(item, plan.guess)
            )
            if batched.suspect:
                return await self._unlearned(item, batched)
            if plan.batch is not None:
                return await self._below(item, plan, batched, "batch")
            return await self._unproven(item, plan, batched, shadow_of(self._models, batched))
        asked = self._ask_beside(item, plan)
        shadowed = self._coin.tossed("batch", item.source.partition, item.source.offset, BATCH_SHADOWS_SHARE)
        if shadowed and self._models not in self.standing.batch_given_up and self._affordable():
            try:
                batched = await self._voting.answer(item, plan.guess)
            except AnswerError:  # it is asked about beside the answer, which does not depend on it
                return await self._judged(item, plan, await self._reference(item), asked=asked)
            if batched.suspect:
                return await self._unlearned(item, batched)
            shadow, beside = shadow_of(self._models, batched), batched.bill.cost_usd_micros
            self._spend(beside)
            return await self._judged(item, plan, await self._reference(item), shadow, asked=asked, beside=beside)
        return await self._judged(item, plan, await self._reference(item), asked=asked)

    def _ask_beside(self, item: Item, plan: "_Plan") -> Sequence[Asked]:
        """What does not answer, asked in shadow about a message that the reference judges. The candidate always: with
        few audits each of them counts. Nano's own model by its coin, as long as the other answers in its place: so its
        certificate lives, and the way back is open. Neither share changes with what is certified, since the weights of
        audits (processors/quality/state.py) know of no other chance than the audit's own."""
        if self._candidate is None or not self._affordable():
            return ()
        other = self._candidate
        if plan.batch is not None and plan.batch.version == other.version:
            other = self._own
            if not self._coin.tossed("batch", item.source.partition, item.source.offset, BATCH_SHADOWS_SHARE):
                return ()
        if other.version in self.standing.batch_given_up:
            return ()
        asked = self._beside.ask(other, item, plan.guess, company=plan.batch is not None)
        return () if asked is None else (asked,)

    async def _heard(self, audit: Audit, asked: Sequence[Asked]) -> Audit:
        """With what was said beside the answer, which is paid from the money for audits."""
        for each in asked:
            shadow, cost = await self._beside.said(each)
            self._spend(cost)
            shadows = audit.shadows if shadow is None else (*audit.shadows, shadow)
            audit = replace(audit, shadows=shadows, cost_usd_micros=audit.cost_usd_micros + cost)
        return audit

    async def _below(self, item: Item, plan: "_Plan", answered: Answered, rule: Literal["free", "batch"]) -> Refereed:
        """Publishes `answered`; where the coin says so, the reference judges the message too."""
        refereed = Refereed(answered.verdict, answered.bill, teaches=rule == "batch")
        if not self._affordable():
            return replace(refereed, unproven=True)  # nobody looks: it is no part of the claim
        if not plan.audited:
            return refereed
        asked = self._ask_beside(item, plan) if rule == "batch" else ()
        reference = await self._looked_at(item)
        audit = self._audit(item, plan, reference, answered.verdict, rule)
        if rule == "free" and plan.proven is not None:
            if self._coin.tossed(_TOLD, item.source.partition, item.source.offset, plan.told_share):
                self._told(item, answered.verdict, audit.reference_label != audit.label)
                refereed = replace(refereed, heard=None if reference is None else reference.verdict)
            else:  # as if its coin had spared it
                self._look_now_and_then(item, plan.proven)
        audit = await self._heard(audit, asked)
        confidence = answered.verdict.confidence if rule == "batch" else None
        return replace(refereed, audit=replace(audit, size=answered.bill.batch_size or None, confidence=confidence))

    async def _unproven(self, item: Item, plan: "_Plan", answered: Answered, *shadows: Shadow) -> Refereed:
        """Publishes `answered`, which is no part of the claim. The reference looks all the same: what it says may
        prove the rules for later."""
        refereed = Refereed(answered.verdict, answered.bill, unproven=True, teaches=answered.bill.batch_size > 0)
        if not self._affordable():
            return refereed
        asked = self._ask_beside(item, plan) if answered.bill.batch_size else ()
        audit = self._audit(item, plan, await self._looked_at(item), answered.verdict, None, *shadows)
        self._spend(audit.cost_usd_micros)
        if answered.bill.batch_size:
            audit = replace(audit, confidence=answered.verdict.confidence)
        return replace(refereed, audit=await self._heard(audit, asked))

    async def _looked_at(self, item: Item) -> Answered | None:
        """None counts as a disagreement: neither what cannot be judged nor what a text dictates may look like a yes."""
        try:
            reference = await self._reference(item)
        except AnswerError:
            return None
        return None if reference.suspect else reference

    async def _judged(
        self,
        item: Item,
        plan: "_Plan",
        reference: Answered,
        *shadows: Shadow,
        asked: Sequence[Asked] = (),
        beside: float = 0.0,
    ) -> Refereed:
        """The reference's own answer is published, beside what the rules would have said. `beside`: what the shadows
        cost, in micro-dollars; the reference's cost is the answer's."""
        if reference.suspect:  # the text may have dictated it
            return Refereed(reference.verdict, reference.bill)
        audit = self._audit(item, plan, reference, reference.verdict, None, *shadows)
        audit = await self._heard(replace(audit, cost_usd_micros=beside), asked)
        nothing_certified = self._certified is None and plan.batch is None  # else these are the hard ones alone
        if (
            nothing_certified
            and self._affordable()
            and self._coin.tossed("self", item.source.partition, item.source.offset, SELF_AUDITS_SHARE)
        ):
            audit = await self._again(item, audit)
        return Refereed(reference.verdict, reference.bill, audit, teaches=True)

    async def _again(self, item: Item, audit: Audit) -> Audit:
        """Asks the reference once more: how far it agrees with itself bounds what can be promised."""
        try:
            second = await self._reference(item)
        except SluiceError:  # there is an answer, and it is paid for
            return audit
        self._spend(second.bill.cost_usd_micros)
        if second.suspect:
            return audit
        cost = audit.cost_usd_micros + second.bill.cost_usd_micros
        return replace(audit, reference_again=second.verdict.label, cost_usd_micros=cost)

    async def _reference(self, item: Item, *, alone: bool = False) -> Answered:
        if self._singly is not None:
            return await self._singly.put(item, alone=True).answer()
        if alone or self._quality.reference == "nano-single":
            return await self._batches.put(item, alone=True).answer()
        return await self._voting.answer(item)

    async def _unlearned(self, item: Item, batched: Answered) -> Refereed:
        """A batch that it was in failed its control, so its text may dictate answers: it is judged, and teaches
        nobody."""
        if self._singly is None:  # nano has judged it alone, as the reference does
            return Refereed(batched.verdict, batched.bill)
        answered = await self._reference(item)
        return Refereed(answered.verdict, answered.bill)

    def _audit(
        self,
        item: Item,
        plan: "_Plan",
        reference: Answered | None,
        published: Verdict,
        rule: Literal["free", "batch"] | None,
        *shadows: Shadow,
    ) -> Audit:
        """`rule`: by which it was published as proven; None for an unproven answer, or the reference's own."""
        by = {"free": plan.version, "batch": None if plan.batch is None else plan.batch.version}
        cost = 0.0 if reference is None else reference.bill.cost_usd_micros
        if rule is not None:
            self._spend(cost)
        return Audit(
            id=item.id,
            source=item.source,
            stream=item.stream,
            tenant=item.tenant,
            at_ms=round(self._clock.time() * 1000),  # a backlog's own times may be past every certificate
            policy_version=self._policy_version,
            reference=self._quality.reference,
            reference_label=None if reference is None else reference.verdict.label,
            label=published.label,
            decided_by=published.tier,
            below=rule is not None,
            rule=rule,
            version=None if rule is None else by[rule],
            probability=1.0 if rule is None else plan.probability,
            shadows=(*shadows, *plan.shadows),
            template=item.template,
            text=student_text(item),
            cost_usd_micros=cost,
        )

    # --- proposals ------------------------------------------------------------------------------------

    @property
    def _on_trial(self) -> Sequence[str]:
        """Memory alone, and the two newest students: a trial would never end if each new student ended that of the one
        before it. Also the one that answers: how much it does is compared with what others would."""
        newest = [*self._students][-2:]
        return ["", *(known for known in self._students if known in newest or known == self._certified)]

    def _answering(self) -> str | None:
        """The certified student, "" for memory alone. None where nothing is certified, or what is is not here."""
        if self.standing.free_version == self._version(""):
            return ""
        return next((known for known in self._students if self._version(known) == self.standing.free_version), None)

    def _proven(self, item: Item) -> Proposal | None:
        """What the certified rule publishes. Nothing about a text that gives orders: a student can be led, too."""
        if self._certified is None:
            return None
        proposal = self._propose(item, self._certified)
        if proposal is None or proposal.score < self.standing.free_score_min or gives_orders(item.text):
            return None
        return proposal

    def _propose(self, item: Item, student: str) -> Proposal | None:
        if (student, item.id) in self._foreseen:
            return surer(self._chains[""].propose(item), self._foreseen[student, item.id])
        return self._chains[student].propose(item)

    def _version(self, student: str) -> str:
        """Of the free rule: another model, prompt or student is another version, and proves itself anew."""
        rule = f"{self._free_models}-{FREE_RULE}"
        return f"{rule}.{student}" if student else rule

    def _spend(self, usd_micros: float) -> None:
        day, spent = self._audits_spent
        self._audits_spent = day, spent + usd_micros

    def _affordable(self) -> bool:
        """Whether the day's money for audits is not spent."""
        today = int(self._clock.time() // DAY_S)
        if self._audits_spent[0] != today:
            self._audits_spent = today, 0.0
        bound = self._quality.audit_usd_per_day
        return bound is None or self._audits_spent[1] < bound * 1e6


def _candidate(
    policy: Policy,
    name: str,
    stream: Stream,
    quality: Quality,
    model: Model,
    clock: Clock,
    rng: random.Random,
    asks: str,
) -> Nanos:
    """Nano's batches by another model, `asks`. Raises ConfigurationError where its price is not known."""
    version = batch_version(with_model(policy, asks), name, stream, quality)
    batches = Batches(name, stream, Nano(name, stream, model, rng, clock=clock, asks=asks), clock)
    return Nanos(version, asks, batches, Voting(batches, stream, rng))
