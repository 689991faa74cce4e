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


async def test_one_label_for_the_whole_batch_is_caught_unless_it_is_the_controls():
    """What an injected order does. A seed with each outcome shows that the draw decides."""
    model = FakeNano(spoil=lambda items, _: [i | {"label": "noise"} for i in items])
    caught = [(await call(model, "a", "b", seed=seed)).verdicts for seed in range(60)]
    discarded = [all(isinstance(v, NoVerdict) and v.why == "sentinel" for v in verdicts) for verdicts in caught]
    assert 0.5 < sum(discarded) / len(discarded) < 0.8  # two of three labels


async def test_the_bill_is_shared_by_the_real_messages():
    reply = await call(FakeNano(), "a", "b", "c", "d")
    assert reply.tokens == Tokens(250, 200, 25)
    assert reply.cost_usd_micros == pytest.approx(150)


async def test_verdicts_come_in_the_order_of_the_messages():
    reply = await call(FakeNano(lambda text: {"label": text}), "alert", "noise", "routine")
    assert [v.label for v in reply.verdicts if isinstance(v, Verdict)] == ["alert", "noise", "routine"]
