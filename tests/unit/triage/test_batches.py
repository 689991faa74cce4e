"""Who travels with whom, when a batch leaves, and that every question gets exactly one outcome."""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.asking import Ask
from processors.batches import Batches
from processors.errors import (
    AccountSpent,
    AnswerInvalid,
    AnswerRefused,
    ProviderUnavailable,
    RequestRefused,
)
from processors.nano import Nano
from processors.questions import Answered
from tests.fakes import FakeNano, ManualClock, Reply, settle
from tests.unit.triage.build import LABELS, item, stream
from topics.limits import BATCH_INPUT_CHARS_MAX, TRIAGE_CALLS_MAX

LINGER_S = 0.7  # a little more than a third of the deadline of two seconds


class Sent:
    """Batches of four at most, and the messages that were put into them."""

    def __init__(self, model: FakeNano, *, seed: int = 3, **settings) -> None:
        self.clock = ManualClock()
        logs = stream(**settings)
        self.batches = Batches("logs", logs, Nano("logs", logs, model, random.Random(seed)), self.clock)

    def put(self, *texts: str, alone: bool = False, **settings) -> list[asyncio.Task[Answered]]:
        questions = [self.batches.put(item(text, **settings), alone=alone) for text in texts]
        return [asyncio.create_task(question.answer()) for question in questions]


async def labels(tasks: Sequence[asyncio.Task[Answered]]) -> list[str]:
    return [(await task).verdict.label for task in tasks]


def told_by_text(text: str) -> Reply:
    return {"label": text.split()[0]}


async def test_a_full_batch_leaves_at_once():
    model = FakeNano()
    sent = Sent(model)
    sent.put("a", "b", "c", "d", "e")
    await settle()
    (batch,) = model.texts()
    assert len(batch) == 4
    await sent.batches.close()


async def test_companions_are_drawn_from_whatever_is_at_hand():
    first = set()
    for seed in range(30):
        model = FakeNano()
        sent = Sent(model, seed=seed)
        sent.put("a", "b", "c", "d", "e", "f", "g", "h")
        await settle()
        both = model.texts()
        assert sorted(both[0] + both[1]) == ["a", "b", "c", "d", "e", "f", "g", "h"]
        first.add(tuple(sorted(both[0])))
    assert len(first) > 15


async def test_a_message_may_be_put_again_for_another_vote():
    model = FakeNano()
    sent = Sent(model)
    votes = sent.put("a", "b", "c", "d")
    assert await labels(votes) == ["routine"] * 4
    again = sent.put("a", "e", "f", "g")
    assert await labels(again) == ["routine"] * 4
    assert (await votes[0]).bill == (await again[0]).bill
    assert len(model.asks) == 2


async def test_others_leave_when_the_first_has_waited_the_linger():
    model = FakeNano()
    sent = Sent(model)
    sent.put("a")
    await sent.clock.advance(LINGER_S * 0.9)
    sent.put("b")
    assert model.texts() == []
    await sent.clock.advance(LINGER_S * 0.2)
    assert model.texts() == [["a", "b"]]


@pytest.mark.parametrize(("deadline", "linger_s"), [("2s", 2 / 3), ("15m", 2.5)])
async def test_the_linger_is_a_third_of_the_deadline_and_ends_when_nobody_comes(deadline, linger_s):
    model = FakeNano()
    sent = Sent(model, deadline=deadline)
    sent.put("a")
    await sent.clock.advance(linger_s - 0.01)
    assert model.texts() == []
    await sent.clock.advance(0.02)
    assert model.texts() == [["a"]]


async def test_without_a_size_of_the_policy_sixteen_travel_at_first():
    model = FakeNano()
    sent = Sent(model, batch=None)
    sent.put(*[f"m{number}" for number in range(40)])
    await settle()
    assert [len(texts) for texts in model.texts()] == [16, 16]
    await sent.batches.close()


async def test_tenants_never_share_a_call():
    model = FakeNano()
    sent = Sent(model)
    sent.put("a", "b", tenant="acme")
    sent.put("c", "d", tenant="umbrella")
    await sent.clock.advance(LINGER_S)
    assert model.texts() == [["a", "b"], ["c", "d"]]
    assert [ask.tenant for ask in model.asks] == ["acme", "umbrella"]


async def test_a_message_that_would_make_the_call_too_long_begins_the_next():
    model = FakeNano()
    sent = Sent(model)
    long = "x" * (BATCH_INPUT_CHARS_MAX // 2)
    sent.put(long, long, "b")
    await sent.clock.advance(LINGER_S)
    assert model.texts() == [[long, long], ["b"]]


async def test_alone_means_at_once_and_alone():
    model = FakeNano()
    sent = Sent(model)
    sent.put("a")
    sent.put("b", alone=True)
    await settle()
    assert model.texts() == [["b"]]
    await sent.clock.advance(LINGER_S)
    assert model.texts() == [["b"], ["a"]]


async def test_a_stream_that_asks_one_by_one_has_no_linger():
    model = FakeNano()
    sent = Sent(model, batch=1)
    sent.put("a", "b")
    await settle()
    assert model.texts() == [["a"], ["b"]]


async def test_where_no_call_is_free_a_batch_goes_on_filling():
    model = FakeNano()
    model.free.clear()
    sent = Sent(model)
    sent.put(*[f"busy {n}" for n in range(TRIAGE_CALLS_MAX)], alone=True)
    waiting = sent.put("a")
    await sent.clock.advance(LINGER_S)
    waiting += sent.put("b")
    await sent.clock.advance(LINGER_S)
    assert len(model.asks) == TRIAGE_CALLS_MAX
    model.free.set()
    assert await labels(waiting) == ["routine", "routine"]
    assert model.texts()[TRIAGE_CALLS_MAX:] == [["a", "b"]]


async def test_a_batch_that_fills_while_it_waits_for_a_free_call_leaves_once():
    model = FakeNano()
    model.free.clear()
    sent = Sent(model)
    busy = sent.put(*[f"busy {n}" for n in range(TRIAGE_CALLS_MAX)], alone=True)
    waiting = sent.put("a")
    await sent.clock.advance(LINGER_S)
    waiting += sent.put("b", "c", "d")
    for done in busy[:2]:  # two calls become free while the others go on
        done.cancel()
    await settle()
    assert model.texts()[TRIAGE_CALLS_MAX:] == [["a", "b", "c", "d"]]
    model.free.set()
    assert await labels(waiting) == ["routine"] * 4


async def test_what_a_batch_leaves_out_is_asked_again_alone():
    model = FakeNano(
        told_by_text, spoil=lambda items, ask: [i for i in items if ask.messages == 1 or i["label"] != "noise"]
    )
    tasks = Sent(model).put("alert", "noise", "alert", "routine")
    assert await labels(tasks) == ["alert", "noise", "alert", "routine"]
    assert ["noise"] in model.texts()[1:]


async def test_a_message_pays_for_every_call_it_took():
    model = FakeNano(spoil=lambda items, ask: "garbage" if ask.messages > 1 else items)
    answered = await Sent(model).put("a", "b", "c", "d")[0]
    assert answered.bill.batch_size == 1
    assert answered.bill.cost_usd_micros == 600 / 4 + 600
    assert answered.bill.tokens.input == 1_000 / 4 + 1_000


async def test_a_discarded_batch_is_asked_again_one_by_one():
    def break_control(items: list[Reply], ask: Ask) -> list[Reply]:
        controls = {m["id"] for m in FakeNano.messages(ask) if m["text"].startswith("Sluice check")}
        return [i | {"label": "none"} if i["id"] in controls else i for i in items]

    model = FakeNano(told_by_text, spoil=break_control)
    assert await labels(Sent(model).put("alert", "noise", "alert", "routine")) == ["alert", "noise", "alert", "routine"]
    assert sorted(model.texts()[1:]) == [["alert"], ["alert"], ["noise"], ["routine"]]


async def test_no_valid_answer_even_alone_is_an_error_that_says_what_is_wrong():
    model = FakeNano(lambda text: {"label": "fire"} if text == "b" else {})
    tasks = Sent(model).put("a", "b", "c", "d")
    with pytest.raises(AnswerInvalid, match=r"not a key, a code \(R routine, A alert, N noise\) and three digits"):
        await tasks[1]
    assert await labels([tasks[0], tasks[2], tasks[3]]) == ["routine"] * 3


@pytest.mark.parametrize("error", [AnswerRefused, AnswerInvalid, RequestRefused, ZeroDivisionError])
async def test_what_one_message_does_to_a_batch_is_its_own_fault_only(error):
    def judge(text: str) -> Reply:
        if text == "b":
            raise error("not this one")
        return {}

    tasks = Sent(FakeNano(judge)).put("a", "b", "c", "d")
    with pytest.raises(error, match="not this one"):
        await tasks[1]
    assert await labels([tasks[0], tasks[2], tasks[3]]) == ["routine"] * 3


@pytest.mark.parametrize("error", [AccountSpent, ProviderUnavailable])
async def test_what_says_nothing_about_the_messages_reaches_all_of_them_with_one_call(error):
    def judge(text: str) -> Reply:
        raise error("no one is home")

    model = FakeNano(judge)
    tasks = Sent(model).put("a", "b", "c", "d")
    for task in tasks:
        with pytest.raises(error, match="no one is home"):
            await task
    assert len(model.asks) == 1


async def test_one_who_leaves_does_not_take_the_call_along():
    model = FakeNano()
    model.free.clear()
    leaving, *staying = Sent(model).put("a", "b", "c", "d")
    await settle()
    leaving.cancel()
    await settle()
    model.free.set()
    assert await labels(staying) == ["routine"] * 3
    assert model.cancelled == 0


async def test_the_call_ends_when_the_last_has_left():
    model = FakeNano()
    model.free.clear()
    tasks = Sent(model).put("a", "b", "c", "d")
    await settle()
    for task in tasks:
        task.cancel()
    await settle()
    assert model.cancelled == 1


async def test_who_leaves_before_the_batch_is_not_asked_about():
    model = FakeNano()
    sent = Sent(model)
    leaving, staying = sent.put("a", "b")
    await settle()
    leaving.cancel()
    await sent.clock.advance(LINGER_S)
    assert model.texts() == [["b"]]
    assert await labels([staying]) == ["routine"]


async def test_closing_tells_everybody_who_waits():
    model = FakeNano()
    model.free.clear()
    sent = Sent(model)
    called = sent.put("a", "b", "c", "d")
    await settle()
    lingering = sent.put("e")
    await sent.batches.close()
    for task in called + lingering:
        with pytest.raises(ProviderUnavailable):
            await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_call_that_is_cancelled_from_outside_leaves_nobody_waiting():
    def judge(text: str) -> Reply:
        raise asyncio.CancelledError

    for task in Sent(FakeNano(judge)).put("a", "b", "c", "d"):
        with pytest.raises(ProviderUnavailable, match="abandoned"):
            await task


# What a model may do to one item of its answer; `neighbours` are the items that it leaves right.
# An item dropped, and its id given to another in its place, could not be told from a right answer.
SPOILS: dict[str, Callable[[Reply, list[Reply]], list[Reply]]] = {
    "right": lambda item, _: [item],
    "dropped": lambda _item, _: [],
    "doubled": lambda item, _: [item, item],
    "a stranger's id": lambda item, _: [item | {"id": "zzzzz"}],
    "a neighbour's id": lambda item, neighbours: [item | {"id": neighbours[0]["id"]}] if neighbours else [item],
    "unknown label": lambda item, _: [item | {"label": "fire"}],
    "sure beyond measure": lambda item, _: [item | {"confidence": 7}],
    "no object": lambda _item, _: ["routine"],
}
WHOLE = ["right", "garbage", "reversed", "ids swapped", AnswerRefused, ProviderUnavailable, AccountSpent]

messages = st.lists(
    st.tuples(st.sampled_from(list(LABELS)), st.sampled_from(["acme", "umbrella"]), st.booleans()), max_size=14
)


@given(
    messages=messages,
    spoils=st.lists(st.lists(st.sampled_from(list(SPOILS)), max_size=5), max_size=6),
    whole=st.lists(st.sampled_from(WHOLE), max_size=6),
    leaving=st.sets(st.integers(0, 13)),
    pause=st.integers(0, 13),
)
def test_every_question_has_exactly_one_outcome_and_never_a_neighbours(messages, spoils, whole, leaving, pause):
    """Whatever the model drops, doubles, renames or refuses, and whoever leaves meanwhile.

    The first calls are spoilt as drawn, the others are right. Whoever stays gets its own label or an error; nothing
    runs on afterwards.
    """

    def spoil(items: list[Reply], ask: Ask) -> list[Reply] | str:
        number = len(model.asks) - 1
        fate = whole[number] if number < len(whole) else "right"
        if isinstance(fate, type):
            raise fate("as drawn")
        if fate == "garbage":
            return fate
        if fate == "ids swapped":
            return [item | {"id": other["id"]} for item, other in zip(items, [*items[1:], items[0]], strict=True)]
        kinds = [*(spoils[number] if number < len(spoils) else []), *["right"] * len(items)]
        neighbours = [item for item, kind in zip(items, kinds, strict=False) if kind == "right"]
        spoilt = [one for item, kind in zip(items, kinds, strict=False) for one in SPOILS[kind](item, neighbours)]
        return spoilt[::-1] if fate == "reversed" else spoilt

    model = FakeNano(told_by_text, spoil=spoil)

    async def scenario() -> None:
        model.free = asyncio.Event()
        model.free.set()
        sent = Sent(model)
        tasks = []
        for number, (label, tenant, alone) in enumerate(messages):
            tasks += sent.put(f"{label} {number}", alone=alone, tenant=tenant)
            if number == pause:
                model.free.clear()
                await sent.clock.advance(LINGER_S)
        for number in leaving & set(range(len(tasks))):
            tasks[number].cancel()
        await settle()
        model.free.set()
        for _ in range(3):
            await sent.clock.advance(LINGER_S)
        assert all(task.done() for task in tasks)
        for number, (task, (label, _, _)) in enumerate(zip(tasks, messages, strict=True)):
            if task.cancelled():
                assert number in leaving
            elif error := task.exception():
                assert isinstance(error, AnswerInvalid | AnswerRefused | ProviderUnavailable | AccountSpent)
            else:
                assert task.result().verdict.label == label
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
