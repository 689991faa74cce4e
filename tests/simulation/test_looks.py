"""What looks do to the guarantee and to what is published: seeded streams of which one template changes.

Audit by audit through StreamQuality, with the same regions as a worker's, a coin for every message, looks whose answers
come late, and a nano that errs by itself.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log

import pytest

from processors.policy import Quality
from processors.quality.state import StreamQuality
from processors.regions import Regions, region_of
from tests.unit.quality.audits import DAY_MS, START_MS, below, judged, shadow
from topics.limits import LOOKS_SHARE

EPSILON, DELTA = 0.02, 0.05
QUALITY = Quality(reference="flagship", max_disagreement=EPSILON, confidence=1 - DELTA)
TEMPLATES = 20
NANO_ERRS = 0.05
LATE = 100  # messages, until a look has its answer


@dataclass(frozen=True)
class World:
    """One template of `share` of all messages changes at message `shift_at`: there `after` is wrong from then on."""

    messages: int
    audit_min: float
    base: float  # wrong everywhere before
    share: float
    shift_at: int
    after: float


@dataclass(frozen=True)
class Seen:
    """Of one run."""

    false_claim: bool  # at some message the claim held, and ε or more of what was published so far was wrong
    claimed: bool  # it held at some message
    answered: int  # below the reference
    wrong_after: int  # of those after the change
    instead: int  # that the reference answered because the rule stood back


def run(seed: int, world: World, *, looks: bool) -> Seen:
    """One version, certified at the start by what is audited, answering everything while it is."""
    rng, looking = random.Random(seed), random.Random(-seed)
    judge = StreamQuality("logs", QUALITY, "p1", audit_min=world.audit_min)
    judge.freeze("free", "v1", START_MS, [n / 200 for n in range(200)])
    standing, regions = judge.standing(START_MS), Regions(EPSILON)
    under_way: deque[tuple[int, int, bool]] = deque()  # due at, template, whether the reference disagrees
    answered = wrong_answers = wrong_after = instead = 0
    false_claim = claimed = holds = False
    every_ms = 5 * DAY_MS // world.messages
    for n in range(world.messages):
        at_ms = START_MS + n * every_ms
        while under_way and under_way[0][0] <= n:
            _, of, differs = under_way.popleft()
            regions.judged(region_of("acme", str(of), "memory", "a"), differs, at_ms / 1000)
        template = 0 if rng.random() < world.share else rng.randrange(1, TEMPLATES)
        region = region_of("acme", str(template), "memory", "a")
        shifted = template == 0 and n >= world.shift_at
        wrong, score = rng.random() < (world.after if shifted else world.base), rng.random()
        coin = rng.random()
        audit = None
        if standing.free_version is None or score < standing.free_score_min:
            audit = judged(at_ms, shadow(wrong, score))
        elif looks and regions.stands_back(region, at_ms / 1000):
            audit = judged(at_ms, shadow(wrong, score))
            regions.answered(region, wrong)
            instead += 1
        else:
            answered += 1
            wrong_answers += wrong
            wrong_after += wrong and n >= world.shift_at
            if coin < standing.audit_probability:
                audit = below(at_ms, wrong, probability=standing.audit_probability, shadows=[shadow(wrong, score)])
                if looks:
                    regions.judged(region, wrong, at_ms / 1000)
            elif looks and looking.random() < LOOKS_SHARE:
                nano_differs = wrong or looking.random() < NANO_ERRS  # the reference then says whether it is right
                under_way.append((n + LATE, template, nano_differs and wrong))
        if audit is not None:
            judge.fold(audit)
            standing = judge.standing(at_ms)
            if audit.below:
                holds = judge.holds
        claimed |= holds
        false_claim |= holds and wrong_answers >= EPSILON * answered
    return Seen(false_claim, claimed, answered, wrong_after, instead)


def drifting(seed: int, messages: int) -> World:
    """By a little, or by a lot; in a rare template, or in one that is a third of all."""
    rng = random.Random(-seed)
    share, after = exp(rng.uniform(log(0.02), log(0.35))), rng.uniform(0.2, 1.0)
    shift_at = rng.randrange(messages // 4, messages)
    return World(messages, 0.1, rng.uniform(0.001, 0.015), share, shift_at, after)


def steady(seed: int, messages: int) -> World:
    return World(messages, 0.1, random.Random(-seed).uniform(0.005, 0.019), 0.1, messages, 0.0)


@pytest.mark.parametrize("kind", [drifting, steady])
def test_with_looks_the_claim_holds_in_short(kind: Callable[[int, int], World]) -> None:
    assert not any(run(seed, kind(seed, 12_000), looks=True).false_claim for seed in range(3))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [drifting, steady])
def test_with_looks_the_claim_is_false_in_at_most_five_of_a_hundred_runs(kind: Callable[[int, int], World]) -> None:
    runs = [run(seed, kind(seed, 16_000), looks=True) for seed in range(2_000, 2_100)]
    false, claimed = sum(each.false_claim for each in runs), sum(each.claimed for each in runs)
    print(f"{kind.__name__} with looks: false {false}, claimed {claimed} of 100")
    assert false <= 5
    assert claimed >= 30, "else the test says nothing"


HALF_WAY = World(messages=60_000, audit_min=0.0016, base=0.002, share=0.1, shift_at=30_000, after=1.0)
RARE = World(messages=60_000, audit_min=0.0016, base=0.002, share=0.02, shift_at=30_000, after=1.0)


@pytest.mark.parametrize(("world", "times"), [(HALF_WAY, 8), (RARE, 2)])
def test_after_a_shift_of_one_template_far_fewer_wrong_answers_are_published(world: World, times: int) -> None:
    """With as few audits as beside flagship. Where it is a tenth of all, what the reference answers in the template
    tells the watch of the whole stream, too: the certificate ends, which audits alone do not come to in that time."""
    pairs = [(run(seed, world, looks=True), run(seed, world, looks=False)) for seed in range(3)]
    with_looks, without = (sum(each.wrong_after for each in runs) for runs in zip(*pairs, strict=True))
    print(f"wrong after the shift: {with_looks} with looks, {without} without")
    assert with_looks < without / times
    if world is RARE:
        assert all(looked.answered > 0.95 * alone.answered for looked, alone in pairs), "the others are as they were"


def test_a_rule_as_good_as_promised_hardly_ever_stands_back() -> None:
    good = World(messages=60_000, audit_min=0.0016, base=0.005, share=0.1, shift_at=60_000, after=0.0)
    runs = [run(seed, good, looks=True) for seed in range(3)]
    assert sum(each.answered for each in runs) > 100_000
    assert sum(each.instead for each in runs) < 0.005 * sum(each.answered for each in runs)
