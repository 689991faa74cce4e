"""The wiring: which stage reads what, decides it with what, and writes where.

inputs ──▶ triage ──▶ decisions
             ├──▶ escalations.mini ──▶ mini ──▶ resolutions
             │                          ▼
             └──────────────▶ escalations.flagship ──▶ flagship ──▶ resolutions
what no stage can decide ──▶ dead-letters          every model call ──▶ spend
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal, assert_never

from processors.agents.recent import Recent
from processors.clock import Clock
from processors.gateway.gateway import Gateway
from processors.memory import Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.triage import Triage
from streams import probes, recent, settings, spend, topics_admin
from streams.engine.engine import Engine, EngineSettings
from streams.engine.stage import Stage
from streams.settings import Runtime
from streams.stages import AgentStage, TriageStage
from topics import catalog, dead_letters, limits
from topics.messages import AgentTier

if TYPE_CHECKING:
    from processors.agents.resolver import Resolver

log = logging.getLogger("sluice.pipeline")


async def run(
    policy: Policy,
    stages: Sequence[catalog.Stage],
    *,
    runtime: Runtime,
    env: Mapping[str, str],
    clock: Clock,
    rng: random.Random,
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Runs `stages` in this process until `stop` is set, then lets them finish within `runtime.shutdown_seconds`.

    Raises ConfigurationError at once where the brokers cannot be reached, topics are missing or differ from what
    the stages need, or the provider has neither key nor address.
    """
    names = policy.kafka.names
    brokers = settings.bootstrap_servers(policy.kafka, env)
    await topics_admin.require(brokers, names, inputs=_inputs(policy))
    async with AsyncExitStack() as open_:
        on_spend = await open_.enter_async_context(spend.writer(brokers, names))
        gateway = await open_.enter_async_context(Gateway(policy, env=env, clock=clock, rng=rng, on_spend=on_spend))
        followers = asyncio.Event()  # set once the stages are done: what only serves them ends after them
        recents = Recent() if set(stages) & {"mini", "flagship"} else None
        resolver = _resolvers(policy, gateway, recents, env, clock, rng) if recents else None
        engines: dict[catalog.Stage, Engine] = {}
        for name in stages:
            stage: Stage
            read: Mapping[str, Literal["earliest", "latest"]]
            match name:
                case "triage":
                    memory = Memory(limits.MEMORY_ENTRIES_MAX)
                    triages = {
                        stream: Triage(stream, spec, policy, gateway, clock=clock, rng=rng, memory=memory)
                        for stream, spec in policy.streams.items()
                    }
                    for triage in triages.values():
                        open_.push_async_callback(triage.close)
                    stage = TriageStage(
                        names,
                        {
                            topic: (normaliser_for(stream, spec), triages[stream], spec.ordered)
                            for stream, spec in policy.streams.items()
                            for topic in spec.topics
                        },
                        clock,
                    )
                    read = {topic: spec.start for spec in policy.streams.values() for topic in spec.topics}
                case "mini" | "flagship":
                    assert resolver is not None
                    stage = AgentStage(names, name, resolver(name), clock)
                    read = {names.topic(catalog.escalations(name)): "earliest"}
                case _:
                    assert_never(name)
            engines[name] = Engine(
                stage,
                stage_name=name,
                topics=read,
                names=names,
                bootstrap_servers=brokers,
                clock=clock,
                rng=rng,
                settings=EngineSettings(shutdown_seconds=runtime.shutdown_seconds),
                dead_letter=functools.partial(
                    dead_letters.dead_letter, stage=name, topic=names.topic(catalog.DEAD_LETTERS)
                ),
            )
        await open_.enter_async_context(
            probes.serve(
                runtime.http_host,
                runtime.http_port,
                lambda: {name: engine.health() for name, engine in engines.items()},
            )
        )
        log.info("running", extra={"stages": ",".join(stages), "brokers": brokers, "prefix": policy.kafka.prefix})
        on_ready()
        async with asyncio.TaskGroup() as tasks:
            if recents is not None:
                tasks.create_task(recent.follow(recents, brokers, policy, followers))
            async with asyncio.TaskGroup() as running:
                for engine in engines.values():
                    running.create_task(engine.run(stop))
            followers.set()
    log.info("stopped", extra={"stages": ",".join(stages)})


def _resolvers(
    policy: Policy, gateway: Gateway, recents: Recent, env: Mapping[str, str], clock: Clock, rng: random.Random
) -> "Callable[[AgentTier], Resolver]":
    """A tier's agents, all with the same tools."""
    from processors.agents.resolver import Resolver  # their library takes seconds to load: not for triage, nor --help
    from processors.agents.toolbox import Toolbox

    toolbox = Toolbox.of(policy.agents, recents, clock, env)
    return lambda tier: Resolver(policy, tier, gateway, toolbox, clock=clock, rng=rng)


def _inputs(policy: Policy) -> list[str]:
    """Every topic that triage reads."""
    return [topic for spec in policy.streams.values() for topic in spec.topics]
