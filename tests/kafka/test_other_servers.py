"""`OPENAI_BASE_URL` with `OPENAI_API=chat` at servers that know less than OpenAI's: all three tiers work there.

The servers stand before the stand-in provider, which does the thinking: each takes away what its kind lacks. What a
server that knows no schemas is asked in words, it puts to the stand-in as the schema that the words hold.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from local.kafka import HOST
from processors.clock import SystemClock
from streams import pipeline
from streams.settings import Runtime
from tests.kafka import pipelines
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import until
from topics.catalog import ESCALATIONS_FLAGSHIP, RESOLUTIONS, SPEND

Json = dict[str, Any]

_OLD = {"model", "messages", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stream", "stop", "seed"}
_WORDS = "JSON Schema:\n"


class ChatServer:
    """Knows Chat Completions with strict schemas and no other path. Tells no rate limits and wants no key."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.keys: set[str | None] = set()  # Authorization headers that came
        self.answered = 0
        self.refused = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Gives the base URL."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, 0).start()
            yield f"http://{HOST}:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("Authorization"))
        answer = await self.answer(await request.json())
        if isinstance(answer, str):
            self.refused += 1
            return web.json_response({"error": {"message": answer, "type": "invalid_request_error"}}, status=400)
        self.answered += 1
        return web.json_response(answer)

    async def answer(self, body: Json) -> Json | str:
        """A completion, or the words of a refusal with 400."""
        return await self.think(body)

    async def think(self, body: Json) -> Json:
        """The stand-in's answer."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {pipelines.KEY}"}) as session,
            session.post(f"{self._upstream}/chat/completions", json=body) as reply,
        ):
            assert reply.status == 200, await reply.text()
            answer: Json = await reply.json()
            return answer


class OldServer(ChatServer):
    """Refuses json_schema and every parameter that came to the API late; promises JSON where that is asked for."""

    async def answer(self, body: Json) -> Json | str:
        if unknown := sorted(body.keys() - _OLD - {"response_format"}):
            return f"Unrecognized request argument supplied: {unknown[0]}"
        kind = body.get("response_format", {}).get("type")
        if kind == "json_schema":
            return "response_format 'json_schema' is not supported by this server; use 'json_object' or 'text'"
        return await self.think(_with_schema_of_words(body))


class ChattySmallServer(ChatServer):
    """Takes every parameter, heeds no response_format, wraps its JSON in prose and a code fence, and tells no usage."""

    async def answer(self, body: Json) -> Json | str:
        asked = _with_schema_of_words(body)
        answer = await self.think(asked)
        message = answer["choices"][0]["message"]
        if "response_format" not in asked and not message.get("tool_calls"):
            message["content"] = "Happy to help! I had a look, and all of it seems to be in order."
        elif message.get("content"):
            message["content"] = f"Sure, here it is:\n\n```json\n{message['content']}\n```\n\nAnything else?"
        del answer["usage"]
        return answer


def _with_schema_of_words(body: Json) -> Json:
    """The request with the schema that its words hold as its response_format; without one where they hold none."""
    bare = {name: value for name, value in body.items() if name != "response_format"}
    before, words, schema = str(bare["messages"][0]["content"]).rpartition(_WORDS)
    if not words:
        return bare
    format_ = {"name": "answer", "schema": orjson.loads(schema), "strict": True}
    first = bare["messages"][0] | {"content": before}
    return bare | {
        "messages": [first, *bare["messages"][1:]],
        "response_format": {"type": "json_schema", "json_schema": format_},
    }


@contextlib.asynccontextmanager
async def running(bus: Bus, base_url: str, **env: str) -> AsyncIterator[None]:
    """All that asks models, at a server of which nothing is said but its address and its Chat Completions."""
    stop, ready = asyncio.Event(), asyncio.Event()
    outside = {"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers, "OPENAI_BASE_URL": base_url, "OPENAI_API": "chat"}
    task = asyncio.create_task(
        pipeline.run(
            pipelines.policy(bus),
            ("triage", "mini", "flagship"),
            runtime=Runtime(http_port=0),
            env=outside | env,
            clock=SystemClock(),
            rng=random.Random(1),
            stop=stop,
            on_ready=ready.set,
        )
    )
    try:
        await until(lambda: ready.is_set() or task.done(), "the pipeline's start")
        yield
    finally:
        stop.set()
        await task


@pytest.mark.parametrize(("kind", "refused"), [(ChatServer, False), (OldServer, True), (ChattySmallServer, False)])
async def test_all_three_tiers_work(bus: Bus, kind: type[ChatServer], refused: bool) -> None:
    await pipelines.topics(bus)
    lines = [Send(b"queue of worker %d is long" % number) for number in range(8)]
    climbing = Send(b"disk failure on node 7: an operator must see it now")
    to_the_top = Send(b"disk failure on node 8", headers=(("sluice-escalate", b"flagship"),))
    await bus.produce(bus.prefix + "logs", [*lines, climbing, to_the_top])
    async with pipelines.stand_in() as provider:
        server = kind(provider.base_url)
        async with server.serve() as base_url, running(bus, base_url):

            async def resolved() -> bool:
                return len(await bus.values(bus.names.topic(RESOLUTIONS))) >= 2

            await until(resolved, "two resolutions")
    decisions = await pipelines.decisions(bus)
    assert len(decisions) == 10
    assert {decision["decided_by"] for decision in decisions.values()} <= {"nano", "memory"}
    assert sum(decision["label"] == "alert" for decision in decisions.values()) == 2
    assert await pipelines.dead_letters(bus) == {}
    ended = {resolution["tier"]: resolution for resolution in await pipelines.read(bus, RESOLUTIONS)}
    assert {tier: resolution["status"] for tier, resolution in ended.items()} == {
        "mini": "resolved",
        "flagship": "resolved",
    }
    assert ended["mini"]["tool_calls"] > 0
    assert ended["flagship"]["plan"]
    assert all(task["status"] == "done" for task in ended["flagship"]["plan"])
    assert len(await pipelines.read(bus, ESCALATIONS_FLAGSHIP)) == 1
    assert server.keys == {None}, "without a key none is sent"
    assert (0 < server.refused < 8) == refused, "what a server does not know is found out once, not at every call"
    spent = await pipelines.read(bus, SPEND)
    assert {record["tier"] for record in spent} == {"nano", "mini", "flagship"}
    assert sum(record["status"] == 200 for record in spent) == server.answered


async def test_a_key_is_sent_where_there_is_one(bus: Bus) -> None:
    await pipelines.topics(bus)
    await bus.produce(bus.prefix + "logs", [b"queue of worker 1 is long"])
    async with pipelines.stand_in() as provider:
        server = ChatServer(provider.base_url)
        async with server.serve() as base_url, running(bus, base_url, OPENAI_API_KEY="sk-house"):

            async def decided() -> bool:
                return len(await pipelines.decisions(bus)) == 1

            await until(decided, "the decision")
    assert server.keys == {"Bearer sk-house"}
