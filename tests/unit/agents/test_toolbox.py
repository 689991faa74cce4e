"""Tools as agents call them: bounded, counted, never an end to the run."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents.tool_context import ToolContext
from pydantic import BaseModel

from processors.agents.account import Account
from processors.agents.recent import Recent
from processors.agents.tool import Refused
from processors.agents.toolbox import Toolbox
from processors.errors import ConfigurationError
from processors.metrics import TOOL_CALLS
from processors.policy import Agents, Limits
from tests.fakes import ManualClock
from tests.unit.agents.build import escalation
from topics import limits
from topics.messages import Escalation


class Echo:
    """Does as its argument says."""

    name = "echo"
    about = "For tests."

    class Arguments(BaseModel):
        do: str

    async def call(self, arguments: Arguments, escalation: Escalation) -> object:
        match arguments.do:
            case "hang":
                await asyncio.Event().wait()
            case "refuse":
                raise Refused("not today")
            case "fail":
                raise RuntimeError("a secret path")
            case "flood":
                return "x" * 10**6
        return {"text": escalation.text, "tenant": escalation.tenant}


async def call(arguments: str) -> tuple[str, Account]:
    account = Account(escalation(), Limits(), 0.0)
    function = Toolbox([Echo()]).functions(0.05)["echo"]
    context: ToolContext[Any] = ToolContext(account, tool_name="echo", tool_call_id="1", tool_arguments=arguments)
    return await function.on_invoke_tool(context, arguments), account


@pytest.mark.parametrize(
    ("arguments", "outcome", "told"),
    [
        ('{"do":"say"}', "ok", '{"text":"billing: disk failure on sda1","tenant":"acme"}'),
        ('{"do":"hang"}', "timeout", "No answer within 0.05 s. Ask for less"),
        ('{"do":"refuse"}', "refused", "Refused: not today"),
        ('{"do":"fail"}', "error", "The tool failed. Go on without it"),
        ('{"do":1}', "refused", "Refused: the arguments do not fit: do: Input should be a valid string"),
        ('{"do":"' + "x" * 10_000, "refused", "Refused: the arguments are longer than 4000 characters"),
    ],
)
async def test_a_call_is_counted_and_what_went_wrong_is_told_to_the_model(
    arguments: str, outcome: str, told: str
) -> None:
    counter = TOOL_CALLS.labels("echo", outcome)
    before = counter._value.get()
    text, account = await call(arguments)
    assert text == told
    assert account.tool_calls == 1
    assert counter._value.get() == before + 1


async def test_what_a_tool_says_is_bounded() -> None:
    text, _ = await call('{"do":"flood"}')
    assert len(text) < limits.TOOL_OUTPUT_CHARS_MAX + 100
    assert text.endswith("… (cut: 1000002 characters in all; ask for less)")


def toolbox(agents: Agents, env: dict[str, str] | None = None) -> Toolbox:
    return Toolbox.of(agents, Recent(), ManualClock(), env or {})


def test_the_policy_names_the_tools(tmp_path: Path) -> None:
    assert list(toolbox(Agents()).functions(1.0)) == ["related", "counts"]  # runbooks need a folder
    assert list(toolbox(Agents(tools=())).functions(1.0)) == []
    (tmp_path / "a.md").write_text("# A\ntext")
    chosen = Agents(tools=("counts", "runbooks", "counts"), runbooks=str(tmp_path))
    assert list(toolbox(chosen).functions(1.0)) == ["counts", "runbooks"]


def test_a_database_without_its_variable_is_named() -> None:
    agents = Agents.model_validate({"tools": ["sql"], "sql": {"url_env": "MY_DB"}})
    with pytest.raises(ConfigurationError, match="MY_DB is not set"):
        toolbox(agents)


def test_every_tools_arguments_are_strict() -> None:
    for function in toolbox(Agents()).functions(1.0).values():
        schema = function.params_json_schema
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])
