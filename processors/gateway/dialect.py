"""What one server knows of OpenAI's API, and how a request is put to a server that knows less.

Requests are written in full and rewritten here, so that the `openai` SDK's own requests are put right as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from processors.gateway.refusals import Complaint

Api = Literal["responses", "chat", "decisions"]
Json = dict[str, Any]

# What a request may do without: dropped for a server that complains of it.
_OPTIONAL = (
    "reasoning",
    "reasoning_effort",
    "prompt_cache_key",
    "store",
    "service_tier",
    "include",
    "logprobs",
    "metadata",
    "parallel_tool_calls",
)
_SCHEMA_WORDS = ("response_format", "json_schema", "json_object", "text.format", "strict", "structured output")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which API a server speaks and what of it."""

    api: Api
    schemas: Literal["strict", "json", "none"] = "strict"
    vendor: bool = False  # OpenAI's own host: takes everything, so that a complaint is about the request itself
    without: frozenset[str] = frozenset()  # parameters it does not know
    chat_bound: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # the older name is known more widely
    proven: bool = False  # has answered a strict schema as it should: what does not fit later is the model's fault
    doubted: bool = False  # has answered one otherwise

    def lesser(self, complaint: Complaint, request: Json) -> "Dialect | None":
        """The dialect for a server that refused `request` with this complaint; None where the complaint is of another
        kind. Each step drops something, so it ends."""
        if self.vendor:
            return None
        words = f"{complaint.param} {complaint.message}".lower()
        if "messages" in request and self.chat_bound == "max_tokens" and "max_completion_tokens" in words:
            return replace(self, chat_bound="max_completion_tokens")
        for name in _OPTIONAL:
            if name in request and name in words and name not in self.without:
                return replace(self, without=self.without | {name})
        if _asks_schema(request) and any(word in words for word in _SCHEMA_WORDS):
            return self.unenforced()
        return None

    def unenforced(self) -> "Dialect | None":
        """The next lower enforcement of schemas; None where there is none."""
        match self.schemas:
            case "strict":
                return replace(self, schemas="json")
            case "json":
                return replace(self, schemas="none")
            case "none":
                return None


def schema_of(request: Json) -> Mapping[str, Any] | None:
    """The schema that a request asks its answer to fit."""
    format_ = (request.get("text") or {}).get("format") or request.get("response_format") or {}
    if format_.get("type") != "json_schema":
        return None
    schema: Mapping[str, Any] = format_.get("schema") or format_["json_schema"]["schema"]
    return schema


def adapt(request: Json, dialect: Dialect) -> Json:
    """The request as the server understands it. The argument is not changed."""
    chat = "messages" in request
    adapted = {name: value for name, value in request.items() if name not in dialect.without}
    if chat:
        for name in ("max_tokens", "max_completion_tokens"):
            if name in adapted:
                adapted[dialect.chat_bound] = adapted.pop(name)
    if dialect.schemas == "strict":
        return adapted
    if tools := adapted.get("tools"):
        adapted["tools"] = [_unstrict(tool) for tool in tools]
    schema = schema_of(request)
    return adapted if schema is None else _with_schema_in_prompt(adapted, schema, chat, dialect)


def _with_schema_in_prompt(adapted: Json, schema: Mapping[str, Any], chat: bool, dialect: Dialect) -> Json:
    # Beside tools, a server that enforces "any JSON object" may be unable to call them.
    any_object = {"type": "json_object"} if dialect.schemas == "json" and not adapted.get("tools") else None
    order = (
        "Answer with one JSON object and nothing else: no prose, no code fence. It must fit this JSON Schema:\n"
        + orjson.dumps(schema).decode()
    )
    if chat:
        adapted.pop("response_format", None)
        if any_object:
            adapted["response_format"] = any_object
        first, *rest = adapted["messages"]
        if first.get("role") in ("system", "developer") and isinstance(first.get("content"), str):
            adapted["messages"] = [first | {"content": f"{first['content']}\n\n{order}"}, *rest]
        else:
            adapted["messages"] = [{"role": "system", "content": order}, first, *rest]
    else:
        adapted["text"] = {"format": any_object or {"type": "text"}}
        adapted["instructions"] = f"{adapted.get('instructions') or ''}\n\n{order}".lstrip()
    return adapted


def _unstrict(tool: Json) -> Json:
    """A tool without the promise that its arguments fit."""
    bare = {name: value for name, value in tool.items() if name != "strict"}
    return bare | {"function": _unstrict(bare["function"])} if "function" in bare else bare


def _asks_schema(request: Json) -> bool:
    return "response_format" in request or "format" in (request.get("text") or {})
