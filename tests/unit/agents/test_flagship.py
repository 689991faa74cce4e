"""A flagship: plans, lets mini agents work at the same time, decides."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from processors.errors import KeyRefused
from tests.unit.agents.build import API, COUNTS, NANO, RELATED, Turn, escalation, judgement, world
from tests.unit.gateway.provider import Answer, error, response
from topics.messages import Evidence

PLAN = {
    "sub_tasks": [
        {"goal": "what else failed", "tools": ["related"]},
        {"goal": "how often", "tools": ["counts", "launch_rocket"]},
        {"goal": "just think", "tools": []},
    ]
}
REPORT = {"findings": [{"tool": "related", "finding": "the rack lost power"}], "result": "Power."}


def works_by_plan(turn: Turn) -> Answer:
    match turn.role:
        case "plan":
            return turn.says(PLAN)
        case "subtask":
            if turn.results or not turn.tools:
                return turn.says(REPORT)
            return turn.calls(RELATED if "related" in turn.tools else COUNTS)
        case _:
            return turn.says(judgement())


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_it_plans_lets_mini_agents_work_and_decides_with_their_reports(api: API) -> None:
    async with world(works_by_plan, "flagship", api=api, turns=12) as w:
        resolution = await w.resolution("flagship")

    assert (resolution.status, resolution.tier, resolution.label) == ("resolved", "flagship", "alert")
    assert resolution.evidence == (Evidence(tool="counts", finding="9 in an hour"),)
    assert [(task.goal, task.status) for task in resolution.plan] == [
        ("what else failed", "done"),
        ("how often", "done"),
        ("just think", "done"),
    ]
    assert resolution.plan[0].result == "Power.\n- related: the rack lost power"
    assert (resolution.turns, resolution.tool_calls, resolution.model) == (7, 2, "flagship-1")
    assert resolution.cost_usd_micros == sum(spend.usd_micros for spend in w.spends)
    assert [(turn.role, turn.model) for turn in w.turns[:1] + w.turns[-1:]] == [
        ("plan", "flagship-1"),
        ("judge", "flagship-1"),
    ]
    subtasks = [turn for turn in w.turns if turn.role == "subtask"]
    assert {turn.model for turn in subtasks} == {"mini-1"}
    tools = {turn.data["goal"]: turn.tools for turn in subtasks}
    assert tools == {"what else failed": ["related"], "how often": ["counts"], "just think": []}
    assert w.turns[-1].data["reports"][0] == {
        "goal": "what else failed",
        "status": "done",
        "result": "Power.\n- related: the rack lost power",
    }
    assert {(spend.tier, spend.purpose) for spend in w.spends} == {
        ("flagship", "flagship-plan"),
        ("mini", "flagship-subtask"),
        ("flagship", "flagship-decide"),
    }


async def test_sub_tasks_run_at_the_same_time() -> None:
    """Each waits until all are there: one after the other would never end."""
    together = asyncio.Event()
    waiting = 0

    def script(turn: Turn) -> Answer:
        nonlocal waiting
        if turn.role != "subtask":
            return works_by_plan(turn)
        waiting += 1
        if waiting == 3:
            together.set()
        return Answer(body=turn.says(REPORT).body, after=together)

    async with world(script, "flagship", turns=12, seconds=5) as w:
        resolution = await w.resolution("flagship")
    assert [task.status for task in resolution.plan] == ["done"] * 3


async def test_without_depth_one_agent_does_it_all() -> None:
    def script(turn: Turn) -> Answer:
        assert turn.role == "judge"
        return turn.says(judgement()) if turn.results else turn.calls(RELATED)

    async with world(script, "flagship", depth=0) as w:
        resolution = await w.resolution("flagship")
    assert (resolution.status, resolution.plan, resolution.turns) == ("resolved", (), 2)


@pytest.mark.parametrize(("turns", "subtasks"), [(1, 0), (4, 0), (5, 1), (6, 2), (12, 3)])
async def test_sub_tasks_share_the_turns_and_leave_some_for_the_decision(turns: int, subtasks: int) -> None:
    """Every sub-task has two turns at least: one to ask tools and one to report."""

    def script(turn: Turn) -> Answer:
        if turn.role == "subtask":
            return turn.says(REPORT) if turn.tool_choice == "none" or not turn.tools else turn.calls(RELATED)
        return works_by_plan(turn)

    async with world(script, "flagship", turns=turns) as w:
        resolution = await w.resolution("flagship")
    assert resolution.status == "resolved"
    assert len(resolution.plan) == subtasks
    assert resolution.turns <= turns


async def test_a_sub_task_that_ends_badly_is_said_in_the_plan_and_the_flagship_goes_on() -> None:
    plan: dict[str, Any] = {
        "sub_tasks": [{"goal": goal, "tools": ["related"]} for goal in ("stubborn", "rambling", "declining", "good")]
    }

    def script(turn: Turn) -> Answer:
        match turn.role, turn.data.get("goal"):
            case "plan", _:
                return turn.says(plan)
            case _, "stubborn":
                return turn.calls(RELATED)
            case _, "rambling":
                return turn.says("well")
            case _, "declining":
                return turn.refuses()
        return works_by_plan(turn)

    async with world(script, "flagship", turns=12, schemas="none") as w:
        resolution = await w.resolution("flagship")
    assert resolution.status == "resolved"
    assert [task.status for task in resolution.plan] == ["bounded", "failed", "failed", "done"]
    assert resolution.plan[0].result == "ended at its limit of turns: no turn is left"
    assert "declined" in resolution.plan[2].result
    assert [report["status"] for report in w.turns[-1].data["reports"]] == ["bounded", "failed", "failed", "done"]


async def test_slow_sub_tasks_end_in_time_for_the_decision() -> None:
    def script(turn: Turn) -> Answer:
        if turn.role == "subtask":
            return Answer(body=response(), after=asyncio.Event())
        return works_by_plan(turn)

    # A call that was cancelled counts as spent in full, so there has to be money for them.
    async with world(script, "flagship", turns=12, seconds=4.0, usd=1) as w:
        resolution = await w.resolution("flagship")
    assert resolution.status == "resolved"
    assert {(task.status, task.result) for task in resolution.plan} == {("bounded", "not finished")}


async def test_sub_tasks_leave_tokens_for_the_decision() -> None:
    """They share three quarters of 1,000 tokens; a call is 110."""

    def script(turn: Turn) -> Answer:
        return turn.calls(RELATED) if turn.role == "subtask" else works_by_plan(turn)

    async with world(script, "flagship", turns=60, tokens=1_000) as w:
        resolution = await w.resolution("flagship")
    assert resolution.status == "resolved"
    assert all(task.status == "bounded" and "tokens" in task.result for task in resolution.plan)


@pytest.mark.parametrize(
    ("bound", "limits"), [("tokens", {"tokens": 1_000}), ("usd", {"usd": 0.000_1}), ("turns", {"depth": 0, "turns": 2})]
)
async def test_a_flagship_that_hits_a_bound_keeps_the_verdict_below(bound: str, limits: dict[str, Any]) -> None:
    def script(turn: Turn) -> Answer:
        usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
        if turn.role == "plan":
            return Answer(body=turn.says(PLAN).body | {"usage": usage})
        return turn.calls(RELATED)

    verdicts = (NANO, replace(NANO, tier="mini", label="alert"))
    async with world(script, "flagship", **{"turns": 12} | limits) as w:
        resolution = await w.resolution("flagship", verdicts=verdicts)
    assert (resolution.status, resolution.bound, resolution.label) == ("bounded", bound, "alert")
    assert "the verdict of mini stands" in resolution.summary
    assert resolution.verdicts == verdicts


async def test_a_refused_key_in_a_sub_task_ends_the_others_and_comes_out_as_it_is() -> None:
    def script(turn: Turn) -> Answer:
        if turn.role == "subtask":
            return error(401) if turn.data["goal"] == "how often" else Answer(body={}, after=asyncio.Event())
        return works_by_plan(turn)

    async with world(script, "flagship", turns=12) as w:
        with pytest.raises(KeyRefused):
            await w.resolver.resolve(escalation("flagship"))
    assert [turn.role for turn in w.turns].count("judge") == 0


async def test_a_budget_that_ends_in_the_sub_tasks_ends_the_run_with_its_plan() -> None:
    """The worst case of a call is reserved: more than 20,000 micro-dollars for 2,000 output tokens."""
    long = {"sub_tasks": [{"goal": "g" * 2_000, "tools": []}] * 2}

    def script(turn: Turn) -> Answer:
        usage = {"input_tokens": 100, "output_tokens": 1_000, "total_tokens": 1_100}
        return Answer(body=turn.says(long).body | {"usage": usage})

    async with world(script, "flagship", turns=12, stream={"budget": {"usd_per_hour": 0.03}}) as w:
        resolution = await w.resolution("flagship")
    assert (resolution.status, resolution.bound, resolution.label) == ("bounded", "budget", "routine")
    assert [task.status for task in resolution.plan] == ["bounded", "bounded"]
