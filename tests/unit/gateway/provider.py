"""A provider for tests: a real HTTP server on localhost that answers from a script, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import orjson
from aiohttp import web

from processors.asking import Ask
from processors.clock import Clock, SystemClock
from processors.gateway.batch_lane import Pace
from processors.gateway.gateway import Gateway
from processors.policy import Policy
from topics.messages import Spend

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}},
    "required": ["label"],
    "additionalProperties": False,
}
FREE = {"input": 0, "cached": 0, "output": 0, "as_of": "2026-11-22"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider does with one request."""

    status: int = 200
    body: Any = None  # bytes go out as they are
    headers: Mapping[str, str] = field(default_factory=dict)
    after: asyncio.Event | None = None  # answers once it is set
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


def response(
    text: str = '{"label":"a"}', *, usage: tuple[int, int, int] = (100, 40, 10), **more: Any
) -> dict[str, Any]:
    """A Responses reply."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-5.4-nano-2026-03-17",
        "service_tier": "default",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        ],
        "usage": {
            "input_tokens": usage[0],
            "input_tokens_details": {"cached_tokens": usage[1]},
            "output_tokens": usage[2],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage[0] + usage[2],
        },
    } | more


def completion(text: str = '{"label":"a"}', *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A Chat Completions reply."""
    return {
        "id": "chat_1",
        "object": "chat.completion",
        "created": 1,
        "model": "house-1",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text} | message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def error(status: int, code: str = "", *, headers: Mapping[str, str] | None = None, **more: str) -> Answer:
    return Answer(status, {"error": {"message": f"said {code}", "type": code, "code": code} | more}, headers or {})


Script = Sequence[Answer] | Callable[[Request], Answer]


class Provider:
    """Answers in the script's order, its last answer for ever; or as a function of the request."""

    def __init__(self, script: Script | None = None) -> None:
        self.requests: list[Request] = []
        self.asked = asyncio.Event()  # once a request is here
        self.base_url = ""
        self._script = script or [Answer(body=response())]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        seen = Request(request.path, dict(request.headers), orjson.loads(await request.read()))
        self.requests.append(seen)
        self.asked.set()
        if callable(self._script):
            answer = self._script(seen)
        else:
            answer = self._script[min(len(self.requests), len(self._script)) - 1]
        if answer.after is not None:
            await answer.after.wait()
        if answer.hang_up:
            assert request.transport is not None
            request.transport.close()
        body = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        return web.Response(status=answer.status, body=body, headers=answer.headers)


def policy(base_url: str, **more: Any) -> Policy:
    labels = {"a": {"means": "one"}, "b": {"means": "two"}}
    data: dict[str, Any] = {
        "providers": {"openai": {"base_url": base_url}},
        "streams": {"logs": {"kind": "log", "topics": ["t"], "labels": labels}},
    }
    return Policy.model_validate(data | more)


def budgeted(usd_per_hour: float) -> dict[str, Any]:
    labels = {"a": {"means": "one"}, "b": {"means": "two"}}
    stream = {"kind": "log", "topics": ["t"], "labels": labels, "budget": {"usd_per_hour": usd_per_hour}}
    return {"streams": {"logs": stream}}


def ask(text: str = "a line", **more: Any) -> Ask:
    asked: dict[str, Any] = {
        "tier": "nano",
        "stream": "logs",
        "tenant": "acme",
        "purpose": "triage",
        "instructions": "Classify.",
        "input": text,
        "schema_name": "verdict",
        "schema": SCHEMA,
        "max_output_tokens": 50,
    }
    return Ask(**(asked | more))


def laned(server: Serving, *lanes: str) -> dict[str, Any]:
    """The policy's words for a server with these lanes."""
    return {"providers": {"openai": {"base_url": server.base_url, "lanes": list(lanes)}}}


class Serving(Protocol):
    """A server that is up."""

    @property
    def base_url(self) -> str: ...


def gateway(
    provider: Serving,
    spends: list[Spend],
    *,
    clock: Clock | None = None,
    env: Mapping[str, str] | None = None,
    call_seconds: float = 5.0,
    pace: Pace | None = None,
    seed: int = 7,
    **more: Any,
) -> Gateway:
    return Gateway(
        policy(provider.base_url, **more),
        env={"OPENAI_API_KEY": "sk-test-secret"} if env is None else env,
        clock=clock or SystemClock(),
        rng=random.Random(seed),
        on_spend=spends.append,
        call_seconds=call_seconds,
        pace=pace or Pace(),
    )
