"""Escalations, a policy and what a model may do in one turn, in either API."""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from processors.agents.recent import Recent
from processors.agents.recent_tools import Counts, Related
from processors.agents.resolver import Resolver
from processors.agents.tool import Tool
from processors.agents.toolbox import Toolbox
from processors.clock import SystemClock
from processors.gateway.gateway import Gateway
from processors.policy import Policy
from tests.unit.gateway.provider import Answer, Provider, Request, completion, response
from topics.messages import AgentTier, Escalation, Resolution, Source, Spend, Verdict

AT_MS = 1_800_000_000_000
API = Literal["responses", "chat"]

NANO = Verdict(
    tier="nano",
    label="routine",
    severity="info",
    confidence=0.4,
    priority=30,
    fields={"service": "billing"},
    summary="A retry.",
    model="gpt-5.4-nano",
)


def escalation(to: AgentTier = "mini", **settings: Any) -> Escalation:
    values: dict[str, Any] = {
        "id": "syslog/0/7",
        "source": Source("syslog", 0, 7, "host-1", AT_MS),
        "stream": "logs",
        "tenant": "acme",
        "kind": "log",
        "to": to,
        "reason": "confidence",
        "detail": "confidence 0.40 < 0.70",
        "text": "billing: disk failure on sda1",
        "truncated": False,
        "template": "billing: disk failure on <*>",
        "session": None,
        "verdicts": (NANO,),
        "policy_version": "abc",
        "escalated_at_ms": AT_MS,
        "deadline_ms": None,
    }
    return Escalation(**values | settings)


ROLES: dict[str, Literal["mini", "plan", "subtask", "judge"]] = {
    "You look closely": "mini",
    "You lead the work": "plan",
    "You find something out": "subtask",
    "You judge the hardest": "judge",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One request to the model, whatever the API."""

    role: Literal["mini", "plan", "subtask", "judge"]
    model: str
    instructions: str
    data: dict[str, Any]
    results: list[str]  # of tools so far
    tools: list[str]
    tool_choice: str | None
    asked_again: str | None  # why, where the last answer did not fit
    _chat: bool

    @classmethod
    def of(cls, request: Request) -> "Turn":
        body = request.body
        chat = request.path.endswith("/chat/completions")
        if chat:
            instructions, items = body["messages"][0]["content"], body["messages"][1:]
            results = [item["content"] for item in items if item["role"] == "tool"]
            tools = [tool["function"]["name"] for tool in body.get("tools", [])]
        else:
            instructions, items = body["instructions"], body["input"]
            results = [item["output"] for item in items if item.get("type") == "function_call_output"]
            tools = [tool["name"] for tool in body.get("tools", [])]
        said = [item["content"] for item in items if item.get("role") == "user"]
        return cls(
            role=next(role for opening, role in ROLES.items() if instructions.startswith(opening)),
            model=body["model"],
            instructions=instructions,
            data=orjson.loads(said[0]),
            results=results,
            tools=tools,
            tool_choice=body.get("tool_choice"),
            asked_again=said[1] if len(said) > 1 else None,
            _chat=chat,
        )

    def says(self, answer: Mapping[str, Any] | str) -> Answer:
        text = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        return Answer(body=completion(text) if self._chat else response(text))

    def calls(self, *calls: tuple[str, Mapping[str, Any] | str]) -> Answer:
        """Calls of tools; arguments as text go out as they are."""
        named = [
            (f"call_{len(self.results)}_{n}", name, a if isinstance(a, str) else orjson.dumps(a).decode())
            for n, (name, a) in enumerate(calls)
        ]
        if self._chat:
            tool_calls = [
                {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
                for id_, name, arguments in named
            ]
            return Answer(body=completion("", finish="tool_calls", tool_calls=tool_calls))
        output = [
            {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name, "arguments": arguments}
            | {"status": "completed"}
            for id_, name, arguments in named
        ]
        return Answer(body=response(output=output))

    def says_nothing(self) -> Answer:
        return Answer(body=completion("") if self._chat else response(output=[]))

    def refuses(self) -> Answer:
        if self._chat:
            return Answer(body=completion("", refusal="I would rather not"))
        message = response()["output"][0]
        return Answer(
            body=response(output=[message | {"content": [{"type": "refusal", "refusal": "I would rather not"}]}])
        )


def judgement(**settings: Any) -> dict[str, Any]:
    """As a mini agent ends; a flagship's has no decision, and an extra key does no harm."""
    return {
        "evidence": [{"tool": "counts", "finding": "9 in an hour"}],
        "summary": "The disk of billing fails.",
        "label": "alert",
        "severity": "critical",
        "priority": 95,
        "confidence": 0.97,
        "actions": ["Replace sda1"],
        "decision": "resolved",
    } | settings


RELATED = ("related", {"query": "disk", "limit": 5})
COUNTS = ("counts", {"like": "", "minutes": 60})


def policy(provider: Mapping[str, Any], limits: Mapping[str, Any], **settings: Any) -> Policy:
    prices = {"usd_per_million": {"input": 1.0, "cached": 0.0, "output": 10.0, "as_of": "2026-11-22"}}
    tiers = {tier: {"model": f"{tier}-1", "limits": dict(limits)} | prices for tier in ("mini", "flagship")}
    labels = {
        "routine": {"means": "Nobody needs to look"},
        "alert": {"means": "An operator must look now", "severity": "critical"},
    }
    logs = {"kind": "log", "topics": ["syslog"], "labels": labels} | settings
    return Policy.model_validate({"providers": {"openai": provider}, "tiers": tiers, "streams": {"logs": logs}})


@dataclass(slots=True)
class World:
    """A resolver with a model behind it, and what both did."""

    resolver: Resolver
    provider: Provider
    spends: list[Spend]

    @property
    def turns(self) -> list[Turn]:
        return [Turn.of(request) for request in self.provider.requests]

    async def resolution(self, to: AgentTier = "mini", **settings: Any) -> Resolution:
        ended = await self.resolver.resolve(escalation(to, **settings))
        assert isinstance(ended, Resolution)
        return ended


@asynccontextmanager
async def world(
    script: Callable[[Turn], Answer],
    tier: AgentTier = "mini",
    *,
    api: API = "responses",
    schemas: Literal["strict", "none"] = "strict",
    tools: Iterable[Tool] | None = None,
    recent: Recent | None = None,
    call_seconds: float = 5.0,
    stream: Mapping[str, Any] | None = None,
    **limits: Any,
) -> AsyncIterator[World]:
    """`limits`: of one escalation, as in the policy. `schemas`: what the model's server enforces."""
    clock = SystemClock()
    store = recent or Recent()
    spends: list[Spend] = []
    async with Provider(lambda request: script(Turn.of(request))) as provider:
        rules = policy({"base_url": provider.base_url, "schemas": schemas}, limits, **stream or {})
        async with Gateway(
            rules,
            env={"OPENAI_API_KEY": "sk-test", "OPENAI_API": api},
            clock=clock,
            rng=random.Random(7),
            on_spend=spends.append,
            call_seconds=call_seconds,
        ) as gateway:
            toolbox = Toolbox([Related(store), Counts(store, clock)] if tools is None else tools)
            resolver = Resolver(rules, tier, gateway, toolbox, clock=clock, rng=random.Random(8))
            yield World(resolver, provider, spends)
