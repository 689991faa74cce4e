"""What agents may use: each call bounded in time and size, counted, its errors told to the model in short.

No tool changes the world. What a tool returns is data from outside, as the message itself is.
"""

import asyncio
import functools
import logging
from collections.abc import Iterable, Mapping

import orjson
from agents import FunctionTool
from agents.strict_schema import ensure_strict_json_schema
from agents.tool_context import ToolContext
from pydantic import ValidationError

from processors.agents.account import Account
from processors.agents.recent import Recent
from processors.agents.recent_tools import Counts, Related
from processors.agents.runbooks import Runbooks
from processors.agents.sql import Sql
from processors.agents.tool import Refused, Tool
from processors.clock import Clock
from processors.errors import ConfigurationError
from processors.metrics import TOOL_CALLS
from processors.policy import Agents
from topics import limits

log = logging.getLogger("sluice.agents")


class Toolbox:
    """The tools that a policy names."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}

    @classmethod
    def of(cls, agents: Agents, recent: Recent, clock: Clock, env: Mapping[str, str]) -> "Toolbox":
        """As `[agents]` says; `runbooks` is left out where no folder is named.

        Raises ConfigurationError where a folder or database cannot be used.
        """
        tools: list[Tool] = []
        for name in dict.fromkeys(agents.tools):
            match name:
                case "related":
                    tools.append(Related(recent))
                case "counts":
                    tools.append(Counts(recent, clock))
                case "runbooks":
                    if agents.runbooks is not None:
                        tools.append(Runbooks.read(agents.runbooks))
                case "sql":
                    assert agents.sql is not None, "the policy checks it"
                    tools.append(Sql.open(_variable(agents.sql.url_env, env)))
        return cls(tools)

    def functions(self, seconds: float) -> dict[str, FunctionTool]:
        """The tools as openai-agents takes them, by name; each call ends within `seconds`."""
        return {name: _function(tool, seconds) for name, tool in self._tools.items()}


def _variable(name: str, env: Mapping[str, str]) -> str:
    if not env.get(name):
        raise ConfigurationError(
            f'agents.sql.url_env = "{name}": the environment variable {name} is not set. '
            "Set it to sqlite:///path, or leave 'sql' out of agents.tools"
        )
    return env[name]


def _function(tool: Tool, seconds: float) -> FunctionTool:
    return FunctionTool(
        name=tool.name,
        description=tool.about,
        params_json_schema=ensure_strict_json_schema(tool.Arguments.model_json_schema()),
        on_invoke_tool=functools.partial(_invoke, tool, seconds),
    )


async def _invoke(tool: Tool, seconds: float, context: ToolContext[Account], arguments: str) -> str:
    """One call. Never raises but for cancellation: the model reads what went wrong and goes on."""
    context.context.tool_calls += 1
    try:
        if len(arguments) > limits.TOOL_QUERY_CHARS_MAX:
            raise Refused(f"the arguments are longer than {limits.TOOL_QUERY_CHARS_MAX} characters")
        filled = tool.Arguments.model_validate_json(arguments)
        async with asyncio.timeout(seconds):
            result = await tool.call(filled, context.context.escalation)
        text, outcome = orjson.dumps(result, default=str).decode(), "ok"
    except Refused as refused:
        text, outcome = f"Refused: {refused}", "refused"
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        text, outcome = f"Refused: the arguments do not fit: {wrong}", "refused"
    except TimeoutError:
        text, outcome = f"No answer within {seconds:g} s. Ask for less", "timeout"
    except Exception:
        log.exception("a tool failed", extra={"tool": tool.name, "escalation": context.context.escalation.id})
        text, outcome = "The tool failed. Go on without it", "error"
    TOOL_CALLS.labels(tool.name, outcome).inc()
    if len(text) > limits.TOOL_OUTPUT_CHARS_MAX:
        return f"{text[: limits.TOOL_OUTPUT_CHARS_MAX]}… (cut: {len(text)} characters in all; ask for less)"
    return text
