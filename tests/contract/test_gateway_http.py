"""The gateway before the stand-in provider, over HTTP: answers, limits and every fault that it can be asked for."""

import asyncio
from typing import Any

import pytest
from agents import Agent, ModelSettings, OpenAIProvider, RunConfig, Runner, function_tool, set_tracing_disabled

from local.standin import Fault, StandIn, StandInSettings
from processors.errors import AccountSpent, AnswerRefused, KeyRefused, ModelUnknown, SluiceError
from processors.gateway.context import Context, Meter, calling
from tests.unit.gateway.clocks import TickingClock
from tests.unit.gateway.provider import ask, gateway
from topics.messages import Spend

AT_ONCE = StandInSettings(latency_scale=0)


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_an_ask_is_answered_and_its_cost_is_what_the_provider_counts(api: str) -> None:
    spends: list[Spend] = []
    async with StandIn(AT_ONCE) as standin, gateway(standin, spends, env={"OPENAI_API": api}) as models:
        for tier in ("nano", "mini", "flagship"):
            answer = await models.ask(ask("kernel: EXT4-fs error", tier=tier))
            assert answer.complete
            assert answer.text.startswith('{"label"')
            assert answer.tokens.input > 0
        counted = sum(model["usd"] for model in standin.stats()["models"].values())
    assert sum(spend.usd_micros for spend in spends) == pytest.approx(counted * 1_000_000, abs=3)


async def test_a_burst_stays_inside_the_limits_and_uses_them() -> None:
    limited = StandInSettings(latency_scale=0, requests_per_minute=12_000)  # 200 a second, no more than that at once
    spends: list[Spend] = []
    async with StandIn(limited) as standin, gateway(standin, spends) as models:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(models.ask(ask(f"line {number}")) for number in range(400)))
        seconds = asyncio.get_running_loop().time() - began
    refused = [spend for spend in spends if spend.status == 429]
    assert len(refused) <= 4  # only what went before the first answer told a limit, and jitter
    assert seconds > 1.0  # 400 calls at 200 a second, a second's worth of them at once


@pytest.mark.parametrize(
    "kind", ["server_error", "reset", "garbage_body", "rate_limited", "slow_down", "flex_unavailable"]
)
async def test_a_fault_that_passes_is_overcome(kind: Any) -> None:
    spends: list[Spend] = []
    async with StandIn(AT_ONCE) as standin, gateway(standin, spends, clock=TickingClock()) as models:
        standin.fault(Fault(kind=kind, count=2))
        assert (await models.ask(ask())).complete
    assert len(spends) == 3


@pytest.mark.parametrize(
    ("kind", "error"), [("wrong_key", KeyRefused), ("account_spent", AccountSpent), ("refusal", AnswerRefused)]
)
async def test_a_fault_that_stays_is_named(kind: Any, error: type[SluiceError]) -> None:
    spends: list[Spend] = []
    async with StandIn(AT_ONCE) as standin, gateway(standin, spends) as models:
        standin.fault(Fault(kind=kind))
        with pytest.raises(error):
            await models.ask(ask())
    assert len(spends) == 1


async def test_no_answer_in_time_is_asked_again() -> None:
    spends: list[Spend] = []
    async with (
        StandIn(AT_ONCE) as standin,
        gateway(standin, spends, clock=TickingClock(), call_seconds=2.0) as models,
    ):
        standin.fault(Fault(kind="timeout", count=1))
        assert (await models.ask(ask())).complete
    assert [spend.status for spend in spends] == [0, 200]


async def test_a_model_that_the_provider_does_not_have() -> None:
    tiers = {"nano": {"model": "gpt-5.4-nano-2020-01-01"}}
    async with StandIn(AT_ONCE) as standin, gateway(standin, [], tiers=tiers) as models:
        with pytest.raises(ModelUnknown, match="nano-2020-01-01"):
            await models.ask(ask())


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_an_agent_with_a_tool(api: str) -> None:
    looked: list[str] = []

    @function_tool
    async def lookup(service: str) -> str:
        """What is known of a service."""
        looked.append(service)
        return f"{service} is down"

    set_tracing_disabled(True)
    meter = Meter()
    context = Context(tier="mini", stream="logs", tenant="acme", purpose="mini-agent", meter=meter)
    agent: Agent[Any] = Agent(
        name="mini",
        instructions="Look the service up, then answer.",
        model="mini",
        tools=[lookup],
        model_settings=ModelSettings(max_tokens=300, store=False),
    )
    async with StandIn(AT_ONCE) as standin, gateway(standin, [], env={"OPENAI_API": api}) as models:
        provider = OpenAIProvider(
            openai_client=models.openai(), use_responses=api == "responses", use_responses_websocket=False
        )
        with calling(context):
            result = await Runner.run(
                agent, "service disk", run_config=RunConfig(model_provider=provider, tracing_disabled=True)
            )
    assert result.final_output
    assert looked
    assert meter.calls >= 2
    assert meter.usd_micros > 0
