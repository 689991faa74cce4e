"""Another model in nano's place: asked in shadow, then answering, then named by the policy."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from processors.asking import Answer, Ask
from processors.candidates import with_model
from processors.errors import AnswerRefused, ModelUnknown
from processors.items import Item
from processors.memory import Memory
from processors.policy import Policy
from processors.quality.standing import OtherBatches, Standing
from processors.quality.state import StreamQuality
from processors.referee import Referee
from processors.rule_versions import batch_version
from processors.triage import Triage, Triaged
from tests.fakes import FakeNano, ManualClock
from tests.unit.quality.audits import HOUR_MS, START_MS, judged, shadow
from tests.unit.triage.build import item, stream
from topics.limits import CANARY_SECONDS, CANARY_SHARE, CANDIDATE_REST_SECONDS

LINGER_S = 2 / 3
OLD, NEW = "gpt-5.4-nano", "gpt-6-luna"


class Models:
    """Answers for every model; `judges` by the one that an ask names, else as the tier's."""

    def __init__(self, **judges: Any) -> None:
        self.by = {"": FakeNano(), NEW: FakeNano(judges.get("new", lambda _: {}))}
        self.asks: list[Ask] = []

    async def ask(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        return await self.by[ask.model or ""].ask(ask)

    def of(self, model: str | None) -> list[Ask]:
        return [each for each in self.asks if each.tier == "nano" and each.model == model]


def policy(model: str = OLD, **quality: Any) -> Policy:
    logs = stream(quality={"reference": "flagship"} | quality)
    return Policy.model_validate({"tiers": {"nano": {"model": model}}, "streams": {"logs": logs}})


def refereed(models: Models, clock: ManualClock, rules: Policy, memory: Memory | None = None) -> tuple[Triage, Referee]:
    logs = rules.streams["logs"]
    rng = random.Random(7)
    triage = Triage("logs", logs, rules, models, clock=clock, rng=rng, memory=memory or Memory())
    assert triage.referee is not None
    return triage, triage.referee


def version(model: str, **quality: Any) -> str:
    rules = policy(model, **quality)
    logs = rules.streams["logs"]
    assert logs.quality is not None
    return batch_version(rules, "logs", logs, logs.quality)


def standing(
    *certified: str, probability: float = 1.0, tried: str | None = NEW, since_ms: int | None = None, **more: Any
) -> Standing:
    """`certified`: models whose batches are, the first told first; `since_ms`, and so long that nobody knows."""
    versions = [version(model) for model in certified]
    others = tuple(OtherBatches(each, True, None, since_ms) for each in versions[1:])
    told = Standing(audit_probability=probability, candidate_model=tried, batch_others=others, **more)
    if not versions:
        return told
    return replace(told, batch_certified=True, batch_version=versions[0], batch_certified_ms=since_ms)


async def ask(triage: Triage, clock: ManualClock, *items: Item) -> list[Triaged]:
    tasks = [asyncio.create_task(triage.ask(each)) for each in items]
    for _ in range(4):
        await clock.advance(LINGER_S)
    return list(await asyncio.gather(*tasks))


def lines(count: int, start: int = 0) -> list[Item]:
    return [item(f"line {number}", offset=number) for number in range(start, start + count)]


def shadows(triaged: Sequence[Triaged], model: str) -> list[str]:
    """What batches of that model said in shadow."""
    audits = [each.audit for each in triaged if each.audit is not None]
    return [said.label for audit in audits for said in audit.shadows if said.version == version(model)]


@pytest.mark.usefixtures("one_vote")
async def test_the_certified_model_answers_while_another_is_asked_beside_it_in_full_batches():
    clock, models = ManualClock(), Models(new=lambda _: {"label": "noise"})
    triage, referee = refereed(models, clock, policy())
    referee.adopt(standing(OLD, probability=0.0001))
    await ask(triage, clock, *lines(8))
    assert models.of(NEW) == [], "no message was audited"
    referee.adopt(standing(OLD))
    (audited,) = await ask(triage, clock, *lines(1, 100))
    assert (audited.decision.label, audited.audit.version) == ("routine", version(OLD))
    assert shadows([audited], NEW) == ["noise"]
    (asked,) = models.of(NEW)
    assert asked.messages == 4, "as many as a batch has: it is judged as it is to answer"
    assert audited.audit.cost_usd_micros == 600 + 600, "the reference's, and the batch that was asked for the audit"


@pytest.mark.usefixtures("one_vote")
async def test_nothing_certified_every_message_that_the_reference_judges_counts():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    referee.adopt(standing())
    triaged = await ask(triage, clock, *lines(40))
    assert {each.decision.decided_by for each in triaged} == {"flagship"}
    assert len(shadows(triaged, NEW)) == 40
    assert sum(each.messages for each in models.of(NEW)) == 40, "they are company enough for each other"
    assert 0 < len(shadows(triaged, OLD)) < 40


@pytest.mark.usefixtures("one_vote")
async def test_what_is_tried_answers_once_it_is_certified_and_what_answered_stays_known():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    referee.adopt(standing(NEW, OLD))
    triaged = await ask(triage, clock, *lines(40))
    assert {(each.decision.decided_by, each.audit.version) for each in triaged} == {("nano", version(NEW))}
    assert sum(each.messages for each in models.of(NEW)) == 40
    assert shadows(triaged, NEW) == [], "it is no shadow of itself"
    assert 0 < len(shadows(triaged, OLD)) < 30, "by a coin, so that the way back is open"
    referee.adopt(standing(OLD))
    (fallen,) = await ask(triage, clock, *lines(1, 100))
    assert fallen.audit.version == version(OLD), "where the new one loses its certificate, the one before answers"
    referee.adopt(standing(NEW, OLD, tried=None))
    (back,) = await ask(triage, clock, *lines(1, 200))
    assert (back.audit.version, shadows([back], NEW)) == (version(OLD), []), "rolled back"


# --- canary ---------------------------------------------------------------------------------------


def answered_by(triaged: Sequence[Triaged]) -> dict[int, str | None]:
    """By offset the version that answered below the reference."""
    audits = [each.audit for each in triaged if each.audit is not None]
    return {audit.source.offset: audit.version for audit in audits}


async def test_what_was_just_certified_answers_a_tenth_for_a_day_and_then_all():
    clock, models = ManualClock(), Models(new=lambda _: {"label": "noise"})
    triage, referee = refereed(models, clock, policy())
    told = standing(NEW, OLD, since_ms=round(clock.time() * 1000), coin="ab" * 32)
    referee.adopt(told)
    triaged = await ask(triage, clock, *lines(400))
    by = answered_by(triaged)
    assert len(by) == 400
    new = {offset for offset, of in by.items() if of == version(NEW)}
    assert {by[offset] for offset in by.keys() - new} == {version(OLD)}
    assert 400 * CANARY_SHARE / 2 < len(new) < 400 * CANARY_SHARE * 2
    for each in triaged:
        assert each.audit is not None
        shadowed = [(said.version, said.label) for said in each.audit.shadows]
        if each.audit.version == version(OLD):
            assert each.audit.label == "routine", "what that version said"
            assert shadowed == [(version(NEW), "noise")], "by each audit of the other"
        else:
            assert each.audit.label == "noise"
            assert shadowed in ([], [(version(OLD), "routine")]), "never of itself"
    assert 0 < len(shadows([each for each in triaged if each.audit.version == version(NEW)], OLD)) < len(new)

    await clock.advance(CANARY_SECONDS / 2)
    elsewhere, another = refereed(models, clock, policy())
    another.adopt(told)
    assert answered_by(await ask(elsewhere, clock, *lines(400))) == by, "whoever takes a record again has its side"

    await clock.advance(CANARY_SECONDS / 2)
    assert set(answered_by(await ask(triage, clock, *lines(40, 400))).values()) == {version(NEW)}


async def test_a_canary_says_nothing_about_audits():
    """Else what is audited of the one or the other would be no fair sample of its answers."""
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    told = standing(NEW, OLD, since_ms=round(clock.time() * 1000), coin="cd" * 32, probability=0.1)
    for topic in ("canary", "logs"):
        referee.adopt(replace(told, audit_probability=1.0))
        items = [replace(each, source=replace(each.source, topic=topic)) for each in lines(400)]
        new = {offset for offset, of in answered_by(await ask(triage, clock, *items)).items() if of == version(NEW)}
        referee.adopt(told)
        audited = {each.source.offset for each in items if not referee.spared(each.source)}
        assert 10 < len(audited) < 80
        assert len(audited & new) < len(audited) / 2, topic


async def test_in_a_canary_the_reference_answers_the_rest_where_nanos_own_model_may_not():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    referee.adopt(standing(NEW, since_ms=round(clock.time() * 1000)))
    triaged = await ask(triage, clock, *lines(200))
    new = [each for each in triaged if each.decision.decided_by == "nano"]
    rest = [each for each in triaged if each.decision.decided_by == "flagship"]
    assert 200 * CANARY_SHARE / 2 < len(new) < 200 * CANARY_SHARE * 2
    assert len(new) + len(rest) == 200
    assert {(each.audit.rule, each.audit.version) for each in new} == {("batch", version(NEW))}
    assert {(each.audit.rule, each.audit.version) for each in rest} == {(None, None)}
    assert (len(shadows(rest, NEW)), len(shadows(new, NEW))) == (len(rest), 0)
    assert 0 < len(shadows(rest, OLD)) < len(rest)
    await clock.advance(CANARY_SECONDS)
    assert {each.decision.decided_by for each in await ask(triage, clock, *lines(20, 200))} == {"nano"}


async def test_a_certificate_that_ends_ends_its_canary_and_the_policys_own_model_has_none():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    now_ms = round(clock.time() * 1000)
    referee.adopt(standing(NEW, OLD, since_ms=now_ms))
    await ask(triage, clock, *lines(40))
    referee.adopt(standing(OLD, since_ms=now_ms))
    assert set(answered_by(await ask(triage, clock, *lines(40, 40))).values()) == {version(OLD)}


async def test_a_policy_that_names_the_model_keeps_its_certificates_and_begins_no_trial():
    rules, clock, models = policy(), ManualClock(), Models()
    logs = rules.streams["logs"]
    assert logs.quality is not None
    judge, memory = StreamQuality("logs", logs.quality, logs.version), Memory()
    before, referee = refereed(models, clock, rules, memory)
    free = referee._version("")
    for n in range(80 * 40):
        at_ms = START_MS + n * HOUR_MS // 40
        said = [shadow(version=free), shadow(rule="batch", version=version(NEW))]
        least = judge.standing(at_ms).audit_probability
        judge.fold(replace(judged(at_ms, *said, policy_version=logs.version), probability=least))
    now_ms = START_MS + 80 * HOUR_MS
    judge.try_model(NEW)
    certified = judge.standing(now_ms)
    assert (certified.batch_version, certified.free_version) == (version(NEW), free)
    counts = [judge._admissions[rule].count for rule in ("free", "batch")]
    referee.adopt(replace(certified, audit_probability=0.0001))
    (paid,) = await ask(before, clock, item("a"))
    assert (paid.decision.decided_by, len(models.of(NEW))) == ("nano", 1)

    after, referee = refereed(models, clock, policy(NEW), memory)
    referee.adopt(replace(certified, audit_probability=0.0001))
    assert after.free(item("a", offset=9)).decision.decided_by == "memory", "what was learnt is known yet"
    (plain,) = await ask(after, clock, item("b"))
    assert (plain.decision.decided_by, models.asks[-1].model) == ("nano", None), "the tier's own by now"
    referee.adopt(replace(certified, audit_probability=1.0))
    triaged = await ask(after, clock, *lines(8, 50))
    for number, each in enumerate(triaged):
        assert each.audit is not None
        judge.fold(replace(each.audit, at_ms=now_ms + number, reference_label=each.audit.label))
    assert {each.audit.version for each in triaged} == {version(NEW)}
    assert [judge._admissions[rule].count for rule in ("free", "batch")] == counts
    now = judge.standing(now_ms + 8)
    assert (now.batch_version, now.free_version) == (version(NEW), free)


class Course:
    """A stream of eight messages an hour, all of them audited; what follows from the audits is obeyed."""

    def __init__(self, models: Models) -> None:
        rules = policy(max_disagreement=0.1, confidence=0.9)
        talk = rules.streams["logs"].model_copy(update={"kind": "dialogue"})  # without templates: each is asked about
        self.rules = rules.model_copy(update={"streams": {"logs": talk}})
        assert talk.quality is not None
        self.judge = StreamQuality("logs", talk.quality, talk.version, audit_min=1.0)
        self.clock = ManualClock(START_MS / 1000)
        self.triage, self.referee = refereed(models, self.clock, self.rules)
        self.messages = 0

    @property
    def now_ms(self) -> int:
        return round(self.clock.time() * 1000)

    def version(self, model: str) -> str:
        logs = self.rules.streams["logs"]
        assert logs.quality is not None
        return batch_version(with_model(self.rules, model), "logs", logs, logs.quality)

    async def hours(self, count: int) -> list[Triaged]:
        """The last hour's."""
        triaged: list[Triaged] = []
        for _ in range(count):
            triaged = await ask(self.triage, self.clock, *lines(8, self.messages))
            self.messages += 8
            for each in triaged:
                if each.audit is not None:  # a batch whose answers are all alike is in none
                    self.judge.fold(each.audit)
            self.referee.adopt(self.judge.standing(self.now_ms))
            await self.clock.advance(3600 - 4 * LINGER_S)
        return triaged

    async def answer_by(self, hours: int) -> set[str | None]:
        """In the last hour."""
        return {each.audit.version for each in await self.hours(hours) if each.audit is not None}

    async def answers(self, hours: int) -> set[str | None]:
        """In all of them together."""
        return set().union(*[await self.answer_by(1) for _ in range(hours)])

    async def until_certified(self, model: str) -> int:
        """In hours."""
        for hours in range(60):
            if self.version(model) in self.judge.standing(self.now_ms).certified_batches:
                return hours
            await self.hours(1)
        raise AssertionError(f"{model} is not certified within 60 hours")


async def test_from_one_model_to_another_and_back_where_it_turns_bad():
    models = Models()
    course = Course(models)
    assert await course.answer_by(1) == {None}, "the reference answers"
    assert await course.answer_by(48) == {course.version(OLD)}
    course.judge.try_model(NEW)
    assert await course.answer_by(4) == {course.version(OLD)}, "what is certified goes on while another is tried"
    hours = await course.until_certified(NEW)
    assert 20 <= hours <= 36
    assert await course.answers(20) == {course.version(OLD), course.version(NEW)}, "its canary"
    assert await course.answers(10) == {course.version(OLD), course.version(NEW)}, "which ends"
    assert await course.answer_by(1) == {course.version(NEW)}
    models.by[NEW].judge = lambda _: {"label": "noise"}
    assert await course.answer_by(12) == {course.version(OLD)}, "what it did wrong ended its certificate"
    course.judge.try_model(None)
    assert await course.answer_by(2) == {course.version(OLD)}


async def test_what_turns_bad_in_its_canary_did_so_to_a_tenth():
    models = Models()
    course = Course(models)
    await course.hours(48)
    course.judge.try_model(NEW)
    await course.until_certified(NEW)
    models.by[NEW].judge = lambda _: {"label": "noise"}
    published, hours = 0, 0
    while course.version(NEW) in course.judge.standing(course.now_ms).certified_batches:
        audits = [each.audit for each in await course.hours(1) if each.audit is not None]
        published += sum(audit.version == course.version(NEW) for audit in audits)
        hours += 1
        assert hours < 8, "what it is asked in shadow tells of it, too"
    assert published <= 8 * hours / 2
    assert await course.answer_by(1) == {course.version(OLD)}


async def test_a_model_that_is_worse_is_given_up_and_nothing_changes():
    models = Models(new=lambda text: {"label": "noise"} if int(text.split()[-1]) % 2 else {})
    course = Course(models)
    await course.hours(48)
    course.judge.try_model(NEW)
    assert await course.answer_by(44) == {course.version(OLD)}
    assert course.judge.standing(course.now_ms).batch_given_up == (course.version(NEW),)
    asked = len(models.of(NEW))
    await course.hours(1)
    assert len(models.of(NEW)) == asked, "its shadows are worth nothing any more"


def test_where_memory_learns_from_what_is_unproven_it_proves_itself_anew_with_another_model():
    for quality in ({"when_uncertified": "answer-unproven"}, {"reference": "nano-single"}):
        free = [refereed(Models(), ManualClock(), policy(model, **quality))[1]._version("") for model in (OLD, NEW)]
        assert len(set(free)) == 2


async def test_no_answer_is_a_disagreement_and_a_model_that_cannot_be_asked_disturbs_nobody():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    referee.adopt(standing(OLD))

    def declines(_: str) -> dict:
        raise AnswerRefused("no")

    models.by[NEW].judge = declines
    (refused,) = await ask(triage, clock, *lines(1))
    assert shadows([refused], NEW) == [""]

    def unknown(_: str) -> dict:
        raise ModelUnknown("no such model")

    models.by[NEW].judge = unknown
    for number in (10, 20):
        (triaged,) = await ask(triage, clock, *lines(1, number))
        assert (triaged.decision.decided_by, shadows([triaged], NEW)) == ("nano", [])
    asked = len(models.of(NEW))
    await clock.advance(CANDIDATE_REST_SECONDS)
    models.by[NEW].judge = lambda _: {}
    (triaged,) = await ask(triage, clock, *lines(1, 30))
    assert shadows([triaged], NEW) == ["routine"]
    assert asked < len(models.of(NEW))


async def test_beyond_the_days_money_for_audits_nothing_is_tried():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy(audit_usd_per_day=0.001))
    known = {model: version(model, audit_usd_per_day=0.001) for model in (OLD, NEW)}
    assert known[NEW] == version(NEW), "money is no part of a version"
    referee.adopt(standing(OLD))
    (paid,) = await ask(triage, clock, *lines(1))
    assert paid.audit.cost_usd_micros == 1200
    (unpaid,) = await ask(triage, clock, *lines(1, 10))
    assert (unpaid.audit, unpaid.decision.unproven, len(models.of(NEW))) == (None, True, 1)


@pytest.mark.parametrize(
    ("told", "quality"),
    [
        (standing(OLD, batch_given_up=(version(NEW),)), {}),
        (standing(OLD, tried="of-no-known-price"), {}),
        (standing(OLD, tried=OLD), {}),
        (Standing(off=True), {}),
        (standing(tried=NEW), {"reference": "nano-single"}),
    ],
    ids=["given up", "no price", "the policy's own", "switched off", "nano is the reference"],
)
async def test_who_is_not_asked(told: Standing, quality: dict[str, Any]):
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy(**quality))
    referee.adopt(told)
    triaged = await ask(triage, clock, *lines(20))
    assert len(triaged) == 20
    assert models.of(NEW) == models.of("of-no-known-price") == models.of(OLD) == []


async def test_closing_lets_go_of_what_was_asked_beside():
    clock, models = ManualClock(), Models()
    triage, referee = refereed(models, clock, policy())
    referee.adopt(standing())
    models.by[NEW].free.clear()
    task = asyncio.create_task(triage.ask(item("a")))
    await clock.advance(LINGER_S)
    await clock.advance(LINGER_S)
    assert not task.done()
    await triage.close()
    assert models.by[NEW].cancelled == 1
    assert (await task).decision.decided_by == "flagship"
