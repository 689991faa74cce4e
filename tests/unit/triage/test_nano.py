"""One call: who is in it, its control, and the bill."""

import random

import pytest

from processors import handbook
from processors.answers import NoVerdict
from processors.nano import Nano, Reply
from tests.fakes import FakeNano, ManualClock, is_control
from tests.unit.triage.build import LABELS, item, stream
from topics.messages import Tokens, Verdict


async def call(model: FakeNano, *texts: str, seed: int = 1) -> Reply:
    return await Nano("logs", stream(), model, random.Random(seed)).call([item(text) for text in texts])


async def test_messages_go_in_random_order_around_one_control():
    model = FakeNano()
    places, orders = set(), set()
    for seed in range(60):
        await call(model, "a", "b", "c", seed=seed)
        messages = model.messages(model.asks[-1])
        orders.add("".join(m["text"] for m in messages if not is_control(m)))
        places.add([is_control(m) for m in messages].index(True))
        assert len({m["id"] for m in messages}) == 4
    assert places == {0, 1, 2, 3}
    assert orders == {"abc", "acb", "bac", "bca", "cab", "cba"}


async def test_what_is_asked_about_again_is_read_before_the_others():
    orders = set()
    for seed in range(60):
        model = FakeNano()
        nano = Nano("logs", stream(), model, random.Random(seed))
        reply = await nano.call([item(text) for text in "abcd"], again=2)
        assert len(reply.verdicts) == 4
        orders.add("".join(m["text"] for m in model.messages(model.asks[-1]) if not is_control(m)))
    assert orders == {"abcd", "bacd", "abdc", "badc"}


async def test_no_call_has_the_keys_of_another():
    """A text that names a key names nobody, or somebody by chance."""
    model = FakeNano()
    for seed in range(20):
        await call(model, "a", "b", seed=seed)
    assert len({m["id"] for ask in model.asks for m in model.messages(ask)}) > 50


def controls(model: FakeNano) -> list[tuple[str, str]]:
    """The code and the three digits that each control wanted."""
    texts = [m["text"] for ask in model.asks for m in model.messages(ask) if is_control(m)]
    return [(text.split()[-1][:-3], text[-3:]) for text in texts]


async def test_the_controls_answer_is_drawn_at_random():
    model = FakeNano()
    for seed in range(60):
        await call(model, "a", "b", seed=seed)
    assert {code for code, _ in controls(model)} == {"R", "A", "N"}
    asked_for = {int(permille) for _, permille in controls(model)}
    assert len(asked_for) > 50
    assert max(asked_for) < 500, "few answers are as unsure"


async def test_one_message_has_no_control():
    model = FakeNano()
    await call(model, "a")
    assert [m["text"] for m in model.messages(model.asks[0])] == ["a"]
    assert model.asks[0].messages == 1


async def test_one_answer_for_the_whole_batch_is_caught():
    """What an injected order does. By the draw it goes unseen once in 1,500 batches, and in none of these."""
    model = FakeNano(spoil=lambda items, _: [i | {"label": "noise", "confidence": 0.4} for i in items])
    for seed in range(60):
        verdicts = (await call(model, "a", "b", seed=seed)).verdicts
        assert all(isinstance(v, NoVerdict) and v.why == "sentinel" for v in verdicts)


async def test_the_bill_is_shared_by_the_real_messages():
    reply = await call(FakeNano(), "a", "b", "c", "d")
    assert reply.tokens == Tokens(250, 200, 25)
    assert reply.cost_usd_micros == pytest.approx(150)


async def test_verdicts_come_in_the_order_of_the_messages():
    reply = await call(FakeNano(lambda text: {"label": text}), "alert", "noise", "routine")
    assert [v.label for v in reply.verdicts if isinstance(v, Verdict)] == ["alert", "noise", "routine"]


async def test_verdicts_are_of_the_tier_that_is_asked():
    model = FakeNano()
    mini = Nano("logs", stream(), model, random.Random(1), "mini")
    (verdict,) = (await mini.call([item("a")])).verdicts
    assert isinstance(verdict, Verdict)
    assert (verdict.tier, model.asks[0].tier) == ("mini", "mini")


async def test_what_is_paid_once_a_call_weighs_less_with_company():
    model = FakeNano()
    model.tokens = Tokens(400, 0, 10)
    one = await call(model, "a" * 400)
    model.tokens = Tokens(2_000, 0, 85)
    many = await call(model, *["a" * 400] * 16)
    assert 1 > one.fixed_share > 2 * many.fixed_share > 0


async def test_advice_fills_the_prefix_as_long_as_it_is_found_in_the_cache():
    """The fake's provider finds all of it there, until it finds nothing."""
    model, clock = FakeNano(), ManualClock()
    model.tokens = Tokens(1_300, 1_152, 10)
    means = {name: label | {"means": "As it is described here. " * 20} for name, label in LABELS.items()}
    nano = Nano("logs", stream(labels=means), model, random.Random(1), clock=clock)
    for _ in range(40):
        await nano.call([item("a")])
    assert len({ask.instructions for ask in model.asks}) == 1
    assert handbook.HEADING in model.asks[0].instructions
    model.tokens = Tokens(1_300, 0, 10)
    for _ in range(40):
        await nano.call([item("a")])
    assert handbook.HEADING not in model.asks[-1].instructions
    await clock.advance(3_601)
    await nano.call([item("a")])
    assert handbook.HEADING in model.asks[-1].instructions
