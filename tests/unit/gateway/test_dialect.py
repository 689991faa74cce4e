"""Servers that know less of OpenAI's API than a request asks for."""

import logging

import pytest

from processors.errors import RequestRefused
from processors.gateway.dialect import Api, Dialect, adapt
from processors.gateway.refusals import Complaint
from processors.gateway.wire import write
from tests.unit.gateway.provider import (
    Answer,
    Provider,
    Request,
    ask,
    completion,
    error,
    gateway,
    response,
)

CHAT = {"OPENAI_API": "chat"}


def refuses(*words: str) -> Answer:
    return error(400, message=f"Unsupported: {' '.join(words)}")


async def test_a_server_without_schemas_is_asked_in_words_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    def script(request: Request) -> Answer:
        kind = request.body.get("response_format", {}).get("type")
        return refuses("response_format", kind) if kind else Answer(body=completion('```json\n{"label":"b"}\n```'))

    async with Provider(script) as provider, gateway(provider, [], env=CHAT) as models:
        with caplog.at_level(logging.WARNING, "sluice.gateway"):
            answers = [(await models.ask(ask())).text for _ in range(3)]
    assert answers == ['{"label":"b"}'] * 3
    kinds = [request.body.get("response_format", {}).get("type") for request in provider.requests]
    assert kinds == ["json_schema", "json_object", None, None, None]
    assert '"required":["label"]' in provider.requests[-1].body["messages"][0]["content"]
    assert len(caplog.records) == 2  # told once a step


async def test_the_responses_api_without_schemas() -> None:
    def script(request: Request) -> Answer:
        if request.body["text"]["format"]["type"] == "json_schema":
            return error(400, message="no such format", param="text.format")
        return Answer(body=response('Well: {"label":"b"}'))

    async with Provider(script) as provider, gateway(provider, []) as models:
        assert (await models.ask(ask())).text == '{"label":"b"}'
    assert provider.requests[-1].body["text"] == {"format": {"type": "json_object"}}
    assert provider.requests[-1].body["instructions"].startswith("Classify.\n\nAnswer with one JSON object")


async def test_a_server_that_ignores_the_schema_is_found_out() -> None:
    def script(request: Request) -> Answer:
        told = "JSON Schema" in request.body["messages"][0]["content"]
        return Answer(body=completion('{"label":"b"}' if told else "It looks like b to me."))

    async with Provider(script) as provider, gateway(provider, [], env=CHAT) as models:
        assert (await models.ask(ask())).text == '{"label":"b"}'
        assert len(provider.requests) == 3  # once may be chance


async def test_garbage_from_a_server_that_keeps_to_schemas_is_the_models_fault() -> None:
    answers = [Answer(body=completion()), Answer(body=completion("garbage"))]
    async with Provider(answers) as provider, gateway(provider, [], env=CHAT) as models:
        await models.ask(ask())
        assert (await models.ask(ask())).text == "garbage"
        assert len(provider.requests) == 2


async def test_parameters_that_a_server_does_not_know_are_left_out() -> None:
    def script(request: Request) -> Answer:
        for name in ("reasoning", "prompt_cache_key"):
            if name in request.body:
                return error(422, message=f"extra fields not permitted: {name}")
        return Answer(body=response())

    async with Provider(script) as provider, gateway(provider, []) as models:
        for _ in range(2):
            assert (await models.ask(ask(cache_key="k"))).complete
    assert len(provider.requests) == 4


async def test_the_newer_name_of_the_output_bound_where_a_server_wants_it() -> None:
    def script(request: Request) -> Answer:
        if "max_tokens" in request.body:
            return refuses("'max_tokens' is not supported, use 'max_completion_tokens'")
        return Answer(body=completion())

    async with Provider(script) as provider, gateway(provider, [], env=CHAT) as models:
        assert (await models.ask(ask())).complete
    assert provider.requests[-1].body["max_completion_tokens"] == 50


async def test_a_policy_may_say_what_a_server_enforces() -> None:
    async with Provider([Answer(body=completion())]) as provider:
        house = {"base_url": provider.base_url, "schemas": "none", "api": "chat"}
        async with gateway(provider, [], providers={"openai": house}) as models:
            assert (await models.ask(ask())).complete
    assert "response_format" not in provider.requests[0].body


async def test_another_complaint_is_not_taken_for_it() -> None:
    async with Provider([error(400, message="this text is too long")]) as provider, gateway(provider, []) as models:
        with pytest.raises(RequestRefused, match="too long"):
            await models.ask(ask())
    assert len(provider.requests) == 1


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_the_vendors_own_host_is_asked_in_full_and_its_complaints_are_about_the_request(api: Api) -> None:
    vendor = Dialect(api=api, vendor=True, chat_bound="max_completion_tokens")
    request = write(ask(), "gpt-5.4-nano", api, vendor=True)
    assert adapt(request, vendor) == request
    assert request["service_tier"] == "default"  # the one that the prices are for
    invalid_schema = Complaint("invalid_json_schema", "", "text.format.schema", "Invalid schema for response_format")
    assert vendor.lesser(invalid_schema, request) is None
