"""`POST /v1/chat/completions`: from its JSON to a Call, and from an answer to its JSON.

It also stands in for servers that are not OpenAI's: `max_tokens` is taken as well as `max_completion_tokens`.
"""

from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from local.standin import api_rules as rules
from local.standin.billing import Outcome
from local.standin.calls import Answer, Call, Said, ToolCall, ToolOutput, Turn
from local.standin.logprobs import check, tokens
from local.standin.problems import invalid

PATH = "/v1/chat/completions"
_ROLES = ("system", "developer", "user", "assistant", "tool")
_KNOWN = frozenset(CompletionCreateParamsNonStreaming.__annotations__)


def parse(body: dict[str, Any]) -> Call:
    """Raises Problem where the request breaks a rule of the API."""
    rules.check_parameters(body, _KNOWN)
    if body.get("n") not in (None, 1):
        raise invalid("'n': this simulated provider gives one choice.", param="n", code="unsupported_value")
    system, turns = _read_messages(body)
    effort = body.get("reasoning_effort") or "none"
    rules.check_sampling(body, effort, "reasoning_effort")
    check(bool(body.get("logprobs")), effort, "logprobs")
    tools = rules.read_tools(body.get("tools"), nested=True, strict_by_default=False)
    if tools and effort != "none":
        raise invalid(
            f"Function tools with reasoning_effort '{effort}' are not supported in /v1/chat/completions. "
            "Use /v1/responses, or set reasoning_effort to 'none'.",
            param="reasoning_effort",
            code="unsupported_value",
        )
    if "parallel_tool_calls" in body and not tools:
        raise invalid("'parallel_tool_calls' is only allowed when 'tools' are specified.", param="parallel_tool_calls")
    format_ = rules.read_format(
        body.get("response_format"),
        (system, *(turn.text for turn in turns if isinstance(turn, Said))),
        nested=True,
        param="response_format",
    )
    return Call(
        model=body["model"],
        system=system,
        turns=turns,
        tools=tools,
        tool_choice=rules.read_tool_choice(body.get("tool_choice"), tools),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        format=format_,
        max_output_tokens=rules.output_bound(body, ("max_completion_tokens", "max_tokens")),
        effort=effort,
        service_tier=rules.lane(body),
        cache_key=body.get("prompt_cache_key") or "",
        segments=rules.prompt_segments(body.get("tools"), format_, system, turns),
    )


def _read_messages(body: dict[str, Any]) -> tuple[str, list[Turn]]:
    """(system messages, the turns)."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise invalid(
                f"Invalid value: '{role}'. Supported values are: {', '.join(_ROLES)}.",
                param=f"{where}.role",
                code="invalid_value",
            )
        text = rules.content_text(message.get("content"), where)
        match role:
            case "user":
                turns.append(Said("user", text))
            case "assistant":
                if text:
                    turns.append(Said("assistant", text))
                turns.extend(_tool_call(made) for made in message.get("tool_calls") or ())
            case "tool":
                turns.append(ToolOutput(str(message.get("tool_call_id")), text))
            case _:
                system.append(text)
    rules.check_tool_outputs(turns, "messages")
    return "\n\n".join(system), turns


def _tool_call(made: dict[str, Any]) -> ToolCall:
    function = made.get("function") or {}
    return ToolCall(str(made.get("id")), str(function.get("name")), str(function.get("arguments")))


def render(body: dict[str, Any], answer: Answer, outcome: Outcome, call_id: str, now: float) -> dict[str, Any]:
    """The ChatCompletion object."""
    usage = outcome.usage
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.tool_calls or answer.refusal is not None else outcome.text,
        "refusal": answer.refusal,
        "annotations": [],
    }
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": made.call_id, "type": "function", "function": {"name": made.name, "arguments": made.arguments}}
            for made in answer.tool_calls
        ]
    told = {"content": tokens(outcome.text), "refusal": None} if body.get("logprobs") and message["content"] else None
    finish = "length" if not outcome.complete else "tool_calls" if answer.tool_calls else "stop"
    return {
        "id": f"chatcmpl-{call_id}",
        "object": "chat.completion",
        "created": int(now),
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": told, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
            "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": outcome.service_tier,
        "system_fingerprint": "fp_simulated",
        "simulated": True,
    }
