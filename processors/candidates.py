"""Another model in nano's place: asked beside the answer while it proves itself, and never in its way; then answering a
share of the messages, and then all.

Where only few messages are judged, those would travel alone, and nothing would be known of the batches that are to
answer later. So they get company: messages that passed of late, whose answers nobody reads. An audit then costs a batch
more, which for a trial of some hundred audits is less than a dollar.
"""

import functools
import logging
from collections import deque
from dataclasses import dataclass

from processors.batches import Batches
from processors.clock import Clock
from processors.errors import AnswerError, SluiceError
from processors.gateway.prices import candidate
from processors.items import Item
from processors.policy import Policy
from processors.proposals import Proposal
from processors.quality.standing import Standing
from processors.questions import Answered, Question
from processors.voting import Voting
from topics.limits import BATCH_MESSAGES_MAX, CANARY_SECONDS, CANDIDATE_REST_SECONDS
from topics.messages import Shadow

log = logging.getLogger("sluice.triage")


@dataclass(frozen=True, slots=True, eq=False)
class Nanos:
    """Nano with many messages a call, by one model."""

    version: str  # of the rule `batch`
    model: str
    batches: Batches
    voting: Voting


@dataclass(frozen=True, slots=True)
class Asked:
    """A question beside the answer."""

    nanos: Nanos
    question: Question
    opinion: Proposal | None  # of a free means, which its votes are weighed by
    company: bool  # the whole batch was asked for it alone


class Beside:
    """Asks what does not answer. Of one stream."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._passed: deque[Item] = deque(maxlen=BATCH_MESSAGES_MAX)
        self._resting: dict[str, float] = {}  # by version, until when; of the one or two that are asked

    def passed(self, item: Item) -> None:
        """A message that a batch is asked about: it may go along with one that comes later."""
        self._passed.append(item)

    def ask(self, nanos: Nanos, item: Item, opinion: Proposal | None, *, company: bool) -> Asked | None:
        """None while the model is let alone, because it could not be asked. `opinion`: of a free means about the
        message. `company`: few messages are."""
        if self._clock.monotonic() < self._resting.get(nanos.version, 0.0):
            return None
        return Asked(nanos, self._put(nanos, item, company=company), opinion, company)

    def _put(self, nanos: Nanos, item: Item, *, company: bool, again: bool = False) -> Question:
        question = nanos.batches.put(item, again=again)
        if company:
            others = [each for each in reversed(self._passed) if each.tenant == item.tenant and each.id != item.id]
            for each in others[: nanos.batches.controller.size - 1]:
                nanos.batches.put(each)
        return question

    async def said(self, asked: Asked) -> tuple[Shadow | None, float]:
        """What would have been published, and what the question cost in micro-dollars, about. None: nothing would,
        since a batch failed its control, or the model cannot be asked."""
        nanos, version = asked.nanos, asked.nanos.version
        again = functools.partial(self._put, nanos, company=asked.company, again=True)
        try:
            answered = await nanos.voting.more(asked.question.item, await asked.question.answer(), asked.opinion, again)
        except AnswerError:  # such a message would be a dead letter: that is no agreement
            return Shadow(rule="batch", version=version, label="", score=0.0), 0.0
        except SluiceError as error:
            self._resting = {version: self._clock.monotonic() + CANDIDATE_REST_SECONDS}
            log.warning("stream %s: model %s cannot be asked in shadow: %s", self._name, nanos.model, error)
            return None, 0.0
        cost = answered.bill.cost_usd_micros * (answered.bill.batch_size if asked.company else 1)
        return None if answered.suspect else shadow_of(version, answered), cost


def shadow_of(version: str, answered: Answered) -> Shadow:
    """What batches of that version said."""
    verdict = answered.verdict
    score = 1.0 if verdict.confidence is None else verdict.confidence
    return Shadow(rule="batch", version=version, label=verdict.label, score=score, size=answered.bill.batch_size)


def canary_until_ms(standing: Standing, version: str) -> int:
    """The end of the canary of a candidate's certificate: until then it answers CANARY_SHARE of the messages. 0 where
    it has none, or one that does not say since when."""
    since_ms = standing.certified_batches.get(version)
    return 0 if since_ms is None else since_ms + round(CANARY_SECONDS * 1000)


def with_model(policy: Policy, model: str) -> Policy:
    """The policy as it is with `model` in nano's place. Raises ConfigurationError where its price is not known."""
    nano = candidate("nano", policy.tiers.nano, model)
    return policy.model_copy(update={"tiers": policy.tiers.model_copy(update={"nano": nano})})
