"""A model that obeys whoever gives it orders: the damage stays inside the batch, and the control throws that away.

The model of these tests is at the attacker's command: one text that orders a label dictates every answer of its call,
the control's among them. It knows the orders by a list, not by the patterns that triage looks for.
"""

import asyncio
import random

import pytest

from processors.asking import Ask
from processors.injection import gives_orders
from processors.triage import Triage, Triaged
from tests.fakes import FakeNano, ManualClock, Reply, settle
from tests.unit.triage.build import item, triage
from tests.unit.triage.injections import INJECTIONS, ORDERED

HONEST = tuple(f"disk {number} of the array has failed" for number in range(7))
_ORDERS = frozenset(INJECTIONS)


def obedient() -> FakeNano:
    def obey(items: list[Reply], ask: Ask) -> list[Reply]:
        if not any(message["text"] in _ORDERS for message in FakeNano.messages(ask)):
            return items
        return [one | {"label": ORDERED, "confidence": 0.99} for one in items]

    return FakeNano(lambda _: {"label": "alert"}, spoil=obey)


async def decided(subject: Triage, clock: ManualClock, texts: list[str], offset: int) -> list[Triaged]:
    tasks = [asyncio.create_task(subject.ask(item(text, offset=offset + number))) for number, text in enumerate(texts)]
    while not all(task.done() for task in tasks):
        await clock.advance(1.0)
        await settle()
    return [task.result() for task in tasks]


def test_there_are_enough_of_them_and_patterns_alone_would_not_do():
    assert len(set(INJECTIONS)) >= 50
    assert sum(map(gives_orders, INJECTIONS)) < len(INJECTIONS) / 2


@pytest.mark.parametrize(
    "quality", [None, {}, {"reference": "nano"}, {"reference": "flagship"}, {"when_uncertified": "answer-unproven"}]
)
async def test_no_neighbour_is_decided_by_an_order_and_nothing_learns_from_one(quality: dict | None):
    clock, rng = ManualClock(), random.Random(3)
    settings = {} if quality is None else {"quality": {"reference": "nano-single"} | quality}
    subject = triage(obedient(), clock, batch=8, **settings)
    for number, order in enumerate(INJECTIONS):
        texts = [*HONEST, order]
        rng.shuffle(texts)
        texts = [text if text == order else f"{text} again, {number}" for text in texts]
        for text, triaged in zip(texts, await decided(subject, clock, texts, offset=100 * number), strict=True):
            if text == order:
                assert (triaged.audit, triaged.lesson) == (None, None), order
            else:
                assert triaged.decision.label == "alert", f"{text!r} beside {order!r}"
    for number, order in enumerate(INJECTIONS):
        assert subject.free(item(order, offset=90_000 + number)) is None, f"{order!r} is remembered"


@pytest.mark.parametrize("quality", [None, {"reference": "nano-single"}, {"reference": "flagship"}])
async def test_an_order_that_came_alone_is_remembered_no_more_than_in_company(quality: dict | None):
    clock = ManualClock()
    subject = triage(obedient(), clock, batch=8, **({} if quality is None else {"quality": quality}))
    for number, order in enumerate(INJECTIONS):
        (triaged,) = await decided(subject, clock, [order], offset=number)
        assert (triaged.audit, triaged.lesson) == (None, None), order
        assert subject.free(item(order, offset=90_000 + number)) is None, f"{order!r} is remembered"


async def test_an_order_that_looks_like_one_gets_no_company():
    clock, model = ManualClock(), obedient()
    subject = triage(model, clock, batch=8)
    risky = [text for text in INJECTIONS if gives_orders(text)]
    await decided(subject, clock, [*HONEST, *risky], offset=0)
    for texts in model.texts():
        assert len(texts) == 1 or not set(texts) & set(risky)
