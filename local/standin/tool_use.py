"""Which tools a competent agent calls: one to three that fit, once, several at a time where it may."""

import orjson

from local.standin.arguments import Arguments
from local.standin.calls import Call, Tool, ToolCall
from local.standin.error_model import uniforms
from local.standin.filling import fill
from local.standin.lexicon import roots
from local.standin.reading import Reading

_CALLS_MAX = 3


def choose_calls(call: Call, reading: Reading, seed: int) -> list[ToolCall]:
    """The tool calls of this turn; none where it is time to answer."""
    if not call.tools or call.tool_choice == "none":
        return []
    called = [turn.name for turn in call.turns if isinstance(turn, ToolCall)]
    if call.tool_choice not in ("auto", "required"):
        tools = [tool for tool in call.tools if tool.name == call.tool_choice]
    elif call.tool_choice == "required":
        tools = [tool for tool in call.tools if tool.name not in called][:1] or [call.tools[0]]
    elif called:
        return []
    else:
        tools = _fitting(call, reading, seed)
    text, number = reading.messages[0].text, len(called)
    return [
        ToolCall(f"call_{_id(seed, call.segments, number + index)}", tool.name, _arguments(tool, text))
        for index, tool in enumerate(tools)
    ]


def _fitting(call: Call, reading: Reading, seed: int) -> list[Tool]:
    """The tools whose descriptions share most words with the goal, or with the message where none is set."""
    text = reading.messages[0].text
    wanted = roots(str(reading.data.get("goal", text)))
    tools = [tool for tool in call.tools if not tool.name.startswith("transfer_to_")]
    tools.sort(key=lambda tool: -len(roots(f"{tool.name} {tool.description}") & wanted))  # stable: then as listed
    count = 1 + int(_CALLS_MAX * uniforms(seed, "tools", text)[0]) if call.parallel_tool_calls else 1
    return tools[:count]


def _arguments(tool: Tool, text: str) -> str:
    if not tool.parameters:
        return "{}"
    return orjson.dumps(fill(tool.parameters, tool.parameters, Arguments(text, tool.description))).decode()


def _id(*key: object) -> str:
    return "".join(f"{int(u * 16**6):06x}" for u in uniforms(*key)[:4])
