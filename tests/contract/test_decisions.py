"""Nano by the Decisions API before the stand-in provider, over HTTP: the SDK, the gateway and a whole triage."""

import asyncio
import random
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types import Decision

from local import pointing
from local.standin import StandIn, StandInSettings
from processors.clock import SystemClock
from processors.gateway.gateway import Gateway
from processors.memory import Memory
from processors.policy import Policy
from processors.triage import Triage
from tests.unit.triage.build import LABELS, item
from topics.messages import Spend

AT_ONCE = StandInSettings(latency_scale=0)
ENV = {"OPENAI_API_KEY": "sk-right"}


def policy(base_url: str, **settings: Any) -> Policy:
    logs = {"kind": "log", "topics": ["syslog"], "deadline": "2s", "labels": LABELS, "batch": 8} | settings
    luna = {"base_url": base_url, "api": "decisions", "api_key_env": "OPENAI_API_KEY"}
    return Policy.model_validate(
        {
            "providers": {"openai": {"base_url": base_url}, "luna": luna},
            "tiers": {"nano": {"provider": "luna", "model": "gpt-6-luna"}},
            "streams": {"logs": logs},
        }
    )


async def test_the_sdk_gets_typed_decisions() -> None:
    async with StandIn(AT_ONCE) as standin:
        http = httpx2.AsyncClient(trust_env=False)
        async with AsyncOpenAI(base_url=standin.base_url, api_key="k", max_retries=0, http_client=http) as client:
            found = await client.decisions.create(
                model="gpt-6-luna",
                input="please verify your password",
                questions=[
                    {
                        "type": "choice",
                        "name": "kind",
                        "instructions": "What is it?",
                        "choices": [
                            {"value": "phishing", "description": "wants a password"},
                            {"value": "other", "description": "anything else"},
                        ],
                    }
                ],
            )
            Decision.model_validate(found.to_dict(mode="json"))
            assert [answer.name for answer in found.answers] == ["kind"]
            with pytest.raises(BadRequestError, match="gpt-6-luna"):
                await client.decisions.create(model="gpt-5.4-nano", input="x", questions=[])


async def test_a_triage_decides_in_batches_and_pays_for_input_alone() -> None:
    spends: list[Spend] = []
    async with StandIn(AT_ONCE) as standin:
        settings = policy(standin.base_url)
        gateway = Gateway(settings, env=ENV, clock=SystemClock(), rng=random.Random(1), on_spend=spends.append)
        async with gateway as models:
            triage = Triage(
                *("logs", settings.streams["logs"], settings, models),
                clock=SystemClock(),
                rng=random.Random(7),
                memory=Memory(),
            )
            lines = [f"unit {number} of the array reports a failure" for number in range(24)]
            decided = await asyncio.gather(*(triage.ask(item(line, offset=at)) for at, line in enumerate(lines)))
            await triage.close()
        counted = standin.stats()["models"]["gpt-6-luna"]
    assert {one.decision.decided_by for one in decided} == {"nano"}
    assert {one.decision.model for one in decided} == {"gpt-6-luna"}
    assert max(one.decision.batch_size or 1 for one in decided) == 8
    assert {one.decision.tokens.output for one in decided} == {0}
    assert counted["output_tokens"] == 0
    assert sum(spend.usd_micros for spend in spends) == pytest.approx(
        sum(spend.tokens.input - spend.tokens.cached for spend in spends) * 0.125
        + sum(spend.tokens.cached for spend in spends) * 0.01,
        abs=len(spends),
    )


async def test_a_policy_of_decisions_runs_at_the_stand_in_by_the_same_api() -> None:
    here = pointing.at_models(policy("http://house.example/v1"))
    assert here.providers[here.tiers.nano.provider].api == "decisions"
    assert here.providers[here.tiers.mini.provider].api == "responses"
    async with StandIn(AT_ONCE) as standin:
        env = ENV | {"OPENAI_BASE_URL": standin.base_url}
        gateway = Gateway(here, env=env, clock=SystemClock(), rng=random.Random(1), on_spend=lambda _: None)
        assert gateway.api("nano") == "decisions"
        assert gateway.api("flagship") == "responses"
