"""The Decisions API: typed questions about one input, each answered by a choice with its probability. Only input is
billed.

A batch is one request. The texts by key are its input, and each key has one question, whose choices are the codes of
the labels; what they mean stands once, in the instructions, because every question is paid for with its choices. The
control asks for three digits beside its label, so it has three questions more: a probability could not tell them.

Answers are read into the text that a model writes where it is asked to write (processors/answer_form.py): behind the
gateway nobody sees by which API an answer came.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from processors import answer_form
from processors.asking import Ask
from processors.errors import RequestRefused
from processors.gateway.dialect import Json
from topics.limits import DECISION_CHOICES_MAX, DECISION_QUESTIONS_MAX

_PLACES = ("first", "second", "third")  # of the control's digits
_NAME = re.compile(rf"(label|{'|'.join(_PLACES)})_([0-9]{{{answer_form.KEY_CHARS}}})")
_DIGITS = [{"value": str(digit)} for digit in range(10)]
_DECLINED = "the model declined every question"


def write(ask: Ask, model: str) -> Json:
    """The request for an ask. Raises RequestRefused where it cannot be put as questions with choices."""
    if ask.choices is None:
        raise RequestRefused(
            f"a call for '{ask.purpose}' has no choices, and the Decisions API answers by choice alone: "
            'ask a provider with api = "responses" or "chat"'
        )
    control = ask.choices.control
    choices = [{"value": code} for code in ask.choices.codes]
    questions = [_question("label", key, f"Which label's code fits text {key}?", choices) for key in ask.choices.keys]
    if control is not None:
        questions += [
            _question(place, control, f"Which is the {place} of the three digits text {control} asks for?", _DIGITS)
            for place in _PLACES
        ]
    if len(questions) > DECISION_QUESTIONS_MAX or len(choices) > DECISION_CHOICES_MAX:
        raise RequestRefused(
            f"{len(questions)} questions of {len(choices)} choices: the Decisions API takes {DECISION_QUESTIONS_MAX} "
            f"of {DECISION_CHOICES_MAX}. Ask about fewer messages, or leave out labels"
        )
    request: Json = {
        "model": model,
        "input": [
            {"role": "system", "content": ask.choices.instructions},
            {"role": "user", "content": ask.input},
        ],
        "questions": questions,
    }
    if ask.cache_key is not None:
        request["prompt_cache_key"] = ask.cache_key
    return request


def _question(kind: str, key: str, instructions: str, choices: Sequence[Json]) -> Json:
    return {"type": "choice", "name": f"{kind}_{key}", "instructions": instructions, "choices": choices}


def read(payload: Any) -> tuple[str, dict[str, float], str | None]:
    """(the answers as text, the probability of each key's label, the refusal where every question was declined).

    What was declined has no answer in the text, nor has what was not asked. Raises KeyError, TypeError, AttributeError
    or ValueError where the payload is no reply to what `write` writes.
    """
    verdicts: list[tuple[str, Json]] = []
    digits: dict[str, dict[str, str]] = {}  # of a control, by its key and their places
    declined = False
    for answer in payload["answers"]:
        if (name := _NAME.fullmatch(answer["name"])) is None:
            continue
        kind, key = name.groups()
        told = digits.setdefault(key, {}) if kind in _PLACES else None
        if answer["type"] == "refusal":
            declined = True
        elif answer["type"] != "choice":
            raise ValueError(f"an answer is of type {answer['type']!r}")
        elif told is None:
            verdicts.append((key, answer))
        else:
            told[kind] = str(answer["choice"])
    sure: dict[str, float] = {}
    written: list[str] = []
    for key, answer in verdicts:
        probability = sure.setdefault(key, _probability(answer))
        if key in digits:
            asked_for = "".join(digits[key].get(place, "") for place in _PLACES)
            written.append(f"{key}{answer['choice']}{asked_for}")
        else:
            permille = min(round(1000 * probability), answer_form.PERMILLE_MAX)
            written.append(answer_form.write(key, str(answer["choice"]), permille))
    refusal = _DECLINED if declined and not verdicts else None
    return orjson.dumps({"answers": written}).decode(), sure, refusal


def _probability(answer: Json) -> float:
    """Of a choice, as the provider says. It is told to be overconfident: what it is worth is found out by audits."""
    listed = [one["probability"] for one in answer["probabilities"] if one["value"] == answer["choice"]]
    return min(max(round(float(listed[0] if listed else answer["confidence"]), 4), 0.0), 1.0)
