"""The `openai` SDK and openai-agents through the gateway: governed without knowing it."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from agents import Agent, ModelSettings, OpenAIProvider, RunConfig, Runner, function_tool, set_tracing_disabled
from pydantic import BaseModel

from processors.errors import BudgetSpent, ConfigurationError, KeyRefused, RequestRefused
from processors.gateway.context import Context, Meter, calling
from processors.gateway.gateway import Gateway
from tests.unit.gateway.provider import (
    FREE,
    Answer,
    Provider,
    Request,
    budgeted,
    completion,
    error,
    gateway,
    response,
)
from topics import limits
from topics.messages import Spend, Tier, Tokens


class Verdict(BaseModel):
    label: str


def context(tier: Tier = "mini", meter: Meter | None = None) -> Context:
    return Context(
        tier=tier,
        stream="logs",
        tenant="acme",
        purpose="mini-agent",
        escalation="logs/0/7",
        meter=Meter() if meter is None else meter,
    )


async def test_the_context_names_the_model_and_the_account() -> None:
    spends: list[Spend] = []
    meter = Meter()
    async with Provider() as provider, gateway(provider, spends) as models:
        with calling(context("mini", meter)):
            reply = await models.openai().responses.create(model="whatever", input="hello", store=False)

    (request,) = provider.requests
    assert reply.output_text == '{"label":"a"}'
    assert request.path == "/v1/responses"
    assert request.body["model"] == "gpt-5.4-mini"
    assert request.body["max_output_tokens"] == limits.OUTPUT_TOKENS_DEFAULT  # none was named
    assert request.headers["Authorization"] == "Bearer sk-test-secret"
    (spend,) = spends
    assert (spend.tier, spend.purpose, spend.escalation) == ("mini", "mini-agent", "logs/0/7")
    assert spend.usd_micros == 93  # 60 * 0.75 + 40 * 0.075 + 10 * 4.50
    assert meter == Meter(calls=1, tokens=Tokens(100, 40, 10), usd_micros=93)


async def test_a_compressed_answer_reaches_the_sdk_as_it_was_meant() -> None:
    packed = gzip.compress(orjson.dumps(response("plain")))
    answer = Answer(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    async with Provider([answer]) as provider, gateway(provider, []) as models:
        with calling(context()):
            reply = await models.openai().responses.create(model="m", input="hello")
    assert reply.output_text == "plain"


async def test_a_call_without_a_context_is_not_sent() -> None:
    async with Provider() as provider, gateway(provider, []) as models:
        with pytest.raises(ConfigurationError, match="calling"):
            await models.openai().responses.create(model="m", input="hello")
    assert provider.requests == []


async def test_errors_pass_through_the_sdk_as_they_are_and_it_does_not_retry() -> None:
    async with Provider([error(401)]) as provider, gateway(provider, []) as models:
        with calling(context()), pytest.raises(KeyRefused):
            await models.openai().responses.create(model="m", input="hello")
    assert len(provider.requests) == 1
    async with Provider() as provider, gateway(provider, [], **budgeted(0.000001)) as models:
        with calling(context()), pytest.raises(BudgetSpent):
            await models.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert provider.requests == []


async def test_what_the_gateway_does_not_serve_is_refused_by_name() -> None:
    async with Provider() as provider, gateway(provider, []) as models:
        with calling(context()):
            with pytest.raises(RequestRefused, match="/models"):
                await models.openai().models.list()
            with pytest.raises(RequestRefused, match="/embeddings"):
                await models.openai().embeddings.create(model="m", input="hello", encoding_format="float")
            with pytest.raises(RequestRefused, match="not streamed"):
                await models.openai().responses.create(model="m", input="hello", stream=True)


def agent_run(models: Gateway, agent: Agent[Any], text: str) -> Any:
    set_tracing_disabled(True)
    provider = OpenAIProvider(
        openai_client=models.openai(),
        use_responses=models.api("mini") == "responses",
        use_responses_websocket=False,
    )
    return Runner.run(agent, text, run_config=RunConfig(model_provider=provider, tracing_disabled=True))


@function_tool
async def lookup(service: str) -> str:
    """What is known of a service."""
    return f"{service} is down"


def tool_call_or_answer(request: Request) -> Answer:
    """As a model would: first the tool, then the answer with the tool's word in it."""
    call: dict[str, Any]
    arguments = '{"service":"disk"}'
    if request.path.endswith("/responses"):
        called = [item for item in request.body["input"] if item.get("type") == "function_call_output"]
        if called:
            return Answer(body=response(orjson.dumps({"label": called[0]["output"]}).decode()))
        call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "status": "completed"}
        return Answer(body=response(output=[call | {"name": "lookup", "arguments": arguments}]))
    called = [message for message in request.body["messages"] if message["role"] == "tool"]
    if called:
        return Answer(body=completion(orjson.dumps({"label": called[0]["content"]}).decode()))
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": arguments}}
    return Answer(body=completion("", finish="tool_calls", tool_calls=[call]))


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_an_agent_with_a_tool_on_both_apis(api: str) -> None:
    agent: Agent[Any] = Agent(
        name="mini", model="mini", tools=[lookup], model_settings=ModelSettings(max_tokens=300, store=False)
    )
    env = {"OPENAI_API": api}
    async with Provider(tool_call_or_answer) as provider, gateway(provider, [], env=env) as models:
        meters = [Meter() for _ in range(4)]

        async def run(meter: Meter) -> str:
            with calling(context("mini", meter)):
                return str((await agent_run(models, agent, "look at disk")).final_output)

        answers = await asyncio.gather(*(run(meter) for meter in meters))
    assert answers == ['{"label":"disk is down"}'] * 4
    assert [meter.calls for meter in meters] == [2] * 4  # each run's calls are counted on its own meter
    assert {request.body["model"] for request in provider.requests} == {"gpt-5.4-mini"}


async def test_an_agents_typed_answer_from_a_server_that_wraps_json_in_prose() -> None:
    def script(request: Request) -> Answer:
        if "response_format" in request.body:
            return error(400, message="unknown field response_format")
        assert "JSON Schema" in request.body["messages"][0]["content"]
        return Answer(body=completion('Sure! Here it is:\n```json\n{"label": "a"}\n```\nAnything else?'))

    tiers = {"mini": {"model": "house-1", "usd_per_million": FREE}}
    env = {"OPENAI_API": "chat"}
    agent: Agent[Any] = Agent(name="mini", instructions="Judge.", model="mini", output_type=Verdict)
    async with Provider(script) as provider, gateway(provider, [], env=env, tiers=tiers) as models:
        with calling(context()):
            result = await agent_run(models, agent, "look")
    assert result.final_output == Verdict(label="a")
