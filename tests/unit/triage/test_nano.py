"""One call: who is in it, its control, and the bill."""

import random

import pytest

from processors.answers import NoVerdict
from processors.nano import Nano, Reply
from tests.fakes import FakeNano, is_control
from tests.unit.triage.build import item, stream
from topics.messages import Tokens, Verdict


async def call(model: FakeNano, *texts: str, seed: int = 1) -> Reply:
    return await Nano("logs", stream(), model, random.Random(seed)).call([item(text) for text in texts])


async def test_messages_stay_in_order_around_one_control():
    model = FakeNano()
    places = set()
    for seed in range(40):
        await call(model, "a", "b", "c", seed=seed)
        messages = model.messages(model.asks[-1])
        assert [m["text"] for m in messages if not is_control(m)] == ["a", "b", "c"]
        places.add([is_control(m) for m in messages].index(True))
        assert len({m["id"] for m in messages}) == 4
    assert places == {0, 1, 2, 3}


async def test_the_controls_label_is_drawn_at_random():
    model = FakeNano()
    for seed in range(40):
        await call(model, "a", "b", seed=seed)
    controls = [m["text"] for ask in model.asks for m in model.messages(ask) if is_control(m)]
    assert {text.split("'")[1] for text in controls} == {"routine", "alert", "noise"}


async def test_one_message_has_no_control():
    model = FakeNano()
    await call(model, "a")
    assert [m["text"] for m in model.messages(model.asks[0])] == ["a"]
    assert model.asks[0].messages == 1


async def test_one_answer_for_the_whole_batch_is_caught():
    """What an injected order does. By the draw it goes unseen once in 303 batches, and in none of these."""
    model = FakeNano(spoil=lambda items, _: [i | {"label": "noise", "priority": 40} for i in items])
    for seed in range(60):
        verdicts = (await call(model, "a", "b", seed=seed)).verdicts
        assert all(isinstance(v, NoVerdict) and v.why == "sentinel" for v in verdicts)


async def test_the_controls_priority_is_drawn_at_random():
    model = FakeNano()
    for seed in range(60):
        await call(model, "a", "b", seed=seed)
    controls = [m["text"] for ask in model.asks for m in model.messages(ask) if is_control(m)]
    assert len({text.rsplit(" ", 1)[1] for text in controls}) > 30


async def test_the_bill_is_shared_by_the_real_messages():
    reply = await call(FakeNano(), "a", "b", "c", "d")
    assert reply.tokens == Tokens(250, 200, 25)
    assert reply.cost_usd_micros == pytest.approx(150)


async def test_verdicts_come_in_the_order_of_the_messages():
    reply = await call(FakeNano(lambda text: {"label": text}), "alert", "noise", "routine")
    assert [v.label for v in reply.verdicts if isinstance(v, Verdict)] == ["alert", "noise", "routine"]
