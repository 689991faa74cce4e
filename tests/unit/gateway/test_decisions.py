"""Nano by the Decisions API: what is asked, how answers are read, what is paid, and what is refused."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from openai.types import Decision
from openai.types.decision_create_params import DecisionCreateParams
from pydantic import TypeAdapter, ValidationError

from processors.answers import Answers, NoVerdict
from processors.asking import Ask
from processors.controls import Control
from processors.errors import AnswerRefused, ConfigurationError, RequestRefused
from processors.gateway.context import Context, calling
from processors.gateway.providers import server_of
from processors.gateway.wire import Reading, read, write
from processors.nano import Nano
from processors.policy import Policy
from processors.policy import Provider as ProviderSettings
from processors.prompt import Prompt
from processors.rule_versions import batch_version
from tests.unit.gateway.provider import Answer, Provider, Request, ask, gateway, policy
from tests.unit.triage.build import LABELS, item, stream
from topics.messages import Spend, Tokens, Verdict

CONTROL = Control("418", "A", 7)
TEXTS = {"417": "disk failed", CONTROL.key: CONTROL.text, "519": "session opened"}
LUNA: Mapping[str, Any] = {"nano": {"provider": "luna", "model": "gpt-6-luna"}}


def asked(texts: Mapping[str, str] = TEXTS, **settings: Any) -> Ask:
    control = CONTROL.key if CONTROL.key in texts else None
    real = len(texts) - (control is not None)
    prompt = Prompt("logs", stream(**settings))
    return prompt.ask(texts, tenant="acme", messages=real, output_tokens=99, cache_key="k", control=control)


def written(asking: Ask) -> dict[str, Any]:
    return write(asking, "gpt-6-luna", "decisions", vendor=True, lane="flex")


def choice(name: str | None, value: str, probability: float = 0.9, others: Sequence[str] = ()) -> dict[str, Any]:
    rest = [{"value": other, "probability": (1 - probability) / len(others)} for other in others]
    probabilities = [*rest, {"value": value, "probability": probability}]
    return {
        "type": "choice",
        "name": name,
        "choice": value,
        "confidence": probability,
        "probabilities": probabilities,
    }


def decision(*answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A reply that the SDK's own type takes."""
    usage = {
        "input_tokens": 1_000,
        "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 1_007,
    }
    made = {"answers": answers, "model": "gpt-6-luna", "usage": usage}
    return Decision.model_validate(made).to_dict(mode="json") | more


def declined(name: str) -> dict[str, Any]:
    return {"type": "refusal", "name": name}


def reading(*answers: dict[str, Any]) -> Reading:
    found = read(orjson.dumps(decision(*answers)), "decisions")
    assert found is not None
    return found


def told(*answers: dict[str, Any]) -> list[str]:
    text: list[str] = orjson.loads(reading(*answers).text)["answers"]
    return text


def by_choice(base_url: str, **more: Any) -> dict[str, Any]:
    """The policy's words for nano at a server's Decisions API."""
    providers = {"openai": {"base_url": base_url}, "luna": {"base_url": base_url, "api": "decisions"}}
    return {"providers": providers, "tiers": LUNA} | more


def obliging(request: Request) -> Answer:
    """Chooses R for everything, and what the control asks for."""
    texts = orjson.loads(request.body["input"][1]["content"])
    answers = []
    for question in request.body["questions"]:
        kind, key = question["name"].split("_")
        wanted = texts[key].split("answer ")[-1] if texts[key].startswith("Sluice check") else "R999"
        answers.append(choice(question["name"], wanted[("label", "first", "second", "third").index(kind)]))
    return Answer(body=decision(*answers))


def test_a_batch_is_one_question_a_text_and_three_more_about_the_control() -> None:
    request = written(asked())
    questions = request.pop("questions")
    assert [question["name"] for question in questions] == [
        *("label_417", "label_418", "label_519"),
        *("first_418", "second_418", "third_418"),
    ]
    assert [one["value"] for one in questions[0]["choices"]] == ["R", "A", "N"]
    assert [one["value"] for one in questions[4]["choices"]] == list("0123456789")
    assert all(key in question["instructions"] for question in questions for key in [question["name"][-3:]])
    instructions, texts = request.pop("input")
    assert orjson.loads(texts["content"]) == TEXTS
    assert "- alert (A): A failure" in instructions["content"]
    assert "Sluice check" in instructions["content"]
    assert "answers" not in instructions["content"]  # nothing is written
    assert request == {"model": "gpt-6-luna", "prompt_cache_key": "k"}  # no bound of output, no service tier


def test_a_text_alone_has_no_control() -> None:
    request = written(asked({"417": "disk failed"}))
    assert [question["name"] for question in request["questions"]] == ["label_417"]
    assert "Sluice check" not in request["input"][0]["content"]


def test_the_sdk_takes_what_is_asked() -> None:
    request = written(asked())
    taken: Any = TypeAdapter(DecisionCreateParams).validate_python(request)
    for question, sent in zip(taken["questions"], request["questions"], strict=True):  # checked as they are read
        assert [dict(one) for one in question["choices"]] == sent["choices"]
    assert [dict(message) for message in taken["input"]] == request["input"]


def test_answers_are_read_into_the_form_of_other_apis() -> None:
    text = reading(
        choice("label_417", "A", 0.9324, ("R", "N")),
        choice("label_418", "A", 0.99),
        choice("label_519", "R", 1.0),
        choice("third_418", "7"),
        choice("second_418", "0"),
        choice("first_418", "0"),
    ).text
    assert orjson.loads(text) == {"answers": ["417A932", "418A007", "519R999"]}
    verdicts = Answers(stream()).read(text, list(TEXTS), CONTROL, "gpt-6-luna")
    assert [(one.label, one.confidence) for one in verdicts if isinstance(one, Verdict)] == [
        ("alert", 0.932),
        ("routine", 0.999),
    ]


def test_a_probability_that_is_not_listed_is_the_confidence() -> None:
    bare = choice("label_417", "A", 0.6) | {"probabilities": []}
    assert told(bare) == ["417A600"]


async def test_a_verdict_is_as_sure_as_the_provider_to_the_last_digit() -> None:
    def script(request: Request) -> Answer:
        return Answer(body=decision(choice(request.body["questions"][0]["name"], "A", 0.9987, ("R", "N"))))

    async with Provider(script) as provider, gateway(provider, [], **by_choice(provider.base_url)) as models:
        (verdict,) = (await Nano("logs", stream(), models, random.Random(3)).call([item("one")])).verdicts
    assert isinstance(verdict, Verdict)
    assert (verdict.label, verdict.confidence) == ("alert", 0.9987)


DIGITS = [choice("first_418", "0"), choice("second_418", "0")]


@pytest.mark.parametrize(
    ("digits", "why"),
    [
        ([*DIGITS, choice("third_418", "8")], "another digit"),
        ([*DIGITS, declined("third_418")], "a digit is declined"),
        (DIGITS, "a digit is missing"),
        ([], "no digit: the probability is none"),
    ],
)
def test_a_control_without_its_digits_discards_the_batch(digits: list[dict[str, Any]], why: str) -> None:
    labels = [choice("label_417", "A"), choice("label_418", "A", 0.007), choice("label_519", "R")]
    text = reading(*labels, *digits).text
    verdicts = Answers(stream()).read(text, list(TEXTS), CONTROL, "m")
    expected = NoVerdict if digits else Verdict  # a probability that says what was drawn is one in a thousand
    assert all(isinstance(one, expected) for one in verdicts), why


def test_what_is_declined_or_was_not_asked_has_no_answer() -> None:
    found = reading(declined("label_417"), choice("label_519", "R"), choice("zz00", "A"), choice("label_9999", "A"))
    assert (orjson.loads(found.text)["answers"], found.refusal) == (["519R900"], None)
    assert told(choice("label_417", "A"), choice("label_417", "R")) == ["417A900", "417R900"]  # a matter of Answers
    assert reading(declined("label_417"), declined("first_418")).refusal is not None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"answers":"text"}',
        b'{"answers":[{"type":"choice","choice":"A","confidence":1,"probabilities":[]}]}',
        b'{"answers":[{"type":"choice","name":null,"choice":"A","confidence":1,"probabilities":[]}]}',
        b'{"answers":[{"type":"choice","name":"label_417","choice":"A","confidence":"high","probabilities":[]}]}',
        b'{"answers":[{"type":"choice","name":"label_417","choice":"A","confidence":1}]}',
        b'{"answers":[{"type":"predicate","name":"label_417","probability":1}]}',
    ],
)
def test_garbage_is_no_reply(body: bytes) -> None:
    assert read(body, "decisions") is None


async def test_a_batch_goes_through_the_gateway_and_only_its_input_is_paid() -> None:
    spends: list[Spend] = []
    async with Provider(obliging) as provider, gateway(provider, spends, **by_choice(provider.base_url)) as models:
        nano = Nano("logs", stream(), models, random.Random(3))
        reply = await nano.call([item(f"line {number}") for number in range(5)])
    assert [one.label for one in reply.verdicts if isinstance(one, Verdict)] == ["routine"] * 5
    (request,) = provider.requests
    assert request.path == "/v1/decisions"
    assert len(request.body["questions"]) == 5 + 1 + 3
    (spend,) = spends
    assert (spend.tokens, spend.lane) == (Tokens(input=1_000, cached=400, output=0), "realtime")
    assert spend.usd_micros == 79  # 600 * 0.125 + 400 * 0.01, and the output that is told is not billed


async def test_an_order_for_all_is_found_out_though_it_names_the_controls_label() -> None:
    def dictated(request: Request) -> Answer:
        texts = orjson.loads(request.body["input"][1]["content"])
        wanted = next(text for text in texts.values() if text.startswith("Sluice check")).split("answer ")[-1][0]
        names = [question["name"] for question in request.body["questions"]]
        return Answer(body=decision(*(choice(name, wanted if name[:5] == "label" else "9", 0.99) for name in names)))

    async with Provider(dictated) as provider, gateway(provider, [], **by_choice(provider.base_url)) as models:
        nano = Nano("logs", stream(), models, random.Random(3))
        reply = await nano.call([item("one"), item("two")])
    assert [one.why for one in reply.verdicts if isinstance(one, NoVerdict)] == ["sentinel"] * 2


async def test_a_model_that_declines_everything_is_an_error() -> None:
    def declines(request: Request) -> Answer:
        return Answer(body=decision(*(declined(question["name"]) for question in request.body["questions"])))

    async with Provider(declines) as provider, gateway(provider, [], **by_choice(provider.base_url)) as models:
        with pytest.raises(AnswerRefused, match="declined"):
            await models.ask(asked({"417": "disk failed"}))


async def test_the_sdk_asks_through_the_gateway() -> None:
    async with Provider(obliging) as provider, gateway(provider, [], **by_choice(provider.base_url)) as models:
        request = written(asked({"417": "disk failed"}))
        with calling(Context(tier="nano", stream="logs", tenant="acme", purpose="trial")):
            found = await models.openai().decisions.create(**request)
    assert isinstance(found, Decision)
    assert [(answer.type, answer.name) for answer in found.answers] == [("choice", "label_417")]


def test_what_cannot_be_put_as_choices_is_refused_before_it_is_sent() -> None:
    with pytest.raises(RequestRefused, match=r'no choices.*api = "responses"'):
        written(ask())
    assert asked({"417": "x"}, summary="one sentence").choices is None
    many = {str(100 + number): "x" for number in range(401)}  # the control among them
    with pytest.raises(RequestRefused, match="404 questions of 3 choices"):
        written(asked(many))


def refused(**more: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        policy("http://house.example/v1", **by_choice("http://house.example/v1", **more))
    return str(caught.value)


@pytest.mark.parametrize("tier", ["mini", "flagship"])
def test_agents_do_not_choose(tier: str) -> None:
    message = refused(tiers={**LUNA, tier: {"provider": "luna", "model": "gpt-5.4"}})
    assert "'luna' has api = \"decisions\"" in message
    assert 'name a provider with api = "responses" or "chat"' in message


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"summary": "one sentence"}, "writes nothing: remove it"),
        ({"fields": {"host": {}}}, "writes nothing: remove it"),
        ({"labels": {f"label{number}": {"means": "one"} for number in range(256)}}, "256 labels"),
    ],
)
def test_a_stream_that_wants_more_than_a_label_is_refused(setting: dict[str, Any], words: str) -> None:
    logs = {"kind": "log", "topics": ["t"], "labels": LABELS}
    message = refused(streams={"logs": logs | setting})
    assert words in message
    assert "tiers.nano.provider" in message or "name a provider with another api" in message
    assert policy("http://house.example/v1", streams={"logs": logs | setting})  # by another API it is not


@pytest.mark.parametrize("setting", [{"schemas": "json"}, {"lanes": ["realtime", "flex"]}])
def test_keys_that_mean_nothing_to_it_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match='api = "decisions" has no use for it: remove it'):
        ProviderSettings.model_validate({"api": "decisions"} | setting)


async def test_the_vendor_serves_one_model_by_it() -> None:
    def luna(model: str) -> dict[str, Any]:
        vendor = {"base_url": "https://api.openai.com/v1", "api_key_env": "KEY"}
        providers = {"openai": vendor, "luna": vendor | {"api": "decisions"}}
        return {"providers": providers, "tiers": {"nano": {"provider": "luna", "model": model}}}

    env = {"KEY": "sk-x"}
    async with Provider() as house:
        with pytest.raises(ConfigurationError, match=r"serves gpt-6-luna alone\. Set tiers\.nano\.model"):
            gateway(house, [], env=env, **luna("gpt-5.4-nano"))
        routes = gateway(house, [], env=env, **luna("gpt-6-luna"))._routes
        assert list(routes["nano"].lanes) == ["realtime"]
        assert list(routes["mini"].lanes) == ["realtime", "flex", "batch"]


def test_the_environment_speaks_for_every_tier_and_cannot_name_it() -> None:
    with pytest.raises(ConfigurationError, match='OPENAI_API = "decisions": use one of responses, chat'):
        server_of("openai", ProviderSettings(base_url="http://house.example/v1"), {"OPENAI_API": "decisions"})


def test_the_same_model_by_another_api_proves_itself_anew() -> None:
    def version(api: str) -> str:
        providers = {"luna": {"base_url": "http://house.example/v1", "api": api}}
        logs = {"kind": "log", "topics": ["t"], "labels": LABELS, "quality": {"reference": "mini"}}
        made = Policy.model_validate({"providers": providers, "tiers": LUNA, "streams": {"logs": logs}})
        quality = made.streams["logs"].quality
        assert quality is not None
        return batch_version(made, "logs", made.streams["logs"], quality)

    assert version("decisions") != version("responses") == version("chat")
