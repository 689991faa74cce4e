"""The probability of a label's tokens in the place of the stated chance."""

import math
import random
from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import ValidationError

from processors.answers import Answers
from processors.controls import Control
from processors.gateway.logprobs import sure
from processors.nano import Nano
from processors.policy import Policy
from processors.rule_versions import batch_version
from tests.unit.gateway.provider import Answer, Provider, Request, completion, error, gateway, policy, response
from tests.unit.triage.build import LABELS, item, stream
from topics.messages import Verdict


def tokens(*words: tuple[str, float] | str) -> list[dict[str, Any]]:
    """Tokens with probabilities; a word alone is certain."""
    pairs = [(word, 1.0) if isinstance(word, str) else word for word in words]
    return [
        {"token": word, "logprob": math.log(p), "bytes": list(word.encode()), "top_logprobs": []} for word, p in pairs
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (('{"answers":["', "417", ("B", 0.8), "932", '"]}'), {"417": 0.8}),
        (
            ('["', "417", ("A", 0.5), ("LT", 0.5), "932", '","', "518", ("ROU", 0.9), "071", '"]'),
            {"417": 0.25, "518": 0.9},
        ),
        (('["', ("417B", 0.7), "932", '"]'), {"417": 0.7}),  # a digit that was copied is certain
        (('["', "417", ("B9", 0.7), "32", '"]'), {}),  # how sure it is is another thing
        (('["', "417", ("B", 0.8), "932", '","', "417", ("C", 0.1), "932", '"]'), {"417": 0.8}),
        (('{"verdict":"', "417", ("B", 0.8), "932", '","summary":"é \\"999Z999\\""}'), {"417": 0.8}),
        (("no answer",), {}),
    ],
)
def test_a_codes_tokens_are_found_in_the_text(words: tuple[Any, ...], found: dict[str, float]) -> None:
    assert sure(tokens(*words)) == pytest.approx(found)


@pytest.mark.parametrize("nonsense", [None, 1, ["token"], [{"token": "a"}], [{"token": "a", "logprob": None}], {}])
def test_nonsense_tells_nothing_and_spoils_no_answer(nonsense: Any) -> None:
    assert sure(nonsense) == {}


def test_the_stated_chance_counts_where_no_probability_is_told_and_for_the_control() -> None:
    text = '{"answers":["417A932","418R007","519N500"]}'
    control = Control("418", "R", 7)
    read = Answers(stream()).read(text, ["417", "418", "519"], control, "m", {"417": 0.6, "418": 0.99})
    assert [one.confidence for one in read if isinstance(one, Verdict)] == [0.6, 0.5]


def answer(api: str, request: Request, logprobs: bool) -> dict[str, Any]:
    texts = orjson.loads(request.body["input"] if api == "responses" else request.body["messages"][1]["content"])
    written = [
        key + (text.split("answer ")[-1] if text.startswith("Sluice check") else "A932") for key, text in texts.items()
    ]
    text = orjson.dumps({"answers": written}).decode()
    words: list[tuple[str, float] | str] = ['{"answers":']
    for number, one in enumerate(written):
        words += ['["' if number == 0 else '","', one[:3], (one[3], 0.62), one[4:]]
    told = tokens(*words, '"]}')
    if api == "responses":
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": told if logprobs else []}
        body = response(text)
        body["output"][0]["content"] = [part]
        body["usage"]["input_tokens_details"]["cache_write_tokens"] = 0
        return Response.model_validate(body).to_dict(mode="json")
    body = completion(text)
    body["choices"][0]["logprobs"] = {"content": told, "refusal": None} if logprobs else None
    return ChatCompletion.model_validate(body).to_dict(mode="json")


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_they_are_asked_for_where_the_policy_says_so(api: str) -> None:
    def script(request: Request) -> Answer:
        asked = bool(request.body.get("include") or request.body.get("logprobs"))
        return Answer(body=answer(api, request, asked))

    for tiers, confidence in (({"nano": {"model": "gpt-5.4-nano", "confidence": "logprobs"}}, 0.62), ({}, 0.932)):
        async with (
            Provider(script) as provider,
            gateway(provider, [], env={"OPENAI_API": api}, tiers=tiers) as models,
        ):
            reply = await Nano("logs", stream(), models, random.Random(3)).call([item("one"), item("two")])
        assert [one.confidence for one in reply.verdicts if isinstance(one, Verdict)] == [confidence] * 2


@pytest.mark.parametrize(("api", "name"), [("responses", "include"), ("chat", "logprobs")])
async def test_a_server_that_does_not_tell_them_is_asked_without(api: str, name: str) -> None:
    def script(request: Request) -> Answer:
        if name in request.body:
            return error(400, message=f"Unknown parameter: '{name}'")
        return Answer(body=answer(api, request, False))

    tiers = {"nano": {"model": "gpt-5.4-nano", "confidence": "logprobs"}}
    async with Provider(script) as provider, gateway(provider, [], env={"OPENAI_API": api}, tiers=tiers) as models:
        nano = Nano("logs", stream(), models, random.Random(3))
        for _ in range(2):
            (verdict,) = (await nano.call([item("one")])).verdicts
            assert isinstance(verdict, Verdict)
            assert verdict.confidence == 0.932
    assert len(provider.requests) == 3


@pytest.mark.parametrize(
    ("tiers", "words"),
    [
        ({"mini": {"model": "gpt-5.4-mini", "confidence": "logprobs"}}, "agents state how sure they are: remove it"),
        (
            {"nano": {"provider": "luna", "model": "gpt-6-luna", "confidence": "logprobs"}},
            "probability of each choice: remove it",
        ),
    ],
)
def test_where_it_means_nothing_it_is_refused(tiers: dict[str, Any], words: str) -> None:
    providers = {"luna": {"base_url": "http://house.example/v1", "api": "decisions"}}
    with pytest.raises(ValidationError, match=words):
        policy("http://house.example/v1", providers=providers, tiers=tiers)


def test_another_confidence_proves_itself_anew() -> None:
    def version(**nano: str) -> str:
        logs = {"kind": "log", "topics": ["t"], "labels": LABELS, "quality": {"reference": "mini"}}
        tiers = {"nano": {"model": "gpt-5.4-nano"} | nano}
        made = Policy.model_validate({"tiers": tiers, "streams": {"logs": logs}})
        quality = made.streams["logs"].quality
        assert quality is not None
        return batch_version(made, "logs", made.streams["logs"], quality)

    assert version(confidence="logprobs") != version() == version(confidence="stated")
