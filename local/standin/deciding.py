"""What the model chooses where it is asked by the Decisions API: the same judgements as everywhere, with probabilities
that are as overconfident as what it states is elsewhere (`temperature` in the errors file)."""

import re
from collections.abc import Sequence
from dataclasses import replace

from local.standin.calls import Call, Decided, Question
from local.standin.judging import Judge, Judged
from local.standin.reading import Described, Form, Reading, read
from topics.messages import Tier

_CODE = re.compile(r"[A-Z]{1,3}")  # that stands for a label
_DIGITS = frozenset("0123456789")
_PLACES = ("first", "second", "third")
_LEAD = 1.05  # of what is chosen over an even chance: nothing else is likelier
_PROBABILITY_MAX = 0.9999
_GARBAGE = "Sure! Here is what I think about your messages"


async def decide(call: Call, judge: Judge, tier: Tier, now: float) -> list[Decided]:
    """The answers to a call's questions, in their order. `now`: seconds since the epoch."""
    reading = read(call)
    judged: dict[tuple[str, ...], list[Judged]] = {}  # by the labels that are chosen from
    for question in call.questions:
        labels = _labels(question, reading)
        if labels not in judged and not _is_digit(question):
            await judge.prepare(labels)
            judged[labels] = judge.judge(_as_asked(reading, question, labels), labels, tier, now)
    return [_digit(question, judged, reading) or _choose(question, judged, reading) for question in call.questions]


def _labels(question: Question, reading: Reading) -> tuple[str, ...]:
    """What its choices mean: the label that the instructions give a code for, a code's description, else the value."""
    coded = {described.aside: name for name, described in reading.described.items() if described.aside}
    return tuple(
        (coded.get(value) or description or value) if isinstance(value, str) and _CODE.fullmatch(value) else str(value)
        for value, description in question.choices
    )


def _as_asked(reading: Reading, question: Question, labels: Sequence[str]) -> Reading:
    """With the codes of the labels, and what the question alone says of them."""
    pairs = list(zip(labels, question.choices, strict=True))
    told = {label: Described(description, None, None) for label, (_, description) in pairs}
    codes = {label: str(value) for label, (value, _) in pairs}
    return replace(reading, described=told | dict(reading.described), form=Form((), codes))


def _about(question: Question, reading: Reading) -> int:
    """The place of the message that a question names by its id; the first where it names none."""
    named = re.findall(r"\w+", question.instructions)
    return next((place for place, message in enumerate(reading.messages) if message.id in named), 0)


def _choose(question: Question, judged: dict[tuple[str, ...], list[Judged]], reading: Reading) -> Decided:
    labels = _labels(question, reading)
    answer = judged[labels][_about(question, reading)]
    probability = min(max(answer.confidence, _LEAD / len(labels)), _PROBABILITY_MAX)
    return Decided(question, question.choices[labels.index(answer.label)][0], round(probability, 4))


def _is_digit(question: Question) -> bool:
    return {value for value, _ in question.choices} == _DIGITS


def _digit(question: Question, judged: dict[tuple[str, ...], list[Judged]], reading: Reading) -> Decided | None:
    """One of the digits that a known-answer message asks for; 9 where it asks for none. None: of another kind."""
    if not _is_digit(question):
        return None
    place = _about(question, reading)
    wanted = next((sure for one in judged.values() if (sure := one[place].sure) is not None), "")
    number = next((number for number, name in enumerate(_PLACES) if name in question.instructions), 0)
    return Decided(question, wanted[number : number + 1] or "9", _PROBABILITY_MAX)


def break_decisions(decided: list[Decided], fault: str | None) -> list[Decided]:
    """The answers with a fault: declined, senseless, one short, one that nobody asked for, one twice, or one with a
    choice that was not offered."""
    last = decided[-1]
    match fault:
        case "refusal":
            return [replace(one, choice=None) for one in decided]
        case "garbage_text":
            return [replace(one, choice=_GARBAGE) for one in decided]
        case "missing_item":
            return decided[:-1]
        case "extra_item":
            return [*decided, replace(last, question=replace(last.question, name="zz00"))]
        case "duplicate_item":
            return [*decided, last]
        case "invalid_item":
            return [*decided[:-1], replace(last, choice="?")]
    return decided
