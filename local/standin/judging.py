"""What a tier answers about messages: gold where the text is known, a text model where it is not, and then errors."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from local.standin.error_model import ErrorModel
from local.standin.gold import Gold, GoldRecord, Match
from local.standin.lexicon import fold
from local.standin.reading import Described, Message, Reading, control, dictated_label
from local.standin.text_model import LinearModel, by_meaning, train
from topics.messages import Tier

CALLS_REMEMBERED_MAX = 500_000  # texts whose calls are counted: about 80 MB
LABEL_SETS_MAX = 32  # text models kept


@dataclass(frozen=True, slots=True)
class Judged:
    """A tier's answer about one message. `broken` and `neighbour` are the accidents of batches."""

    message: Message
    label: str
    confidence: float
    escalate: bool
    fingerprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)  # gold's other entries about the message
    broken: str | None = None
    priority: int | None = None  # where the message asks for one
    sure: str | None = None  # the same for the digits of how sure the answer is


class Judge:
    """Judges for all tiers. Owned by one event loop; only training runs beside it."""

    def __init__(self, gold: Gold, errors: ErrorModel, seed: int) -> None:
        self.found: Counter[str] = Counter()  # messages judged, by how their text was found in gold
        self._gold = gold
        self._errors = errors
        self._seed = seed
        self._models: OrderedDict[tuple[str, ...], asyncio.Future[LinearModel | None]] = OrderedDict()
        self._calls: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def prepare(self, labels: tuple[str, ...]) -> None:
        """Trains the text model of a label set, once; whoever needs it meanwhile waits."""
        if not self._gold.records or labels in self._models:
            if (training := self._models.get(labels)) is not None and not training.done():
                await asyncio.shield(training)
            return
        work = asyncio.to_thread(train, self._gold.records, labels, self._seed)
        training = self._models[labels] = asyncio.ensure_future(work)
        while len(self._models) > LABEL_SETS_MAX:
            self._models.popitem(last=False)
        await asyncio.shield(training)

    def judge(self, reading: Reading, labels: tuple[str, ...], tier: Tier, now: float) -> list[Judged]:
        """One answer a message, in order. `now`: seconds since the epoch, for dated drift."""
        texts = [message.text for message in reading.messages]
        size = len(texts)
        if self._errors.profile.obedience and (dictated := dictated_label(texts, labels)) is not None:
            return [Judged(m, dictated, 0.99, False, m.text) for m in reading.messages]
        matches = [self._gold.find(text) for text in texts]
        mixed = len({match.record.source for match in matches if match is not None}) > 1
        drift, redrawn = self._errors.profile.drift_at(tier, now)
        answers: list[Judged] = []
        for index, (message, match) in enumerate(zip(reading.messages, matches, strict=True)):
            if size > 1 and (wanted := control(message.text, labels, reading.form)) is not None:
                obeying = Judged(
                    *(message, wanted.label, 0.99, False, message.text),
                    priority=wanted.priority,
                    sure=wanted.sure,
                )
                answers.append(obeying)
                continue
            self.found[match.how if match is not None else "unknown"] += 1
            fingerprint = match.record.text if match is not None and match.how != "part" else fold(message.text)
            judgement = self._errors.judge(
                fingerprint=fingerprint,
                tier=tier,
                call=self._call_number(tier, fingerprint),
                truth=self._truth(message.text, match, labels, reading.described),
                labels=labels,
                error_factor=drift * self._errors.batch_factor(index, size, mixed=mixed),
                redrawn=redrawn,
                batched=size > 1,
            )
            unsure = judgement.confidence < self._errors.profile.escalate_below
            label = answers[-1].label if judgement.copies_neighbour and answers else judgement.label
            answers.append(
                Judged(
                    message,
                    label,
                    judgement.confidence,
                    unsure or (match is not None and _gold_climbs(match.record)),
                    fingerprint,
                    facts=match.record.labels if match is not None and match.how != "part" else {},
                    broken=judgement.broken,
                )
            )
        return answers

    def _truth(
        self, text: str, match: Match | None, labels: tuple[str, ...], described: Mapping[str, Described]
    ) -> str:
        """The right label as far as anybody could know it from the text."""
        if match is not None and match.how != "part" and (label := match.record.label_among(labels)) is not None:
            return label
        training = self._models.get(labels)
        model = training.result() if training is not None and training.done() else None
        if model is not None:
            return model.label(text, match.record if match is not None else None)
        return by_meaning(text, {label: described[label].text if label in described else "" for label in labels})

    def _call_number(self, tier: Tier, fingerprint: str) -> int:
        """How often the tier was asked about this text before."""
        key = (tier, fingerprint)
        number = self._calls.pop(key, 0)
        self._calls[key] = number + 1
        while len(self._calls) > CALLS_REMEMBERED_MAX:
            self._calls.popitem(last=False)
        return number


def with_accidents(answers: Sequence[Judged]) -> list[Judged]:
    """The items of a batch as the model writes them: now and then one is missing, twice there, or out of order."""
    written = list(answers)
    for index, answer in enumerate(answers):
        if answer.broken == "missing":
            written.remove(answer)
        elif answer.broken == "extra":
            written.append(replace(answer, message=Message(_unknown_id(answers), answer.message.text)))
        elif answer.broken == "swapped" and index + 1 < len(written):
            written[index], written[index + 1] = written[index + 1], written[index]
    return written


def _unknown_id(answers: Sequence[Judged]) -> str:
    """An id that no message has, as long as theirs and of the same characters."""
    known = {answer.message.id for answer in answers}
    digits = all(id_ is not None and id_.isdecimal() for id_ in known)
    return next((str(id_) for id_ in range(100, 1_000) if str(id_) not in known), "zz00") if digits else "zz00"


def _gold_climbs(record: GoldRecord) -> bool:
    """Whether gold says that a mini agent is not enough."""
    return record.labels.get("tier") == "flagship"
