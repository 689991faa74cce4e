"""What triage learns of one message serves those that are like it: templates of log lines, near-duplicates of mail."""

import asyncio

import pytest

from tests.fakes import FakeNano, ManualClock
from tests.unit.triage.build import item, triage
from topics.limits import TEMPLATE_ANSWERS_MIN

LINGER_S = 2 / 3
MAIL = "Dear team, the order {} of last week has not come yet; please say when it will be sent, and by whom. Yours, Ada"


@pytest.mark.parametrize(
    ("kind", "text", "times"),
    [("log", "worker {} of the pool is ready after a while", TEMPLATE_ANSWERS_MIN), ("email", MAIL, 1)],
)
async def test_a_message_like_answered_ones_is_proposed_an_answer(kind: str, text: str, times: int) -> None:
    clock, model = ManualClock(), FakeNano()
    subject = triage(model, clock, kind=kind, quality={"reference": "nano-single"})

    async def shadows(number: int) -> list[str]:
        task = asyncio.create_task(subject.ask(item(text.format(number), offset=number)))
        await clock.advance(LINGER_S)
        audit = (await task).audit
        assert audit is not None
        return [shadow.label for shadow in audit.shadows if shadow.rule == "free"]

    for number in range(times):
        assert await shadows(4711 + number) == []
    assert await shadows(5000) == ["routine"]
