"""Cheap looks at what nobody audits, and where the reference answers because of them."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from local.drive import Fed
from processors.asking import Answer, Ask
from processors.errors import ProviderUnavailable
from processors.items import Item
from processors.memory import Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.proposals import Proposal
from processors.quality.standing import Standing
from processors.referee import Referee
from processors.regions import Regions, region_of
from processors.triage import Triage, Triaged
from streams.stages import TriageStage
from tests.fakes import FakeNano, ManualClock, settle
from tests.unit.triage.build import item, stream
from topics.catalog import Names
from topics.limits import (
    LOOKS_CALM,
    LOOKS_CLOSED_SECONDS,
    LOOKS_MAX,
    LOOKS_REGIONS_MAX,
    LOOKS_SHARE,
    LOOKS_WAIT_SECONDS,
    TEMPLATE_ANSWERS_MIN,
)
from topics.messages import Means, Verdict


def _verdict(tier: Means) -> Verdict:
    return Verdict(
        tier=tier, label="routine", severity=None, confidence=0.99, priority=1, fields={}, summary=None, model=None
    )


class Pupil:
    """A student that thinks all is routine."""

    def propose(self, item: Item) -> Proposal:
        return Proposal(_verdict("student"), 0.99)


class Models:
    """Each tier by its own judge."""

    def __init__(self, nano: Callable[[str], str], flagship: Callable[[str], str]) -> None:
        self.nano = FakeNano(lambda text: {"label": nano(text)})
        self.flagship = FakeNano(lambda text: {"label": flagship(text)})

    async def ask(self, ask: Ask) -> Answer:
        return await (self.nano if ask.tier == "nano" else self.flagship).ask(ask)

    def looked_at(self) -> int:
        """Messages that nano was asked about: a certified student leaves it nothing else."""
        return sum(ask.messages for ask in self.nano.asks)


def said(label: str) -> Callable[[str], str]:
    return lambda _: label


ROUTINE = said("routine")


class Set:
    """A stream whose student is certified, and everything around it."""

    def __init__(
        self,
        nano: Callable[[str], str] = ROUTINE,
        flagship: Callable[[str], str] = ROUTINE,
        *,
        probability: float = 0.0,
        untried: float = 1.0,
        reference: str = "flagship",
        **quality: Any,
    ) -> None:
        self.clock, self.models = ManualClock(), Models(nano, flagship)
        logs = stream(quality={"reference": reference} | quality)
        policy = Policy(streams={"logs": logs})
        self.triage = Triage("logs", logs, policy, self.models, clock=self.clock, rng=random.Random(7), memory=Memory())
        assert self.triage.referee is not None
        self.referee: Referee = self.triage.referee
        self.certify(probability, untried)
        self.before = counts()

    def certify(self, probability: float, untried: float = 1.0) -> None:
        standing = Standing(
            free_version=self.referee._version("s1"),
            free_score_min=0.9,
            audit_probability=probability,
            untried_probability=untried,
            coin="ab" * 32,
        )
        self.referee.adopt(standing, {"s1": Pupil()})

    def counted(self) -> dict[str, float]:
        """Looks by outcome."""
        return {outcome: told - self.before[outcome] for outcome, told in counts().items()}

    async def free(self, items: list[Item]) -> list[str | None]:
        """What was published of each for nothing, and all looks done."""
        labels = []
        for number, each in enumerate(items):
            triaged = self.triage.free(each)
            labels.append(None if triaged is None else triaged.decision.label)
            if number % 100 == 99:
                await self.looks_end()
        await self.looks_end()
        return labels

    async def looks_end(self) -> None:
        await settle()
        await self.clock.advance(1.0)

    async def ask(self, *items: Item) -> list[Triaged]:
        tasks = [asyncio.create_task(self.triage.ask(each)) for each in items]
        await self.clock.advance(1.0)
        return list(await asyncio.gather(*tasks))


def counts() -> dict[str, float]:
    return {
        outcome: REGISTRY.get_sample_value("sluice_looks_total", {"stream": "logs", "outcome": outcome}) or 0.0
        for outcome in ("agreed", "differed", "none")
    }


def lines(template: str, count: int, start: int = 0) -> list[Item]:
    return [
        item(f"{template} {number}", offset=number, template=f"{template} <*>")
        for number in range(start, start + count)
    ]


async def test_nano_looks_at_a_fiftieth_in_batches_and_the_answers_are_what_they_were():
    subject = Set()
    assert set(await subject.free(lines("old", 10_000))) == {"routine"}
    looks = subject.models.looked_at()
    assert 10_000 * LOOKS_SHARE * 0.8 < looks < 10_000 * LOOKS_SHARE * 1.2
    assert {ask.messages for ask in subject.models.nano.asks} == {4}, "as many as a batch of the stream has"
    assert subject.counted() == {"agreed": looks, "differed": 0, "none": 0}
    assert subject.models.flagship.asks == []
    assert subject.referee._audits_spent[1] == pytest.approx(looks * 150), "a share of each call, of the audits' money"


async def test_the_coin_of_a_look_falls_the_same_again_and_says_nothing_about_the_audit():
    subject = Set(probability=0.1)
    looked = {offset for offset in range(20_000) if subject.referee.looks_at(0, offset)}
    assert looked == {offset for offset in range(20_000) if subject.referee.looks_at(0, offset)}
    audited = {offset for offset in range(20_000) if not subject.referee.spared_at("syslog", 0, offset)}
    records = [Fed("syslog", 0, offset, 0, None, None) for offset in range(20_000)]
    assert subject.referee.looks_among(records) == [record.offset in looked for record in records]
    assert len(looked & audited) == pytest.approx(len(looked) * 0.1, abs=4 * (len(looked) * 0.09) ** 0.5)


async def test_where_nano_and_the_reference_differ_the_reference_answers_until_it_agrees_again():
    wrong = {"old": "routine", "new": "alert"}
    judge = lambda text: wrong[text.split()[0]]  # noqa: E731
    subject = Set(judge, judge)
    published = await subject.free(lines("new", 600))
    assert published.count("routine") < 600, "it has stood back"
    assert published.index(None) < 400
    assert set(published[published.index(None) :]) == {None}
    assert subject.counted()["differed"] >= 2
    assert await subject.free(lines("old", 100, start=1_000)) == ["routine"] * 100, "the others are as they were"

    (triaged,) = await subject.ask(*lines("new", 1, start=2_000))
    assert (triaged.decision.label, triaged.decision.decided_by) == ("alert", "flagship")
    audit = triaged.audit
    assert (audit.below, audit.rule, audit.probability) == (False, None, 1.0)
    assert [shadow.label for shadow in audit.shadows if shadow.rule == "free"] == ["routine"]

    wrong["new"] = "routine"
    await subject.ask(*lines("new", LOOKS_CALM - 1, start=3_000))
    assert await subject.free(lines("new", 1, start=4_000)) == [None]
    await subject.ask(*lines("new", 1, start=5_000))
    assert await subject.free(lines("new", 1, start=6_000)) == ["routine"]


async def test_nanos_own_errors_close_nothing():
    subject = Set(nano=said("alert"))
    assert set(await subject.free(lines("old", 2_000))) == {"routine"}
    looks = subject.models.looked_at()
    assert len(subject.models.flagship.asks) == looks > 20, "it was asked about each of them"
    assert subject.counted() == {"agreed": looks, "differed": 0, "none": 0}


async def test_audits_that_disagree_close_a_region_too():
    subject = Set(flagship=said("alert"), probability=0.01, reference="nano-single")
    subject.models.nano.judge = lambda _: {"label": "alert"}
    audited = [each for each in lines("new", 2_000) if not subject.referee.spared(each.source)]
    published = [(await subject.ask(each))[0].decision for each in audited[:4]]
    assert [each.decided_by for each in published] == ["student", "student", "nano", "nano"]


async def test_beside_nano_itself_there_are_no_looks_and_its_audits_do_their_work():
    subject = Set(nano=said("alert"), reference="nano", probability=0.01)
    assert not subject.referee.has_looks
    audited = [each for each in lines("new", 2_000) if not subject.referee.spared(each.source)]
    published = [(await subject.ask(each))[0].decision.decided_by for each in audited[:4]]
    assert published == ["student", "student", "nano", "nano"]


async def test_in_a_trial_a_region_hears_of_no_more_audits_than_else():
    """Where everything is audited two slips of the reference would come close to each other every now and then."""
    slips = lambda text: "alert" if int(text.split()[-1]) % 100 < 2 else "routine"  # noqa: E731
    subject = Set(flagship=slips, probability=1.0, untried=0.02)
    decided = [(await subject.ask(each))[0] for each in lines("old", 800)]
    assert sum(each.audit.reference_label != each.audit.label for each in decided) == 16, "as many as were promised"
    assert {each.decision.decided_by for each in decided} <= {"student", "memory"}
    changed = Set(flagship=said("alert"), probability=1.0, untried=0.02)
    means = [(await changed.ask(each))[0].decision.decided_by for each in lines("new", 800)]
    assert "flagship" in means, "a change is found all the same"


async def test_as_many_disagreements_as_were_promised_close_next_to_nothing():
    rng = random.Random(3)
    subject = Set(nano=said("alert"), flagship=lambda _: "alert" if rng.random() < 0.01 else "routine")
    published = await subject.free(lines("old", 20_000))
    assert published.count(None) == 0
    assert subject.counted()["differed"] > 0


async def test_looks_in_flight_are_bounded_and_answers_do_not_wait_for_them():
    subject = Set()
    subject.models.nano.free.clear()
    for each in lines("old", 20_000):
        assert subject.triage.free(each) is not None
    await settle()
    assert not subject.referee.has_looks
    subject.models.nano.free.set()
    await subject.looks_end()
    assert subject.models.looked_at() <= LOOKS_MAX
    assert subject.referee.has_looks


async def test_few_looks_are_put_when_the_first_has_waited_long_enough():
    subject = Set()
    noted = [each for each in lines("old", 1_000) if subject.referee.looks_at(0, each.source.offset)]
    await subject.free(noted[:2])
    assert subject.models.looked_at() == 0
    await subject.clock.advance(LOOKS_WAIT_SECONDS)
    await subject.free(noted[2:3])
    await subject.clock.advance(LOOKS_WAIT_SECONDS)
    assert subject.models.looked_at() == 3


@pytest.mark.parametrize("error", [ProviderUnavailable("away"), RuntimeError("a bug")])
async def test_a_look_that_fails_is_counted_and_nothing_else(error: Exception):
    def fails(_: str) -> str:
        raise error

    subject = Set(nano=fails)
    assert set(await subject.free(lines("old", 1_000))) == {"routine"}
    counted = subject.counted()
    assert (counted["agreed"], counted["differed"]) == (0, 0)
    assert counted["none"] > 5


async def test_a_batch_that_fails_its_control_says_nothing():
    subject = Set(nano=said("alert"), flagship=said("alert"))
    subject.models.nano.spoil = lambda items, _: [each | {"label": "noise", "confidence": 0.123} for each in items]
    assert set(await subject.free(lines("old", 1_000))) == {"routine"}
    assert subject.counted()["none"] > 5
    assert subject.models.flagship.asks == []


async def test_looks_end_with_the_money_for_audits():
    subject = Set(audit_usd_per_day=0.002)
    published = await subject.free(lines("old", 3_000))
    assert subject.models.looked_at() * 150 < 2_000 + LOOKS_MAX * 150
    assert published[-1] is None, "nobody may look at it: it is answered as unproven"


@pytest.mark.parametrize("session", [None, "blk_7"])
async def test_what_exact_memory_knows_needs_no_look_but_where_it_takes_sessions_for_the_same(session: str | None):
    subject = Set()
    memory_only = Standing(free_version=subject.referee._version(""), free_score_min=0.9, audit_probability=0.0)
    subject.referee.adopt(Standing(), {})
    await subject.ask(item("the very same", offset=0))
    subject.referee.adopt(memory_only, {})
    looked = next(n for n in range(1_000) if subject.referee.looks_at(0, n))
    asked = subject.models.looked_at()
    for _ in range(8):
        known = item("the very same", offset=looked, session=session)
        assert subject.triage.free(known).decision.decided_by == "memory"
    await subject.looks_end()
    assert subject.models.looked_at() == asked + (0 if session is None else 8)


async def test_whole_batches_that_template_memory_decides_are_looked_at_and_stand_back():
    clock, model = ManualClock(), FakeNano()
    logs = stream(quality={"reference": "nano-single"}, batch=1)
    normaliser = normaliser_for("logs", logs)
    rules = Policy(streams={"logs": logs})
    triage = Triage("logs", logs, rules, model, clock=clock, rng=random.Random(7), memory=Memory())
    referee = triage.referee
    assert referee is not None

    def records(what: str, start: int, count: int) -> list[Fed]:
        line = "Nov 23 09:00:00 host{} pool[77]: worker {} of the {} is ready after a while"
        values = [line.format(1, 4_000 + n, what).encode() for n in range(start, start + count)]
        return [Fed("syslog", 0, start + n, 1_800_000_000_000, None, value) for n, value in enumerate(values)]

    stage = TriageStage(Names(), {"syslog": (normaliser, triage, "none")}, clock)
    for what in ("pool", "queue"):
        for record in records(what, 0, TEMPLATE_ANSWERS_MIN + 1):
            (later,) = stage.take([record])
            assert callable(later), "it has to be asked"
            await later()
    referee.adopt(Standing(free_version=referee._version(""), free_score_min=0.5, audit_probability=0.0))
    stage.take(records("pool", 10, 20) + records("queue", 10, 20))
    await settle()
    asked, before, outs = len(model.asks), counts(), []
    for start in range(100, 4_100, 200):
        outs += stage.take(records("pool", start, 200))
        await settle()
    assert all(isinstance(each, tuple) for each in outs), "each is decided at once"
    looks = len(model.asks) - asked
    assert 4_000 * LOOKS_SHARE * 0.6 < looks < 4_000 * LOOKS_SHARE * 1.4
    assert counts()["agreed"] - before["agreed"] == looks

    (pool,) = records("pool", 5_000, 1)
    read = normaliser.read(pool)
    assert isinstance(read, Item)
    for _ in range(2):
        referee._told(read, _verdict("memory"), True)
    taken = stage.take(records("pool", 5_001, 20) + records("queue", 5_001, 20))
    assert [callable(each) for each in taken] == [True] * 20 + [False] * 20
    await triage.close()


# --- audits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reference", "share"),
    [
        ("email", "nano", 0.02),
        ("email", "nano-single", 0.02),
        ("email", "mini", 0.005),
        ("email", "flagship", 0.0016),
        ("log", "nano-single", 0.002),
        ("log", "mini", 0.0005),
        ("log", "flagship", 0.0005),
    ],
)
def test_the_dearer_the_reference_the_fewer_are_the_audits(kind: str, reference: str, share: float):
    assert stream(kind=kind, quality={"reference": reference}).audit_min == pytest.approx(share)


# --- regions ---------------------------------------------------------------------------------------

HERE, THERE = region_of("acme", "new <*>", "memory", "routine"), region_of("acme", None, "student", "routine")


def closed(epsilon: float = 0.02) -> Regions:
    regions = Regions(epsilon)
    for _ in range(3):
        regions.judged(HERE, True, 0.0)
    return regions


def test_a_region_is_a_tenants_template_or_what_answered_with_which_label():
    assert region_of("acme", "new <*>", "student", "alert") == HERE
    assert region_of("other", "new <*>", "memory", "routine") != HERE
    assert region_of("acme", None, "student", "alert") != THERE


def test_disagreements_far_from_each_other_close_nothing():
    regions = Regions(0.02)
    for _ in range(50):
        assert not regions.judged(HERE, True, 0.0)
        for _ in range(100):
            assert not regions.judged(HERE, False, 0.0)
    assert not regions.any_closed


@pytest.mark.parametrize(("epsilon", "needed"), [(0.005, 2), (0.02, 2), (0.1, 3)])
def test_the_more_may_disagree_the_more_it_takes(epsilon: float, needed: int):
    regions = Regions(epsilon)
    assert [regions.judged(HERE, True, 0.0) for _ in range(needed)] == [*[False] * (needed - 1), True]
    assert regions.stands_back(HERE, 0.0)
    assert not regions.stands_back(THERE, 0.0)


def test_a_region_opens_after_agreements_in_a_row_or_after_a_day():
    regions = closed()
    for _ in range(LOOKS_CALM - 1):
        regions.answered(HERE, False)
    regions.answered(HERE, True)
    for _ in range(LOOKS_CALM - 1):
        regions.answered(HERE, False)
    assert regions.stands_back(HERE, 1.0)
    regions.answered(HERE, False)
    assert not regions.stands_back(HERE, 1.0)
    later = closed()
    assert later.stands_back(HERE, LOOKS_CLOSED_SECONDS - 1)
    assert not later.stands_back(HERE, LOOKS_CLOSED_SECONDS)
    assert not later.any_closed


def test_looks_that_were_under_way_neither_open_nor_prolong():
    regions = closed()
    for _ in range(2 * LOOKS_CALM):
        regions.judged(HERE, False, 5.0)
    assert regions.stands_back(HERE, LOOKS_CLOSED_SECONDS - 1)
    regions.judged(HERE, True, 5.0)
    assert not regions.stands_back(HERE, LOOKS_CLOSED_SECONDS)


def test_regions_are_bounded():
    regions = Regions(0.02)
    many = [region_of("acme", str(number), "memory", "routine") for number in range(LOOKS_REGIONS_MAX + 10)]
    for region in many:
        for _ in range(2):
            regions.judged(region, True, 0.0)
    assert sum(regions.stands_back(region, 0.0) for region in many) == LOOKS_REGIONS_MAX
