"""A mini agent's run: one agent with tools, which resolves or lets climb."""

from collections.abc import Mapping

from agents import Agent, FunctionTool

from processors.agents import prompts
from processors.agents.account import Account
from processors.agents.answers import AnswerSchema, MiniJudgement
from processors.agents.runner import Runner
from processors.policy import Stream


class Mini:
    """The agent of one stream."""

    def __init__(self, name: str, stream: Stream, tools: Mapping[str, FunctionTool], runner: Runner) -> None:
        self._runner = runner
        self._agent = Agent[Account](
            name="mini-agent",
            instructions=prompts.mini(name, stream),
            tools=list(tools.values()),
            output_type=AnswerSchema(MiniJudgement, {"label": tuple(stream.labels)}),
        )

    async def judge(self, account: Account) -> MiniJudgement:
        """Raises as Runner.ask does."""
        case = prompts.case(account.escalation)
        return await self._runner.ask(self._agent, MiniJudgement, case, "mini", account.allowance(account.limits.turns))
