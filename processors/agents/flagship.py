"""A flagship's run: plan sub-tasks, let mini agents work on them at the same time, then decide with their reports."""

import asyncio
from collections.abc import Mapping

from agents import Agent, FunctionTool

from processors.agents import prompts
from processors.agents.account import Account, BoundReached
from processors.agents.answers import AnswerSchema, Judgement, Plan, PlannedTask, Report
from processors.agents.runner import Runner
from processors.clock import Clock
from processors.errors import AnswerError
from processors.policy import Limits, Stream
from topics import limits
from topics.messages import SubTask

_PLAN_TURNS = 1
_DECIDE_TURNS = 1
_SUBTASK_TURNS_MIN = 2  # one that asks tools, one that reports


class Flagship:
    """The agents of one stream. Where no sub-task has room, one agent does it all with the tools."""

    def __init__(
        self, name: str, stream: Stream, bounds: Limits, tools: Mapping[str, FunctionTool], runner: Runner, clock: Clock
    ) -> None:
        labels = {"label": tuple(stream.labels)}
        judgement = AnswerSchema(Judgement, labels)
        self._runner = runner
        self._clock = clock
        self._tools = tools
        self._subtask_turns = int(bounds.turns * limits.AGENT_SUBTASKS_SHARE)
        self._plans = (
            bounds.depth > 0
            and bool(tools)
            and self._subtask_turns >= _SUBTASK_TURNS_MIN
            and bounds.turns - self._subtask_turns >= _PLAN_TURNS + _DECIDE_TURNS
        )
        self._alone = Agent[Account](
            name="flagship-agent",
            instructions=prompts.flagship(name, stream),
            tools=list(tools.values()),
            output_type=judgement,
        )
        abouts = {tool.name: tool.description for tool in tools.values()}
        self._planner = Agent[Account](
            name="flagship-plan",
            instructions=prompts.plan(name, stream, abouts),
            output_type=AnswerSchema(Plan, {"tools": tuple(tools)}),
        )
        self._worker = Agent[Account](
            name="flagship-subtask", instructions=prompts.subtask(name, stream), output_type=AnswerSchema(Report, {})
        )
        self._decider = Agent[Account](
            name="flagship-decide", instructions=prompts.decide(name, stream), output_type=judgement
        )

    async def judge(self, account: Account) -> Judgement:
        """Fills `account.plan` as it goes. Raises as Runner.ask does."""
        case = prompts.case(account.escalation)
        if not self._plans:
            allowance = account.allowance(account.limits.turns)
            return await self._runner.ask(self._alone, Judgement, case, "flagship", allowance)
        own = account.allowance(account.limits.turns - self._subtask_turns)
        plan = await self._runner.ask(self._planner, Plan, case, "flagship", own)
        await self._work(account, plan.sub_tasks[: self._subtask_turns // _SUBTASK_TURNS_MIN])
        reports = [prompts.report(task) for task in account.plan]
        return await self._runner.ask(self._decider, Judgement, case | {"reports": reports}, "flagship", own)

    async def _work(self, account: Account, tasks: list[PlannedTask]) -> None:
        """All sub-tasks at once. What concerns the account or the provider ends them all and is raised as it is."""
        account.plan = [SubTask(goal=task.goal, status="bounded", result="not finished") for task in tasks]
        turns = self._subtask_turns // len(tasks)
        try:
            async with asyncio.TaskGroup() as group:
                for index, task in enumerate(tasks):
                    group.create_task(self._subtask(account, index, task, turns))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _subtask(self, account: Account, index: int, task: PlannedTask, turns: int) -> None:
        case = prompts.case(account.escalation) | {"goal": task.goal}
        tools = [self._tools[name] for name in dict.fromkeys(task.tools) if name in self._tools]
        allowance = account.allowance(turns, limits.AGENT_SUBTASKS_SHARE)
        elapsed_s = self._clock.monotonic() - account.started_s
        try:
            async with asyncio.timeout(account.limits.seconds * limits.AGENT_SUBTASKS_SHARE - elapsed_s):
                report = await self._runner.ask(self._worker.clone(tools=tools), Report, case, "mini", allowance)
        except TimeoutError:
            return
        except BoundReached as reached:
            done = SubTask(goal=task.goal, status="bounded", result=f"ended at its limit of {reached.bound}: {reached}")
        except AnswerError as error:
            done = SubTask(goal=task.goal, status="failed", result=str(error)[: limits.AGENT_TEXT_CHARS_MAX])
        else:
            findings = "".join(f"\n- {found.tool}: {found.finding}" for found in report.findings)
            done = SubTask(
                goal=task.goal, status="done", result=f"{report.result}{findings}"[: limits.AGENT_TEXT_CHARS_MAX]
            )
        account.plan[index] = done
