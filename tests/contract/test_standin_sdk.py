"""The stand-in as the vendor's own libraries see it: the `openai` SDK and openai-agents, on both APIs."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx2
import openai
import orjson
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionToolParam
from openai.types.responses import FunctionToolParam, Response
from pydantic import BaseModel

from local.standin import Fault, StandIn, StandInSettings

INSTRUCTIONS = "You triage mail.\n\nLabels\n- phishing: Tries to obtain credentials\n- other: Anything else\n"
MAIL = "Please verify your account password at http://bank.example/login"


class Triage(BaseModel):
    label: Literal["phishing", "other"]
    confidence: float
    url: str | None


PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
RESPONSES_TOOL: FunctionToolParam = {
    "type": "function",
    "name": "related",
    "description": "Recent messages",
    "parameters": PARAMETERS,
    "strict": True,
}
CHAT_TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "related", "description": "Recent messages", "parameters": PARAMETERS, "strict": True},
}


@pytest.fixture
async def standin() -> AsyncIterator[StandIn]:
    async with StandIn(StandInSettings(latency_scale=0, key="sk-right")) as standin:
        yield standin


@pytest.fixture
async def client(standin: StandIn) -> AsyncIterator[AsyncOpenAI]:
    http = httpx2.AsyncClient(trust_env=False)
    async with AsyncOpenAI(base_url=standin.base_url, api_key="sk-right", max_retries=0, http_client=http) as client:
        yield client


async def test_responses_gives_a_typed_response_with_usage(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="gpt-5.4-nano", input="Say something", store=False)
    assert isinstance(response, Response)
    assert response.status == "completed"
    assert response.output_text
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.service_tier == "default"
    Response.model_validate(response.to_dict(mode="json"))  # strictly: the SDK itself forgives what does not fit


async def test_chat_gives_a_typed_completion_with_usage(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="gpt-5.4-nano", messages=[{"role": "user", "content": "Say something"}]
    )
    assert isinstance(completion, ChatCompletion)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 0
    ChatCompletion.model_validate(completion.to_dict(mode="json"))


async def test_responses_parses_a_structured_output(client: AsyncOpenAI) -> None:
    response = await client.responses.parse(
        model="gpt-5.4", instructions=INSTRUCTIONS, input=MAIL, text_format=Triage, store=False
    )
    assert response.output_parsed is not None
    assert response.output_parsed.url == "http://bank.example/login"
    assert 0 <= response.output_parsed.confidence <= 1


async def test_chat_parses_a_structured_output(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.parse(
        model="gpt-5.4",
        messages=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": MAIL}],
        response_format=Triage,
    )
    parsed = completion.choices[0].message.parsed
    assert parsed is not None
    assert parsed.url == "http://bank.example/login"


async def test_a_tool_is_called_and_its_output_answered_on_responses(client: AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": MAIL}]
    first = await client.responses.create(model="gpt-5.4-mini", input=asked, tools=[RESPONSES_TOOL], store=False)
    (call,) = first.output
    assert call.type == "function_call"
    assert "account" in call.arguments
    asked += [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "3 like mails"}]
    second = await client.responses.create(model="gpt-5.4-mini", input=asked, tools=[RESPONSES_TOOL], store=False)
    assert "3 like mails" in second.output_text


async def test_a_tool_is_called_and_its_output_answered_on_chat(client: AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": MAIL}]
    first = await client.chat.completions.create(model="gpt-5.4-mini", messages=asked, tools=[CHAT_TOOL])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    asked += [
        message.to_dict(),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "3 like mails"},
    ]
    second = await client.chat.completions.create(model="gpt-5.4-mini", messages=asked, tools=[CHAT_TOOL])
    assert "3 like mails" in (second.choices[0].message.content or "")


async def test_the_output_bound_cuts_the_answer(client: AsyncOpenAI) -> None:
    long = "word " * 200
    response = await client.responses.create(model="gpt-5.4-nano", input=long, max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    completion = await client.chat.completions.create(
        model="gpt-5.4-nano", messages=[{"role": "user", "content": long}], max_completion_tokens=16
    )
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 16


async def test_a_refusal_is_a_refusal(standin: StandIn, client: AsyncOpenAI) -> None:
    standin.fault(Fault(kind="refusal"))
    response = await client.responses.create(model="gpt-5.4-nano", input=MAIL)
    message = response.output[0]
    assert message.type == "message"
    assert message.content[0].type == "refusal"
    completion = await client.chat.completions.create(
        model="gpt-5.4-nano", messages=[{"role": "user", "content": MAIL}]
    )
    assert completion.choices[0].message.refusal


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (Fault(kind="wrong_key"), openai.AuthenticationError, "invalid_api_key"),
        (Fault(kind="rate_limited", seconds=2.5), openai.RateLimitError, "rate_limit_exceeded"),
        (Fault(kind="slow_down"), openai.RateLimitError, "slow_down"),
        (Fault(kind="account_spent"), openai.RateLimitError, "credit_balance_exhausted"),
        (Fault(kind="server_error", status=502), openai.InternalServerError, None),
        (Fault(kind="reset"), openai.APIConnectionError, None),
    ],
)
async def test_faults_are_the_sdks_own_errors(
    standin: StandIn, client: AsyncOpenAI, fault: Fault, error: type[openai.APIError], code: str | None
) -> None:
    standin.fault(fault)
    with pytest.raises(error) as raised:
        await client.responses.create(model="gpt-5.4-nano", input=MAIL)
    assert raised.value.code == code


async def test_a_call_that_is_never_answered_times_out(standin: StandIn, client: AsyncOpenAI) -> None:
    standin.fault(Fault(kind="timeout", count=1))
    with pytest.raises(openai.APITimeoutError):
        await client.responses.create(model="gpt-5.4-nano", input=MAIL, timeout=0.1)


async def test_refused_requests_are_the_sdks_own_errors(standin: StandIn, client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.responses.create(model="gpt-0", input=MAIL)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as streamed:
        await client.responses.create(model="gpt-5.4-nano", input=MAIL, stream=True)
    assert streamed.value.param == "stream"
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="sk-wrong").responses.create(model="gpt-5.4-nano", input=MAIL)


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert "gpt-5.4-nano" in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve("gpt-5.4")).owned_by == "simulated"


@function_tool
def related(query: str) -> str:
    """Recent messages that share words with the query."""
    return f"two mails about {query}"


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_an_agent_with_a_tool_runs_to_its_structured_end(standin: StandIn, client: AsyncOpenAI, api: str) -> None:
    kind = OpenAIChatCompletionsModel if api == "chat" else OpenAIResponsesModel
    agent = Agent(
        name="mini",
        instructions=INSTRUCTIONS,
        tools=[related],
        model=kind("gpt-5.4-mini", client),
        model_settings=ModelSettings(store=False if api == "responses" else None),
        output_type=Triage,
    )
    result = await Runner.run(agent, MAIL, run_config=RunConfig(tracing_disabled=True))
    assert isinstance(result.final_output, Triage)
    assert [item.type for item in result.new_items] == [
        "tool_call_item",
        "tool_call_output_item",
        "message_output_item",
    ]
    assert standin.stats()["models"]["gpt-5.4-mini"]["calls"] == 2


async def test_files_and_batches_from_upload_to_answer(client: AsyncOpenAI) -> None:
    body = {"model": "gpt-5.4-nano", "input": MAIL, "metadata": {"mail": "7"}}
    asked = {"custom_id": "mail-7", "method": "POST", "url": "/v1/responses", "body": body}
    file = await client.files.create(
        file=("asks.jsonl", orjson.dumps(asked)),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert file.expires_at == file.created_at + 3600
    batch = await client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/responses",
        completion_window="24h",
        metadata={"for": "a test"},
        output_expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (batch.status, batch.metadata) == ("validating", {"for": "a test"})
    while batch.status != "completed":
        batch = await client.batches.retrieve(batch.id)
        type(batch).model_validate(batch.to_dict(mode="json"))
    assert [listed.id async for listed in client.batches.list(limit=1)] == [batch.id]
    assert [listed.id async for listed in client.files.list(purpose="batch")] == [file.id]
    assert batch.output_file_id is not None
    (answer,) = (await client.files.content(batch.output_file_id)).text.splitlines()
    line = orjson.loads(answer)
    assert (line["custom_id"], line["error"]) == ("mail-7", None)
    response = Response.model_validate(line["response"]["body"])
    assert response.output_text
    assert response.metadata == {"mail": "7"}
    with pytest.raises(openai.ConflictError, match="Cannot cancel"):
        await client.batches.cancel(batch.id)
    assert (await client.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        await client.files.retrieve(file.id)
