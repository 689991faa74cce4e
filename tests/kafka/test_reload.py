"""A worker whose policy file changes goes on with the new one, from the next record, without a restart."""

import asyncio
from pathlib import Path
from typing import Any

from tests.kafka.bus import Bus
from tests.kafka.engines import SECONDS_MAX, drained, until
from tests.kafka.pipelines import Worker, decisions, policy_text, stand_in, topics, worker

RULE = """
[[streams.logs.rules]]
name = "lamps"
when = {{ text = "lamp" }}
then = {{ label = "{label}" }}
"""


async def test_a_changed_rule_holds_for_what_comes_next_and_a_wrong_file_changes_nothing(
    bus: Bus, tmp_path: Path
) -> None:
    await topics(bus)
    policy = tmp_path / "sluice.toml"
    async with stand_in() as provider, worker(bus, provider.base_url, tmp_path) as running:
        before = await decided(bus, "the lamp is lit", offset=0)
        policy.write_text(policy_text(bus) + RULE.format(label="access"))
        await told(running, "is taken over: logs is version")
        after = await decided(bus, "the lamp is lit", offset=1)
        assert (after["label"], after["decided_by"]) == ("access", "rule")
        assert before["label"] != after["label"]
        assert before["policy_version"] != after["policy_version"]

        policy.write_text(policy_text(bus) + RULE.format(label="nonsense"))
        await told(running, "the stream does not have")
        assert (await decided(bus, "another lamp", offset=2))["label"] == "access"

        policy.write_text(policy_text(bus).replace("[streams.mail", "[streams.post"))
        await told(running, "restart the workers")
        assert (await decided(bus, "a third lamp", offset=3))["label"] == "access"
        assert await running.metric("sluice_policy_reloads_total", outcome="adopted") == 1
        assert await running.metric("sluice_policy_reloads_total", outcome="invalid") == 1
        assert await running.metric("sluice_policy_reloads_total", outcome="needs_restart") == 1


async def test_a_budget_that_is_raised_lets_go_what_waits_for_it(bus: Bus, tmp_path: Path) -> None:
    await topics(bus)
    policy = tmp_path / "sluice.toml"
    budget = "[streams.logs.budget]\nusd_per_hour = {usd}\n"
    async with stand_in() as provider, worker(bus, provider.base_url, tmp_path) as running:
        policy.write_text(policy_text(bus) + budget.format(usd=0.000001))
        await told(running, "is taken over")
        await bus.produce(bus.prefix + "logs", [b"the lamp is lit"])
        await told(running, "raise streams.logs.budget.usd_per_hour")
        policy.write_text(policy_text(bus) + budget.format(usd=1))
        await until(lambda: running.log.read_text().count("is taken over") == 2, "the larger budget")
        await drained(bus, bus.prefix + "logs")
    assert (await decisions(bus)).keys() == {f"{bus.prefix}logs/0/0"}


async def decided(bus: Bus, line: str, *, offset: int) -> dict[str, Any]:
    """The decision about one more line."""
    await bus.produce(bus.prefix + "logs", [line.encode()])
    async with asyncio.timeout(SECONDS_MAX):
        while (found := (await decisions(bus)).get(f"{bus.prefix}logs/0/{offset}")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found


async def told(running: Worker, what: str) -> None:
    await until(lambda: what in running.log.read_text(), f"'{what}' in the worker's log")
