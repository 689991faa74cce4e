"""Lines that the stage decides again by their template, and when it does not."""

import random
from collections.abc import Sequence

import orjson
import pytest

from local.drive import Fed
from processors.items import Item
from processors.memory import Keys, Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.quality.standing import Standing
from processors.triage import Triage
from streams.engine.stage import Gathering, Later, Outputs
from streams.stages import TriageStage
from tests.fakes import FakeNano, ManualClock
from tests.unit.triage.build import stream
from topics.catalog import Names
from topics.limits import MEMORY_AGE_MS_MAX, TEMPLATE_ANSWERS_MIN
from topics.messages import Verdict

AT_MS = 1_800_000_000_000
TAUGHT = 2 * TEMPLATE_ANSWERS_MIN


class Taught:
    """A stage whose template memory is certified, and has decided one line already."""

    def __init__(self) -> None:
        clock, logs = ManualClock(), stream(quality={"reference": "nano-single"}, batch=1)
        policy = Policy(streams={"logs": logs})
        self.memory = Memory()
        self.keys = Keys("logs", logs.version, policy.tiers.nano.model)
        self.normaliser = normaliser_for("logs", logs)
        self.triage = Triage("logs", logs, policy, FakeNano(), clock=clock, rng=random.Random(7), memory=self.memory)
        self.stage = TriageStage(Names(), {"syslog": (self.normaliser, self.triage, "none")}, clock)

    @classmethod
    async def make(cls) -> "Taught":
        made = cls()
        for number in range(TAUGHT):
            (later,) = made.take(number)
            assert callable(later), "it has to be asked"
            await later()
        made.certify()
        assert made.labels(TAUGHT) == ["routine"]
        return made

    def certify(self, free_score_min: float = 0.5, audit_probability: float = 0.0) -> None:
        referee = self.triage.referee
        assert referee is not None
        version = referee._version("")
        standing = Standing(
            free_version=version, free_score_min=free_score_min, audit_probability=audit_probability, coin="ab" * 32
        )
        referee.adopt(standing)

    def take(self, *numbers: int, at_ms: int = AT_MS) -> Sequence[Outputs | Later | Gathering]:
        return self.stage.take([_record(number, at_ms) for number in numbers])

    def labels(self, *numbers: int) -> list[str | None]:
        """What is published at once; None where somebody is asked."""
        taken = self.take(*numbers)
        return [orjson.loads(outs[0].value)["label"] if isinstance(outs, tuple) else None for outs in taken]

    def told(self, number: int, label: str) -> None:
        """From here on exact memory knows the very line."""
        item = self.normaliser.read(_record(number, AT_MS))
        assert isinstance(item, Item)
        verdict = Verdict(
            tier="memory", label=label, severity=None, confidence=0.9, priority=1, fields={}, summary=None, model="m"
        )
        self.memory.put(self.keys.key(item.tenant, item.memory_text), verdict)


def _record(number: int, at_ms: int) -> Fed:
    line = f"Nov 23 09:00:00 host1 pool[77]: worker {4_000 + number} of the pool is ready after a while"
    return Fed("syslog", 0, number, at_ms, None, line.encode())


@pytest.fixture
async def taught() -> Taught:
    return await Taught.make()


async def test_lines_whose_text_never_came_before_are_decided_together(taught: Taught):
    assert set(taught.labels(*range(100, 200))) == {"routine"}


async def test_the_coin_has_its_share_of_them_audited(taught: Taught):
    taught.certify(audit_probability=0.25)
    labels = taught.labels(*range(1_000, 3_000))
    assert labels.count(None) / len(labels) == pytest.approx(0.25, abs=0.05)
    referee = taught.triage.referee
    assert referee is not None
    assert [label is None for label in labels] == [
        not referee.spared_at("syslog", 0, offset) for offset in range(1_000, 3_000)
    ]


async def test_less_sure_than_what_is_certified_is_not_enough(taught: Taught):
    taught.certify(free_score_min=0.9999)
    assert taught.labels(100) == [None]


async def test_what_was_answered_about_the_very_line_is_surer(taught: Taught):
    taught.told(101, "noise")
    assert taught.labels(100, 101, 102, 101) == ["routine", "noise", "routine", "noise"]


async def test_it_ends_by_the_time_of_the_records(taught: Taught):
    (early,) = taught.take(100, at_ms=AT_MS + MEMORY_AGE_MS_MAX)
    (late,) = taught.take(101, at_ms=AT_MS + MEMORY_AGE_MS_MAX + 1)
    assert isinstance(early, tuple)
    assert callable(late)
