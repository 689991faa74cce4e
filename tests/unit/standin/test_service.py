"""The life of a call, and the paths around it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from local.standin import Fault, StandIn, StandInSettings, chat_api, responses_api
from local.standin.service import Reply, Service
from tests.fakes import ManualClock

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["a", "b"]}},
    "required": ["label"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "name": "t", "parameters": SCHEMA}


def service(clock: ManualClock | None = None, **settings: Any) -> Service:
    settings = {"latency_scale": 0} | settings
    return Service(StandInSettings(**settings), clock or ManualClock())


async def ask(served: Service, authorization: str = "", **body: Any) -> Reply:
    body = {"model": "gpt-5.4-nano", "input": "hello"} | body
    return await served.serve(responses_api, orjson.dumps(body), authorization)


async def chat(served: Service, **body: Any) -> Reply:
    body = {"model": "gpt-5.4-nano", "messages": [{"role": "user", "content": "hello"}]} | body
    return await served.serve(chat_api, orjson.dumps(body), "")


def error(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(reply.body)["error"]
    return found


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"stream": True}, "stream"),
        ({"colour": "red"}, "colour"),
        ({"model": None}, "model"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "t", "arguments": "{}"}]}, "input"),
        ({"max_output_tokens": 8}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": 0.2, "reasoning": {"effort": "low"}}, "temperature"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [TOOL | {"parameters": {"type": "object", "properties": {}}}]}, "tools[0].parameters"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "u"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "strict": True, "schema": {"type": "object"}}}},
            "text.format.schema",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
async def test_a_request_against_the_rules_is_refused_with_its_parameter(body: dict[str, Any], param: str) -> None:
    reply = await ask(service(), **body)
    assert reply.status == 400
    assert error(reply)["type"] == "invalid_request_error"
    assert error(reply)["param"] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"n": 2}, "n"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"reasoning_effort": "low", "tools": [{"type": "function", "function": {"name": "t"}}]}, "reasoning_effort"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
async def test_chat_completions_has_rules_of_its_own(body: dict[str, Any], param: str) -> None:
    reply = await chat(service(), **body)
    assert reply.status == 400
    assert error(reply)["param"] == param


async def test_what_the_rules_allow_is_answered() -> None:
    served = service()
    tools: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "reasoning": {"effort": "low"}}
    json_object = {
        "messages": [{"role": "user", "content": "say it in JSON"}],
        "response_format": {"type": "json_object"},
    }
    for reply in (
        await ask(served, temperature=0, store=False, metadata={"a": "b"}, service_tier="auto", prompt_cache_key="k"),
        await ask(served, **tools),
        await chat(served, **json_object, max_tokens=64),
    ):
        assert reply.status == 200, reply.body
    assert isinstance(orjson.loads(orjson.loads(reply.body)["choices"][0]["message"]["content"]), dict)


async def test_garbage_is_no_request() -> None:
    reply = await service().serve(responses_api, b"\xff[", "")
    assert reply.status == 400
    assert "could not parse the JSON body" in error(reply)["message"]


async def test_the_key_is_asked_for_where_there_is_one() -> None:
    served = service(key="sk-right")
    assert (await ask(served)).status == 401
    assert (await ask(served, "Bearer sk-wrong")).status == 401
    assert (await ask(served, "Bearer sk-right")).status == 200
    assert served.models("").status == 401


async def test_limits_are_enforced_per_model_and_told_in_headers() -> None:
    served = service(requests_per_minute=60)
    assert (await ask(served)).status == 200
    refused = await ask(served)
    assert refused.status == 429
    assert error(refused)["code"] == "rate_limit_exceeded"
    assert refused.headers["retry-after-ms"] == "1000"
    assert refused.headers["x-ratelimit-limit-requests"] == "60"
    assert (await ask(served, model="gpt-5.4-mini")).status == 200
    assert served.report()["models"]["gpt-5.4-nano"]["refused"] == 1


async def test_a_refused_request_costs_nothing_and_a_cached_prefix_little() -> None:
    served = service()
    await ask(served, input="x" * 100, max_output_tokens=1)
    assert served.report()["usd"] == 0
    usages = [
        orjson.loads((await ask(served, instructions="Many words of advice. " * 400, input=text)).body)["usage"]
        for text in ("one", "two")
    ]
    assert [usage["input_tokens_details"]["cached_tokens"] > 1_024 for usage in usages] == [False, True]
    report = served.report()["models"]["gpt-5.4-nano"]
    assert report["calls"] == 2
    assert report["cached_tokens"] == usages[1]["input_tokens_details"]["cached_tokens"]


async def test_reasoning_is_billed_as_output_and_may_use_up_the_bound() -> None:
    thinking = orjson.loads((await ask(service(), reasoning={"effort": "low"})).body)["usage"]
    assert thinking["output_tokens_details"]["reasoning_tokens"] == 100
    assert thinking["output_tokens"] > 100
    cut = orjson.loads((await ask(service(), reasoning={"effort": "low"}, max_output_tokens=50)).body)
    assert cut["status"] == "incomplete"
    assert cut["usage"]["output_tokens"] == 50


async def test_flex_is_half_the_price_and_sometimes_has_no_room_for_free() -> None:
    plain, cheap, full = service(), service(flex_unavailable=0), service(flex_unavailable=1)
    await ask(plain)
    reply = await ask(cheap, service_tier="flex")
    assert orjson.loads(reply.body)["service_tier"] == "flex"
    assert cheap.report()["usd"] == pytest.approx(plain.report()["usd"] / 2, abs=1e-6)
    refused = await ask(full, service_tier="flex")
    assert refused.status == 429
    assert "Resource Unavailable" in error(refused)["message"]
    assert refused.headers["x-ratelimit-remaining-requests"] == refused.headers["x-ratelimit-limit-requests"]
    assert full.report()["usd"] == 0


async def test_an_answer_takes_its_time_scaled_and_the_first_use_of_a_schema_more() -> None:
    async def seconds(format_: dict[str, Any] | None, uses: int) -> float:
        clock = ManualClock()
        served = service(clock, latency_scale=1)
        text: dict[str, Any] = {"text": {"format": format_}} if format_ else {}
        for _ in range(uses):
            started = clock.time()
            waiting = asyncio.ensure_future(ask(served, **text))
            while not waiting.done():
                await clock.advance(0.01)
        return clock.time() - started

    schema = {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}
    assert 0.05 < await seconds(None, 1) < 1
    assert await seconds(schema, 1) > 1
    assert await seconds(schema, 2) < 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(kind="server_error", status=500), 500),
        (Fault(kind="account_spent"), 429),
        (Fault(kind="slow_down"), 429),
        (Fault(kind="rate_limited"), 429),
        (Fault(kind="flex_unavailable"), 429),
        (Fault(kind="wrong_key"), 401),
        (Fault(kind="garbage_body"), 200),
        (Fault(kind="garbage_text"), 200),
    ],
)
async def test_faults_strike_and_are_counted(fault: Fault, status: int) -> None:
    served = service()
    served.faults.add(fault)
    reply = await ask(served)
    assert reply.status == status
    assert served.report()["faults"] == {fault.kind: 1}
    if fault.kind == "garbage_body":
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(reply.body)


async def test_a_slow_call_waits_on_the_clock() -> None:
    clock = ManualClock()
    served = service(clock)
    served.faults.add(Fault(kind="slow", seconds=30))
    waiting = asyncio.ensure_future(ask(served))
    await clock.advance(29)
    assert not waiting.done()
    await clock.advance(2)
    assert (await waiting).status == 200


async def test_concurrency_and_match_rate_are_reported(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_bytes(b'{"payload":{"line":"disk died"},"label":"a"}\n')
    clock = ManualClock()
    served = service(clock, gold=(gold,), latency_scale=1)
    format_ = {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}
    calls = [
        asyncio.ensure_future(ask(served, input=text, text={"format": format_})) for text in ("disk died", "what else")
    ]
    while not all(one.done() for one in calls):
        await clock.advance(1)
        await asyncio.to_thread(int)  # the text model looks at gold in a thread
    report = served.report()
    assert report["concurrency_max"] == 2
    assert report["match_rate"] == 0.5
    assert report["messages_by_match"] == {"exact": 1, "unknown": 1}
    assert report["simulated"] is True
    assert report["errors"]["hash"]


@pytest.fixture
async def running() -> AsyncIterator[tuple[StandIn, aiohttp.ClientSession]]:
    async with StandIn(StandInSettings(latency_scale=0)) as standin, aiohttp.ClientSession() as session:
        yield standin, session


async def test_every_page_says_that_it_is_simulated(running: tuple[StandIn, aiohttp.ClientSession]) -> None:
    standin, session = running
    root = standin.base_url.removesuffix("/v1")
    async with session.get(root + "/") as page:
        assert "simulated" in await page.text()
        assert page.headers["x-sluice-simulated"] == "true"
    async with session.post(standin.base_url + "/responses", json={"model": "gpt-5.4", "input": "x"}) as reply:
        assert reply.headers["x-sluice-simulated"] == "true"
        assert (await reply.json())["simulated"] is True
    async with session.get(root + "/_standin/stats") as stats:
        assert (await stats.json())["calls"] == 1


async def test_faults_can_be_set_over_http(running: tuple[StandIn, aiohttp.ClientSession]) -> None:
    standin, session = running
    faults = standin.base_url.removesuffix("/v1") + "/_standin/faults"

    async def status() -> int:
        async with session.post(standin.base_url + "/responses", json={"model": "gpt-5.4", "input": "x"}) as reply:
            return reply.status

    async with session.post(faults, json={"kind": "server_error", "status": 502}) as added:
        assert added.status == 200
    assert await status() == 502
    async with session.delete(faults):
        pass
    assert await status() == 200
    async with session.post(faults, json={"kind": "fire"}) as refused:
        assert refused.status == 400
        assert "use one of timeout" in (await refused.json())["error"]["message"]


async def test_a_taken_port_is_an_error(running: tuple[StandIn, aiohttp.ClientSession]) -> None:
    port = int(running[0].base_url.split(":")[2].removesuffix("/v1"))
    with pytest.raises(OSError, match="address already in use"):
        async with StandIn(StandInSettings(port=port)):
            pass
