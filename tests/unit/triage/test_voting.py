"""Who is asked about twice, and in what company."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from processors import voting
from processors.batches import Batches
from processors.errors import ProviderUnavailable
from processors.nano import Nano
from processors.questions import Answered, Bill
from processors.voting import Voting
from tests.fakes import FakeNano, ManualClock
from tests.unit.triage.build import item, stream
from topics.messages import Tokens, Verdict

FIRST = Answered(
    Verdict(
        tier="nano",
        label="routine",
        severity=None,
        confidence=0.6,
        priority=10,
        fields={},
        summary=None,
        model="m",
    ),
    Bill(16, Tokens(input=100), 20.0),
)


class Asked:
    """One message that was answered in a batch, in a stream where company saves so much."""

    def __init__(self, saves: float, model: FakeNano | None = None) -> None:
        self.model, self.clock = model or FakeNano(), ManualClock()
        logs = stream(deadline="2s", confidence_min=0.0)
        nano = Nano("logs", logs, self.model, random.Random(3), clock=self.clock)
        self.batches = Batches("logs", logs, nano, self.clock)
        self.batches.controller.alone_share = saves
        self.voting = Voting(self.batches, logs, random.Random(3))

    async def again(self, *company: str) -> Answered:
        """The answer about a message that `company` came before."""
        for text in company:
            self.batches.put(item(text))
        return await self.voting.more(item("doubtful"), FIRST)

    @property
    def calls(self) -> Sequence[list[str]]:
        """The texts of each, controls among them."""
        return [[m["text"] for m in self.model.messages(ask)] for ask in self.model.asks]


@pytest.fixture(autouse=True)
def all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voting, "REVOTE_SHARE", 100.0)
    monkeypatch.setattr(voting, "REVOTE_ALONE_SHARE", 100.0)


async def test_where_company_saves_much_a_second_vote_has_company():
    asked = Asked(saves=0.8)
    answered = await asked.again("b", "c", "d")
    (texts,) = asked.calls
    assert {"doubtful", "b", "c", "d"} < set(texts)
    assert next(text for text in texts if text in ("doubtful", "b", "c", "d")) == "doubtful", "it is read first"
    assert answered.bill.batch_size == 16, "the larger of both: audits judge what is published by it"


async def test_where_company_saves_little_it_is_asked_alone():
    asked = Asked(saves=0.3)
    answered = await asked.again()
    assert asked.calls == [["doubtful"]]
    assert answered.bill.cost_usd_micros > FIRST.bill.cost_usd_micros
    assert answered.bill.batch_size == 16


async def test_what_was_asked_alone_has_no_second_vote():
    asked = Asked(saves=0.3)
    alone = Answered(FIRST.verdict, Bill(1, Tokens(input=100), 20.0))
    assert await asked.voting.more(item("doubtful"), alone) == alone
    assert asked.calls == []


async def test_what_its_text_may_have_dictated_is_not_asked_again():
    asked = Asked(saves=0.3)
    suspect = Answered(FIRST.verdict, FIRST.bill, suspect=True)
    assert await asked.voting.more(item("doubtful"), suspect) == suspect
    assert asked.calls == []


async def test_a_vote_that_would_be_late_is_not_asked_for():
    asked = Asked(saves=0.3)
    slow = replace(FIRST, seconds=1.1)  # of two; a vote takes as long
    assert (await asked.voting.more(item("doubtful"), slow)).bill == FIRST.bill
    assert asked.calls == []
    await asked.voting.more(item("doubtful"), replace(FIRST, seconds=0.9))
    assert len(asked.calls) == 1


async def test_where_nobody_can_be_asked_the_first_answer_stands():
    def away(_: str) -> None:
        raise ProviderUnavailable("down")

    asked = Asked(0.3, FakeNano(away))
    assert await asked.again() == FIRST
