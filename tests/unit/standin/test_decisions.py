"""The Decisions API of the stand-in: its rules, its shape, and that it errs as the same tier does by other APIs."""

import random
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from openai.types import Decision

from local.standin import Fault, StandInSettings, decisions_api, responses_api
from local.standin.service import Reply, Service
from processors.controls import Control
from processors.gateway.dialect import Api
from processors.gateway.wire import read, write
from processors.prompt import Prompt
from tests.fakes import ManualClock
from tests.unit.triage.build import stream

CHOICES = [{"value": "phishing"}, {"value": "other"}]
QUESTION = {"type": "choice", "name": "q", "instructions": "What is it?", "choices": CHOICES}
CONTROL = Control("500", "N", 427)


def service() -> Service:
    return Service(StandInSettings(latency_scale=0), ManualClock())


async def ask(served: Service, **body: Any) -> Reply:
    body = {"model": "gpt-6-luna", "input": "verify your password", "questions": [QUESTION]} | body
    return await served.serve(decisions_api, orjson.dumps(body), "")


def batch(count: int = 12) -> Mapping[str, str]:
    rng = random.Random(4)
    words = ("disk", "failure", "operator", "normal", "session", "harmless", "must", "now", "opened", "known")
    texts = {str(501 + number): " ".join(rng.choices(words, k=5)) for number in range(count)}
    return texts | {CONTROL.key: CONTROL.text}


async def answered(served: Service, api: Api, texts: Mapping[str, str]) -> list[str]:
    prompt = Prompt("logs", stream())
    asked = prompt.ask(texts, tenant="acme", messages=len(texts) - 1, output_tokens=2_000, control=CONTROL.key)
    request = write(asked, "gpt-6-luna", api, vendor=False)
    by = decisions_api if api == "decisions" else responses_api
    reply = await served.serve(by, orjson.dumps(request), "")
    assert reply.status == 200, reply.body
    reading = read(reply.body, api)
    assert reading is not None
    assert reading.simulated
    found: list[str] = orjson.loads(reading.text)["answers"]
    return found


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "gpt-5.4-nano"}, "model"),
        ({"temperature": 0}, "temperature"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0]"),
        ({"questions": []}, "questions"),
        ({"questions": [QUESTION] * 401}, "questions"),
        ({"questions": [QUESTION, {"type": "predicate", "instructions": "Is it?"}]}, "questions[1].type"),
        ({"questions": [{"type": "choice", "choices": CHOICES}]}, "questions[0].instructions"),
        ({"questions": [QUESTION | {"choices": CHOICES[:1]}]}, "questions[0].choices"),
        ({"questions": [QUESTION | {"choices": [*CHOICES, CHOICES[0]]}]}, "questions[0].choices"),
        ({"questions": [QUESTION | {"choices": [{"value": str(n)} for n in range(256)]}]}, "questions[0].choices"),
        ({"questions": [QUESTION | {"choices": [{"value": 1}, {"value": 2}]}]}, "questions[0].choices"),
    ],
)
async def test_a_request_against_the_rules_is_refused_with_its_parameter(body: dict[str, Any], param: str) -> None:
    reply = await ask(service(), **body)
    assert reply.status == 400
    assert orjson.loads(reply.body)["error"]["param"] == param


async def test_an_answer_is_what_the_sdk_takes_and_costs_its_input() -> None:
    served = service()
    yes_or_no = {"type": "choice", "instructions": "Is it?", "choices": [{"value": True}, {"value": "True"}]}
    reply = await ask(served, questions=[QUESTION, yes_or_no])
    found = Decision.model_validate(orjson.loads(reply.body))
    first, second = found.answers
    assert (first.type, first.name, second.type, second.name) == ("choice", "q", "choice", None)
    assert first.type == "choice"
    probabilities = {one.value: one.probability for one in first.probabilities}
    assert probabilities.keys() == {"phishing", "other"}
    assert sum(probabilities.values()) == pytest.approx(1)
    assert probabilities[first.choice] == max(probabilities.values()) == first.confidence
    assert (found.usage.output_tokens, found.usage.total_tokens) == (0, found.usage.input_tokens)
    assert served.report()["usd"] == pytest.approx(found.usage.input_tokens * 0.10 / 1e6, abs=1e-6)


async def test_it_errs_as_the_same_tier_does_by_another_api_and_is_as_sure() -> None:
    texts = batch()
    chosen = await answered(service(), "decisions", texts)
    wrote = await answered(service(), "responses", texts)
    assert len(chosen) == len(texts) == len(wrote)
    for one, other in zip(chosen, wrote, strict=True):
        assert one[:4] == other[:4]
        assert int(one[4:]) == pytest.approx(int(other[4:]), abs=1) or int(other[4:]) < 400  # an even chance and less
    assert CONTROL.answer in chosen


async def test_faults_of_what_is_said() -> None:
    texts = batch(3)

    async def struck(kind: Any) -> list[str]:
        served = service()
        served.faults.add(Fault(kind=kind))
        return await answered(served, "decisions", texts)

    whole = await answered(service(), "decisions", texts)
    assert await struck("refusal") == []
    assert [one[:3] for one in await struck("garbage_text")] == [one[:3] for one in whole]
    assert all("Sure!" in one for one in await struck("garbage_text"))
    assert CONTROL.answer not in await struck("missing_item")  # the last answer is the control's third digit
    assert await struck("extra_item") == whole
    assert CONTROL.answer not in await struck("invalid_item")
