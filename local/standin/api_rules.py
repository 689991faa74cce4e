"""Rules that both APIs share: parameters, tools, schemas, reasoning. Each raises Problem in OpenAI's words."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from local.standin.calls import JsonSchema, Said, Tool, ToolCall, ToolOutput, Turn
from local.standin.models import LANES
from local.standin.problems import invalid
from local.standin.schemas import broken_rule

OUTPUT_TOKENS_MIN = 16
TOOLS_MAX = 128
EFFORTS = ("none", "low", "medium", "high", "xhigh")
_CHECKED_SCHEMAS_MAX = 512
_kept_rules: dict[bytes, None] = {}  # schemas that were found right: one is sent again and again


def check_parameters(body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Unknown names, and what the stand-in does not do."""
    for name in body:
        if name not in known:
            raise invalid(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if not isinstance(body.get("model"), str):
        raise invalid("Missing required parameter: 'model'.", param="model", code="missing_required_parameter")
    for name in ("stream", "background", "top_logprobs"):
        if body.get(name):
            raise invalid(
                f"'{name}' is not available from this simulated provider: leave it out.",
                param=name,
                code="unsupported_value",
            )


def check_sampling(body: Mapping[str, Any], effort: str, effort_param: str) -> None:
    """Sampling can be set only where the model does not reason."""
    if effort not in EFFORTS:
        raise invalid(
            f"Invalid value: '{effort}'. Supported values are: {', '.join(EFFORTS)}.",
            param=effort_param,
            code="invalid_value",
        )
    for name, high in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float) or not 0 <= value <= high:
            raise invalid(
                f"Invalid '{name}': expected a number between 0 and {high}.", param=name, code="invalid_value"
            )
        if effort != "none":
            raise invalid(
                f"Unsupported parameter: '{name}' is not supported with reasoning effort '{effort}'.",
                param=name,
                code="unsupported_parameter",
            )


def output_bound(body: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The most output tokens, by the first of the names that is set."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < OUTPUT_TOKENS_MIN:
            raise invalid(
                f"Invalid '{name}': integer below minimum value. Expected a value >= {OUTPUT_TOKENS_MIN}, "
                f"but got {value} instead.",
                param=name,
                code="integer_below_min_value",
            )
        return value
    return None


def lane(body: Mapping[str, Any]) -> str:
    """The service tier asked for; `auto` is the default one."""
    wanted = body.get("service_tier") or "auto"
    if wanted not in ("auto", *LANES):
        raise invalid(
            f"Invalid value: '{wanted}'. Supported values are: auto, {', '.join(LANES)}.",
            param="service_tier",
            code="invalid_value",
        )
    return "default" if wanted == "auto" else str(wanted)


def read_tools(tools: Any, *, nested: bool, strict_by_default: bool) -> tuple[Tool, ...]:
    """Function tools; `nested`: each under a key `function`, as in Chat Completions."""
    if not tools:
        return ()
    if not isinstance(tools, list) or len(tools) > TOOLS_MAX:
        raise invalid(f"Invalid 'tools': expected a list of at most {TOOLS_MAX}.", param="tools")
    read = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if not isinstance(tool, dict) or tool.get("type") != "function":
            kind = tool.get("type") if isinstance(tool, dict) else tool
            raise invalid(
                f"Invalid value: '{kind}'. This simulated provider has 'function' tools.",
                param=f"{where}.type",
                code="invalid_value",
            )
        function = tool.get("function") if nested else tool
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise invalid(f"Missing required parameter: '{where}.name'.", param=f"{where}.name")
        parameters = function.get("parameters") or {}
        strict = function.get("strict")
        if (strict_by_default if strict is None else strict) and parameters:
            check_schema(
                parameters, f"function '{function['name']}'", f"{where}.parameters", "invalid_function_parameters"
            )
        read.append(Tool(function["name"], function.get("description") or "", parameters))
    return tuple(read)


def read_tool_choice(choice: Any, tools: Sequence[Tool]) -> str:
    """auto, none, required, or a tool's name."""
    if choice is None:
        return "auto"
    if isinstance(choice, dict):
        name = choice.get("name") or (choice.get("function") or {}).get("name")
        if name not in [tool.name for tool in tools]:
            raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
        return str(name)
    if choice not in ("auto", "none", "required"):
        raise invalid(f"Invalid value: '{choice}'.", param="tool_choice", code="invalid_value")
    if not tools and choice == "required":
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    return str(choice)


def read_format(format_: Any, prompt: Sequence[str], *, nested: bool, param: str) -> JsonSchema | None:
    """The shape asked for; `nested`: under a key `json_schema`, as in Chat Completions."""
    if format_ is None:
        return None
    kind = format_.get("type") if isinstance(format_, dict) else format_
    if kind == "text":
        return None
    if kind == "json_object":
        if not any("json" in text.lower() for text in prompt):
            raise invalid(
                "The input must contain the word 'json' in some form, to use the format 'json_object'.", param=param
            )
        return JsonSchema("json_object", None)
    if kind != "json_schema":
        raise invalid(
            f"Invalid value: '{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'.",
            param=f"{param}.type",
            code="invalid_value",
        )
    described = format_.get("json_schema") if nested else format_
    for key in ("name", "schema"):
        if not isinstance(described, dict) or not described.get(key):
            where = f"{param}.json_schema.{key}" if nested else f"{param}.{key}"
            raise invalid(f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter")
    assert isinstance(described, dict)
    if described.get("strict"):
        where = param if nested else f"{param}.schema"
        check_schema(described["schema"], f"{param} '{described['name']}'", where, "invalid_json_schema")
    return JsonSchema(described["name"], described["schema"])


def check_schema(schema: Any, what: str, param: str, code: str) -> None:
    """Strict mode's rules, looked at once for each schema."""
    key = orjson.dumps(schema)
    if key in _kept_rules:
        return
    problem = broken_rule(schema) if isinstance(schema, dict) else "schema must be an object."
    if problem is not None:
        raise invalid(f"Invalid schema for {what}: {problem}", param=param, code=code)
    if len(_kept_rules) >= _CHECKED_SCHEMAS_MAX:
        _kept_rules.clear()
    _kept_rules[key] = None


def check_tool_outputs(turns: Sequence[Turn], param: str) -> None:
    """Every tool call has its output, and every output its call."""
    called = {turn.call_id for turn in turns if isinstance(turn, ToolCall)}
    returned = {turn.call_id for turn in turns if isinstance(turn, ToolOutput)}
    if missing := called - returned:
        raise invalid(f"No tool output found for function call {min(missing)}.", param=param)
    if extra := returned - called:
        raise invalid(f"No tool call found for function call output with call_id {min(extra)}.", param=param)


def prompt_segments(tools: Any, format_: JsonSchema | None, system: str, turns: Sequence[Turn]) -> tuple[bytes, ...]:
    """The prompt as the model gets it: what is the same for every call comes first."""
    head = [orjson.dumps(tools)] if tools else []
    if format_ is not None and format_.schema is not None:
        head.append(orjson.dumps(format_.schema))
    return (*head, system.encode(), *(_bytes(turn) for turn in turns))


def _bytes(turn: Turn) -> bytes:
    match turn:
        case Said():
            return turn.text.encode()
        case ToolCall():
            return f"{turn.name}{turn.arguments}".encode()
        case ToolOutput():
            return turn.text.encode()


def content_text(content: Any, param: str) -> str:
    """The text of a message's content: a string, or a list of text parts."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        texts = [part.get("text", part.get("refusal")) for part in content if isinstance(part, dict)]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) == len(content):
            return "".join(strings)
    raise invalid("This simulated provider takes text only.", param=param, code="invalid_value")
