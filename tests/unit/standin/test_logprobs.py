"""The stand-in tells the log-probabilities of its tokens where it is asked to."""

import math
from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from local.standin import StandInSettings, chat_api, responses_api
from local.standin.logprobs import tokens
from local.standin.service import Service
from processors.gateway.dialect import Api
from processors.gateway.wire import read, write
from processors.prompt import Prompt
from tests.fakes import ManualClock
from tests.unit.triage.build import stream

TEXTS = {"501": "a disk failure that an operator must see", "502": "session opened"}


async def told(api: Api, *, logprobs: bool, **more: Any) -> tuple[int, dict[str, Any]]:
    asked = Prompt("logs", stream()).ask(TEXTS, tenant="acme", messages=2, output_tokens=99)
    request = write(asked, "gpt-5.4-nano", api, vendor=True, logprobs=logprobs) | more
    served = Service(StandInSettings(latency_scale=0), ManualClock())
    reply = await served.serve(responses_api if api == "responses" else chat_api, orjson.dumps(request), "")
    return reply.status, orjson.loads(reply.body)


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_a_labels_code_is_as_likely_as_the_answer_is_sure(api: Api) -> None:
    _, body = await told(api, logprobs=True)
    (Response if api == "responses" else ChatCompletion).model_validate(body)
    reading = read(orjson.dumps(body), api)
    assert reading is not None
    answers = orjson.loads(reading.text)["answers"]
    assert reading.sure == pytest.approx({one[:3]: int(one[4:]) / 1000 for one in answers})
    assert reading.sure.keys() == TEXTS.keys()


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_nobody_is_told_who_does_not_ask(api: Api) -> None:
    _, body = await told(api, logprobs=False)
    reading = read(orjson.dumps(body), api)
    assert reading is not None
    assert reading.sure == {}


@pytest.mark.parametrize(
    ("api", "param", "effort"),
    [("responses", "include", {"reasoning": {"effort": "low"}}), ("chat", "logprobs", {"reasoning_effort": "low"})],
)
async def test_a_model_that_reasons_tells_none(api: Api, param: str, effort: dict[str, Any]) -> None:
    status, body = await told(api, logprobs=True, **effort)
    assert (status, body["error"]["param"]) == (400, param)


def test_tokens_are_the_text() -> None:
    text = '{"answers":["417B000", "518ROU93", "519N932"]}'
    assert "".join(one["token"] for one in tokens(text)) == text
    likely = {one["token"]: math.exp(one["logprob"]) for one in tokens(text)}
    assert (likely["B"], likely["ROU"], likely["N"]) == pytest.approx((0.005, 0.93, 0.932))
