"""`POST /v1/responses`: from its JSON to a Call, and from an answer to its JSON."""

from typing import Any

from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from local.standin import api_rules as rules
from local.standin.billing import Outcome
from local.standin.calls import Answer, Call, Said, ToolCall, ToolOutput, Turn
from local.standin.logprobs import check, tokens
from local.standin.problems import Problem, invalid

PATH = "/v1/responses"
_KNOWN = frozenset(ResponseCreateParamsNonStreaming.__annotations__)


def parse(body: dict[str, Any]) -> Call:
    """Raises Problem where the request breaks a rule of the API."""
    rules.check_parameters(body, _KNOWN)
    for name in ("previous_response_id", "conversation", "prompt"):
        if body.get(name):
            raise Problem(
                400,
                f"'{name}': this simulated provider keeps nothing; send the whole input.",
                type="invalid_request_error",
                code="previous_response_not_found" if name == "previous_response_id" else "unsupported_value",
                param=name,
            )
    instructions, turns = _read_input(body)
    effort = (body.get("reasoning") or {}).get("effort") or "none"
    rules.check_sampling(body, effort, "reasoning.effort")
    check(_wants_logprobs(body), effort, "include")
    tools = rules.read_tools(body.get("tools"), nested=False, strict_by_default=True)
    format_ = rules.read_format(
        (body.get("text") or {}).get("format"),
        (instructions, *(turn.text for turn in turns if isinstance(turn, Said))),
        nested=False,
        param="text.format",
    )
    return Call(
        model=body["model"],
        system=instructions,
        turns=turns,
        tools=tools,
        tool_choice=rules.read_tool_choice(body.get("tool_choice"), tools),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        format=format_,
        max_output_tokens=rules.output_bound(body, ("max_output_tokens",)),
        effort=effort,
        service_tier=rules.lane(body),
        cache_key=body.get("prompt_cache_key") or "",
        segments=rules.prompt_segments(body.get("tools"), format_, instructions, turns),
    )


def _read_input(body: dict[str, Any]) -> tuple[str, list[Turn]]:
    """(instructions with system messages, the turns)."""
    given = body.get("input")
    system = [body["instructions"]] if body.get("instructions") else []
    if isinstance(given, str):
        return "\n\n".join(system), [Said("user", given)]
    if not isinstance(given, list) or not given:
        raise invalid("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    turns: list[Turn] = []
    for index, item in enumerate(given):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise invalid(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
        match item.get("type", "message"), item.get("role"):
            case "message", "system" | "developer":
                system.append(rules.content_text(item.get("content"), where))
            case "message", "user" | "assistant" as role:
                turns.append(Said(role, rules.content_text(item.get("content"), where)))
            case "function_call", _:
                turns.append(ToolCall(str(item.get("call_id")), str(item.get("name")), str(item.get("arguments"))))
            case "function_call_output", _:
                turns.append(ToolOutput(str(item.get("call_id")), rules.content_text(item.get("output"), where)))
            case "reasoning", _:
                pass
            case kind, role:
                raise invalid(
                    f"Invalid value: '{role if kind == 'message' else kind}'.", param=where, code="invalid_value"
                )
    rules.check_tool_outputs(turns, "input")
    return "\n\n".join(system), turns


def render(body: dict[str, Any], answer: Answer, outcome: Outcome, call_id: str, now: float) -> dict[str, Any]:
    """The Response object."""
    status = "completed" if outcome.complete else "incomplete"
    usage = outcome.usage
    return {
        "id": f"resp_{call_id}",
        "object": "response",
        "created_at": int(now),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None if outcome.complete else {"reason": "max_output_tokens"},
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": _output(answer, outcome.text, status, call_id, logprobs=_wants_logprobs(body)),
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": (body.get("reasoning") or {}).get("effort") or "none", "summary": None},
        "service_tier": outcome.service_tier,
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        },
        "user": None,
        "metadata": body.get("metadata") or {},
        "simulated": True,
    }


def _wants_logprobs(body: dict[str, Any]) -> bool:
    return "message.output_text.logprobs" in (body.get("include") or ())


def _output(answer: Answer, text: str, status: str, call_id: str, *, logprobs: bool) -> list[dict[str, Any]]:
    if answer.tool_calls:
        return [
            {
                "id": f"fc_{call_id}{index}",
                "type": "function_call",
                "status": status,
                "call_id": made.call_id,
                "name": made.name,
                "arguments": made.arguments,
            }
            for index, made in enumerate(answer.tool_calls)
        ]
    told = tokens(text) if logprobs else []
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": told}
    if answer.refusal is not None:
        part = {"type": "refusal", "refusal": answer.refusal}
    return [{"id": f"msg_{call_id}", "type": "message", "status": status, "role": "assistant", "content": [part]}]
