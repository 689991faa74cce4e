"""Both agents with the stand-in provider, which behaves like a competent agent."""

import random

import pytest

from local.standin.server import StandIn
from local.standin.settings import StandInSettings
from processors.agents.recent import Recent
from processors.agents.resolver import Resolver
from processors.agents.toolbox import Toolbox
from processors.clock import SystemClock
from processors.gateway.gateway import Gateway
from processors.policy import Policy
from tests.unit.agents.build import API, escalation, policy
from topics.messages import AgentTier, Resolution, Spend


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("tier", ["mini", "flagship"])
async def test_an_escalation_ends_with_looked_up_evidence(api: API, tier: AgentTier) -> None:
    clock, spends = SystemClock(), list[Spend]()
    async with StandIn(StandInSettings(latency_scale=0)) as standin:
        scripted = policy({"base_url": standin.base_url}, {})
        rules = Policy(providers=scripted.providers, streams=scripted.streams)  # with the default tiers
        async with Gateway(
            rules,
            env={"OPENAI_API_KEY": "k", "OPENAI_API": api},
            clock=clock,
            rng=random.Random(7),
            on_spend=spends.append,
        ) as gateway:
            toolbox = Toolbox.of(rules.agents, Recent(), clock, {})
            resolver = Resolver(rules, tier, gateway, toolbox, clock=clock, rng=random.Random(8))
            ended = await resolver.resolve(escalation(tier))

    assert isinstance(ended, Resolution)
    assert (ended.status, ended.tier) == ("resolved", tier)
    assert ended.tool_calls > 0
    assert ended.evidence
    assert all(task.status == "done" for task in ended.plan)
    assert len(ended.plan) == (3 if tier == "flagship" else 0)
    assert ended.turns == len(spends) == standin.stats()["calls"]
    assert ended.cost_usd_micros == sum(spend.usd_micros for spend in spends) > 0
