"""The bodies of OpenAI's APIs: writing a question in full, and reading what came back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from json import JSONDecodeError, JSONDecoder
from typing import Any, TypedDict

import orjson

from processors.asking import Ask
from processors.gateway import decisions
from processors.gateway.dialect import Api, Json
from processors.gateway.logprobs import sure
from topics.limits import OUTPUT_TOKENS_DEFAULT
from topics.messages import Lane, Tokens

PATHS: dict[str, Api] = {"/responses": "responses", "/chat/completions": "chat", "/decisions": "decisions"}
_BOUNDS: dict[Api, tuple[str, ...]] = {
    "responses": ("max_output_tokens",),
    "chat": ("max_completion_tokens", "max_tokens"),
    "decisions": (),  # answers are no output
}


def path_of(api: Api) -> str:
    return next(path for path, known in PATHS.items() if known == api)


def write(ask: Ask, model: str, api: Api, vendor: bool, lane: Lane = "realtime", *, logprobs: bool = False) -> Json:
    """The request for an Ask. `vendor`: OpenAI's own host, where the service tier decides the price. `logprobs`: of the
    answer's tokens are wanted.

    Raises RequestRefused for what the API cannot be asked.
    """
    if api == "decisions":
        return decisions.write(ask, model)
    request: Json
    schema = {"name": ask.schema_name, "schema": ask.schema, "strict": True}
    if api == "responses":
        request = {
            "model": model,
            "instructions": ask.instructions,
            "input": ask.input,
            "text": {"format": {"type": "json_schema", **schema}},
            "max_output_tokens": ask.max_output_tokens,
            "reasoning": {"effort": "none"},
            "store": False,
        }
        if logprobs:
            request["include"] = ["message.output_text.logprobs"]
    else:
        request = {
            "model": model,
            "messages": [
                {"role": "system", "content": ask.instructions},
                {"role": "user", "content": ask.input},
            ],
            "response_format": {"type": "json_schema", "json_schema": schema},
            "max_completion_tokens": ask.max_output_tokens,
        }
        if vendor:
            request["reasoning_effort"] = "none"
        if logprobs:
            request["logprobs"] = True
    if lane == "flex":
        request["service_tier"] = "flex"
    elif vendor and lane == "realtime":
        request["service_tier"] = "default"
    if ask.cache_key is not None:
        request["prompt_cache_key"] = ask.cache_key
    return request


def bound_output(request: Json, api: Api) -> int:
    """The most output tokens that the request allows. One that names no bound gets OUTPUT_TOKENS_DEFAULT."""
    names = _BOUNDS[api]
    if not names:
        return 0
    bound = next((request[name] for name in names if isinstance(request.get(name), int)), None)
    if bound is None:
        bound = request[names[0]] = OUTPUT_TOKENS_DEFAULT
    answers = request.get("n")  # Chat Completions: how many are wanted
    return int(bound) * (answers if isinstance(answers, int) else 1)


def fits(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether `text` is a JSON object with every key that the schema requires at its top."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and all(key in found for key in schema.get("required", ()))


@dataclass(frozen=True, slots=True)
class Reading:
    """A reply of any API."""

    text: str
    refusal: str | None  # the model's words, or that a filter stopped it
    complete: bool  # False: cut at the bound of output tokens
    calls_tools: bool
    tokens: Tokens | None  # None: the server tells no usage
    model: str | None
    service_tier: str | None
    simulated: bool  # it says of itself that no model gave it, as that of `sluice demo` does
    sure: Mapping[str, float] = field(default_factory=dict)  # key → probability of its label, where it tells one


def read(body: bytes, api: Api) -> Reading | None:
    """None where the body is no reply of that API, or says itself that the call failed."""
    try:
        return read_payload(orjson.loads(body), api)
    except orjson.JSONDecodeError:
        return None


def read_payload(payload: Any, api: Api) -> Reading | None:
    """As `read`, of a body that is parsed."""
    try:
        match api:
            case "responses":
                return _read_response(payload)
            case "chat":
                return _read_completion(payload)
            case "decisions":
                return _read_decision(payload)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return None


def _read_response(payload: Any) -> Reading | None:
    if payload.get("status") in ("failed", "cancelled"):
        return None
    parts = [part for item in payload["output"] if item["type"] == "message" for part in item["content"]]
    refusals = [part["refusal"] for part in parts if part["type"] == "refusal"]
    incomplete = payload.get("status") == "incomplete"
    if incomplete and (payload.get("incomplete_details") or {}).get("reason") == "content_filter":
        refusals.append("stopped by the provider's content filter")
    return Reading(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        refusal=" ".join(refusals) or None,
        complete=not incomplete,
        calls_tools=any(item["type"].endswith("_call") for item in payload["output"]),
        tokens=_tokens(payload.get("usage"), "input", "output"),
        model=payload.get("model"),
        service_tier=payload.get("service_tier"),
        simulated=payload.get("simulated") is True,
        sure=sure([token for part in parts for token in part.get("logprobs") or ()]),
    )


def _read_completion(payload: Any) -> Reading:
    choice = payload["choices"][0]
    message = choice["message"]
    finish = choice.get("finish_reason")
    filtered = "stopped by the provider's content filter" if finish == "content_filter" else None
    return Reading(
        text=message.get("content") or "",
        refusal=message.get("refusal") or filtered,
        complete=finish != "length",
        calls_tools=bool(message.get("tool_calls")),
        tokens=_tokens(payload.get("usage"), "prompt", "completion"),
        model=payload.get("model"),
        service_tier=payload.get("service_tier"),
        simulated=payload.get("simulated") is True,
        sure=sure((choice.get("logprobs") or {}).get("content") or ()),
    )


def _read_decision(payload: Any) -> Reading:
    text, probabilities, refusal = decisions.read(payload)
    tokens = _tokens(payload.get("usage"), "input", "output")
    return Reading(
        text=text,
        refusal=refusal,
        sure=probabilities,
        complete=True,
        calls_tools=False,
        tokens=None if tokens is None else replace(tokens, output=0),  # answers are not billed
        model=payload.get("model"),
        service_tier=None,
        simulated=payload.get("simulated") is True,
    )


def _tokens(usage: Any, input_: str, output: str) -> Tokens | None:
    if not usage:
        return None
    details = usage.get(f"{input_}_tokens_details") or {}
    return Tokens(
        input=int(usage[f"{input_}_tokens"]),
        cached=int(details.get("cached_tokens") or 0),
        output=int(usage[f"{output}_tokens"]),
    )


class Bare(TypedDict, total=False):
    """What changes of a reply."""

    body: bytes
    reading: Reading


def with_bare_json(body: bytes, reading: Reading, api: Api) -> Bare:
    """The reply's text cut down to the JSON object in it, for servers that wrap one in prose or a fence."""
    text = bare_json(reading.text)
    if text == reading.text:
        return {}
    payload = orjson.loads(body)
    if api == "responses":
        messages = [item for item in payload["output"] if item["type"] == "message"]
        messages[0]["content"] = [{"type": "output_text", "text": text, "annotations": []}]
        payload["output"] = [item for item in payload["output"] if item not in messages[1:]]
    else:
        payload["choices"][0]["message"]["content"] = text
    return {"body": orjson.dumps(payload), "reading": replace(reading, text=text)}


_FENCE = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)
_STARTS_MAX = 50  # braces that are tried as the beginning of the object
_decode = JSONDecoder().raw_decode


def bare_json(text: str) -> str:
    """The JSON object in `text`: alone, in a code fence, after a model's thoughts or amid prose. `text` where none is.

    Of several the longest counts: the others are examples or quotes.
    """
    text = text.rpartition("</think>")[2].strip()
    if text.startswith("{") and text.endswith("}"):
        return text
    if fenced := _FENCE.search(text):
        return fenced[1]
    best, end = "", 0
    for start in [match.start() for match in re.finditer(r"\{", text)][:_STARTS_MAX]:
        if start < end:
            continue  # inside an object that was read
        try:
            _, end = _decode(text, start)
        except (JSONDecodeError, RecursionError):
            continue
        best = max(best, text[start:end], key=len)
    return best or text
