"""Whether a cheaper means may answer a message, and which messages the reference judges too.

One a stream with `quality`. Two rules may publish below the reference, each once the standing says that it is proven:
`free` (memory, then the student) and `batch` (nano with many messages a call, where the reference is more than that).
What neither may answer goes to the reference itself, whose answer is an audit of both.

The coin of an audit is tossed for the record, not for the answer: whoever asks again gets the same side, and no sender
can know it. It is fixed before the answer is known, as the proof of the running claim wants it (processors/quality).
"""

import functools
import hashlib
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from processors.asking import Model
from processors.batches import Batches
from processors.cache import Cache
from processors.clock import Clock
from processors.errors import AnswerError, SluiceError
from processors.injection import gives_orders
from processors.items import Item
from processors.nano import Nano
from processors.policy import Policy, Quality, Stream
from processors.prompt import Prompt
from processors.proposals import BatchProposer, Proposal, Proposer
from processors.proposers import Chain, surer
from processors.quality.standing import UNPROVEN, Standing
from processors.questions import FREE, Answered, Bill
from processors.student.lessons import student_text
from processors.voting import Voting
from topics.limits import BATCH_MESSAGES_MAX, BATCH_SHADOWS_SHARE, COINS_MAX, PLANS_MAX, SELF_AUDITS_SHARE
from topics.messages import Audit, Shadow, Source, Verdict

DAY_S = 86_400
NEVER = 2.0  # no score is as high
_SIDES = 16  # of the coins of so many neighbours at once: a hash each would cost the free path a tenth
_SIDE_MAX = 2**32


@dataclass(frozen=True, slots=True)
class Refereed:
    """What is published of a message, and what the reference made of it where it was asked."""

    verdict: Verdict
    bill: Bill  # of the answer; an audit has its own
    audit: Audit | None = None
    unproven: bool = False
    teaches: bool = False  # whether a model answered, and others may learn from it


class _Plan(NamedTuple):
    """What was said of a message when its coin was tossed. What is learnt or certified later changes nothing of it:
    an audited answer has to be the one that would have been published without its audit."""

    proven: Proposal | None  # of the certified rule; published as it is
    guess: Proposal | None  # of the newest version: its shadow, or an unproven answer
    version: str | None  # of `proven`
    newest: str  # version of `guess`
    batch_certified: bool
    audited: bool  # the side of its coin
    probability: float


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
        self._models = _models_version(policy, quality, Prompt(name, stream).version)
        self._memory = tuple(memory)
        self._students: dict[str, Proposer] = {}  # by version; the last is the newest
        self._foreseen: dict[tuple[str, str], Proposal | None] = {}  # by student and message id
        self._plans: Cache[str, _Plan] = Cache(PLANS_MAX)  # by message id
        self._batches = batches
        self._voting = voting
        self._singly: Batches | None = None
        if quality.reference in ("mini", "flagship"):
            tier: Literal["mini", "flagship"] = "mini" if quality.reference == "mini" else "flagship"
            single = stream.model_copy(update={"batch": 1})
            self._singly = Batches(name, single, Nano(name, single, model, rng, tier, clock=clock), clock)
        self._clock = clock
        self._sides = functools.lru_cache(COINS_MAX)(functools.partial(_sides, rng.randbytes(32)))
        self._audits_spent = (0, 0.0)  # the day, and micro-dollars of audits in it
        self.adopt(UNPROVEN)

    def adopt(self, standing: Standing, students: Mapping[str, Proposer] | None = None) -> None:
        """What the audits so far allow, and the students that are there by version, the oldest first: the newest
        answers in shadow until it is certified. None: those that were there."""
        self.standing = standing
        if students is not None:
            self._students = dict(students)
        self._certified = self._answering()
        self._batch_certified = standing.batch_certified and standing.batch_version == self._models
        self._chains = {known: Chain((*self._memory, self._students[known])) for known in self._students}
        self._chains[""] = Chain(self._memory)
        self._foreseen = {}

    async def close(self) -> None:
        if self._singly is not None:
            await self._singly.close()

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
        for version in {self._certified or "", self._newest}:
            student = self._students.get(version)
            if isinstance(student, BatchProposer):
                said = zip((item.id for item in items), student.propose_all(items), strict=True)
                self._foreseen |= {(version, id_): proposal for id_, proposal in said}

    def spared(self, source: Source) -> bool:
        """Whether the coin spares the record an audit."""
        return self.spared_at(source.topic, source.partition, source.offset)

    def spared_at(self, topic: str, partition: int, offset: int) -> bool:
        return not self._tossed(topic, partition, offset, self.standing.audit_probability)

    def free(self, item: Item) -> Verdict | None:
        """An answer that may be published as it is: proven, and spared an audit. Where there is none, `answer` is told
        what the rules said when the coin was tossed."""
        if self._plans.get(item.id) is not None:
            return None  # its coin was tossed already
        proven = self._proven(item)
        if proven is not None and self._affordable() and self.spared(item.source):
            return proven.verdict
        self._plans.put(item.id, self._plan(item, proven))
        return None

    def _plan(self, item: Item, proven: Proposal | None) -> "_Plan":
        newest = self._newest
        return _Plan(
            proven=proven,
            guess=self._propose(item, newest),
            version=self.standing.free_version,
            newest=self._version(newest),
            batch_certified=self._batch_certified,
            audited=not self.spared(item.source),
            probability=self.standing.audit_probability,
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
        if plan.proven is not None:
            return await self._below(item, plan, Answered(plan.proven.verdict, FREE), "free")
        may_guess = self._quality.when_uncertified == "answer-unproven" and not self.standing.off
        if may_guess and plan.guess is not None:
            return await self._unproven(item, plan, Answered(plan.guess.verdict, FREE))
        if self._quality.reference == "nano":
            return await self._judged(item, plan, await self._reference(item))
        if plan.batch_certified or may_guess:
            batched = await self._batches.put(item, alone=False).answer()
            if batched.suspect:
                return await self._unlearned(item, batched)
            if plan.batch_certified:
                return await self._below(item, plan, batched, "batch")
            return await self._unproven(item, plan, batched, self._shadow(batched.verdict))
        shadowed = self._tossed("batch", item.source.partition, item.source.offset, BATCH_SHADOWS_SHARE)
        if shadowed and self.standing.batch_given_up != self._models:
            batched = await self._batches.put(item, alone=False).answer()
            if batched.suspect:
                return await self._unlearned(item, batched)
            return await self._judged(item, plan, await self._reference(item), self._shadow(batched.verdict))
        return await self._judged(item, plan, await self._reference(item))

    async def _below(self, item: Item, plan: "_Plan", answered: Answered, rule: Literal["free", "batch"]) -> Refereed:
        """Publishes `answered`; where the coin says so, the reference judges the message too."""
        refereed = Refereed(answered.verdict, answered.bill, teaches=rule == "batch")
        if not self._affordable():
            return replace(refereed, unproven=True)  # nobody looks: it is no part of the claim
        if not plan.audited:
            return refereed
        audit = self._audit(item, plan, await self._looked_at(item), answered.verdict, rule)
        return replace(refereed, audit=audit)

    async def _unproven(self, item: Item, plan: "_Plan", answered: Answered, *shadows: Shadow) -> Refereed:
        """Publishes `answered`, which is no part of the claim. The reference looks all the same: what it says may
        prove the rules for later."""
        refereed = Refereed(answered.verdict, answered.bill, unproven=True, teaches=answered.bill.batch_size > 0)
        if not self._affordable():
            return refereed
        audit = self._audit(item, plan, await self._looked_at(item), answered.verdict, None, *shadows)
        self._spend(audit.cost_usd_micros)
        return replace(refereed, audit=audit)

    async def _looked_at(self, item: Item) -> Answered | None:
        try:
            return await self._reference(item)
        except AnswerError:  # counts as a disagreement: what cannot be judged must not look like agreement
            return None

    async def _judged(self, item: Item, plan: "_Plan", reference: Answered, *shadows: Shadow) -> Refereed:
        """The reference's own answer is published, beside what the rules would have said."""
        if reference.suspect:  # the text may have dictated it
            return Refereed(reference.verdict, reference.bill)
        audit = self._audit(item, plan, reference, reference.verdict, None, *shadows)
        audit = replace(audit, cost_usd_micros=0.0)  # it is the answer's
        nothing_certified = self._certified is None and not plan.batch_certified  # else these are the hard ones alone
        if (
            nothing_certified
            and self._affordable()
            and self._tossed("self", item.source.partition, item.source.offset, SELF_AUDITS_SHARE)
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

    def _shadow(self, batched: Verdict) -> Shadow:
        score = 1.0 if batched.confidence is None else batched.confidence
        return Shadow(rule="batch", version=self._models, label=batched.label, score=score)

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
        if plan.guess is not None:
            guess = plan.guess
            shadow = Shadow(rule="free", version=plan.newest, label=guess.verdict.label, score=guess.score)
            shadows = (*shadows, shadow)
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
            version=None if rule is None else plan.version if rule == "free" else self._models,
            probability=1.0 if rule is None else plan.probability,
            shadows=shadows,
            template=item.template,
            text=student_text(item),
            cost_usd_micros=cost,
        )

    # --- proposals ------------------------------------------------------------------------------------

    @property
    def _newest(self) -> str:
        return next(reversed(self._students), "")

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
        return f"{self._models}.{student}" if student else self._models

    def _tossed(self, topic: str, partition: int, offset: int, probability: float) -> bool:
        return self._sides(topic, partition, offset // _SIDES)[offset % _SIDES] < probability * _SIDE_MAX

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


def _sides(secret: bytes, topic: str, partition: int, block: int) -> tuple[int, ...]:
    """16 independent numbers below 2**32."""
    told = f"{topic}/{partition}/{block}".encode()
    return struct.unpack("<16I", hashlib.blake2b(told, key=secret, digest_size=64).digest())


def _models_version(policy: Policy, quality: Quality, prompt: str) -> str:
    """12 hex digits that change with the models whose answers are compared, and with how they are asked."""
    reference = "nano" if quality.reference == "nano-single" else quality.reference
    asked = (policy.tiers.nano.model, policy.tiers.of(reference).model, quality.reference, prompt, BATCH_MESSAGES_MAX)
    return hashlib.blake2b(repr(asked).encode(), digest_size=6).hexdigest()
