"""The wiring: which stage reads what, decides it with what, and writes where.

inputs ──▶ triage ──▶ decisions
             ├──▶ escalations.mini ──▶ mini ──▶ resolutions
             │                          ▼
             └──────────────▶ escalations.flagship ──▶ flagship ──▶ resolutions
what no stage can decide ──▶ dead-letters          what waits for hours ──▶ parked ──▶ triage when due
every model call ──▶ spend
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal, get_args

from processors.agents.recent import Recent
from processors.clock import Clock
from processors.gateway.gateway import Gateway
from processors.memory import Memory
from processors.normalise.normaliser import Normaliser, normaliser_for
from processors.policy import Policy
from processors.triage import Triage
from streams import probes, recent, settings, spend, topics_admin
from streams.engine.engine import Engine, EngineSettings
from streams.engine.kafka import KafkaBroker
from streams.engine.room import Room
from streams.engine.stage import Stage
from streams.settings import Runtime
from streams.stages import AgentStage, TriageStage
from topics import catalog, dead_letters, limits
from topics.messages import AgentTier

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
        wired: dict[catalog.Stage, _Wired] = {}
        recents: Recent | None = None
        if "triage" in stages:
            wired["triage"] = _triage(policy, gateway, clock, rng, open_)
        if agents := [tier for tier in get_args(AgentTier) if tier in stages]:
            recents = Recent()
            open_.callback(recents.close)
            wired |= _agents(policy, agents, gateway, recents, env, clock, rng)
        room = Room(runtime.held_mib * limits.MIB)
        engines = {
            name: Engine(
                stage.stage,
                stage_name=name,
                topics=stage.reads,
                names=names,
                broker=KafkaBroker(brokers),
                clock=clock,
                rng=rng,
                settings=EngineSettings(
                    delivery=policy.kafka.delivery,
                    instance_id=runtime.instance_id,
                    shutdown_seconds=runtime.shutdown_seconds,
                ),
                room=room,
                parked_topic=names.topic(catalog.PARKED) if name == "triage" else None,
                dead_letter=functools.partial(
                    dead_letters.dead_letter, stage=name, topic=names.topic(catalog.DEAD_LETTERS)
                ),
            )
            for name, stage in wired.items()
        }
        await open_.enter_async_context(
            probes.serve(
                runtime.http_host,
                runtime.http_port,
                lambda: {name: engine.health() for name, engine in engines.items()},
            )
        )
        log.info("running", extra={"stages": ",".join(stages), "brokers": brokers, "prefix": policy.kafka.prefix})
        on_ready()
        served = asyncio.Event()  # what only serves the stages ends after them
        async with asyncio.TaskGroup() as tasks:
            if recents is not None:
                tasks.create_task(recent.follow(recents, brokers, policy, served))
            async with asyncio.TaskGroup() as running:
                for engine in engines.values():
                    running.create_task(engine.run(stop))
            served.set()
    log.info("stopped", extra={"stages": ",".join(stages)})


@dataclass(frozen=True, slots=True)
class _Wired:
    """A stage, and the topics that it reads with where a new group begins each."""

    stage: Stage
    reads: Mapping[str, Literal["earliest", "latest"]]


def _triage(policy: Policy, gateway: Gateway, clock: Clock, rng: random.Random, open_: AsyncExitStack) -> _Wired:
    """inputs → decisions, escalations.*; one memory for all streams."""
    memory = Memory(limits.MEMORY_ENTRIES_MAX)
    topics: dict[str, tuple[Normaliser, Triage, Literal["none", "key"]]] = {}
    for name, stream in policy.streams.items():
        triage = Triage(name, stream, policy, gateway, clock=clock, rng=rng, memory=memory)
        open_.push_async_callback(triage.close)
        topics |= {topic: (normaliser_for(name, stream), triage, stream.ordered) for topic in stream.topics}
    reads = {topic: stream.start for stream in policy.streams.values() for topic in stream.topics}
    return _Wired(TriageStage(policy.kafka.names, topics, clock), reads)


def _agents(
    policy: Policy,
    tiers: Sequence[AgentTier],
    gateway: Gateway,
    recents: Recent,
    env: Mapping[str, str],
    clock: Clock,
    rng: random.Random,
) -> dict[catalog.Stage, _Wired]:
    """escalations.<tier> → resolutions, or the next tier's escalations; all tiers with the same tools."""
    from processors.agents.resolver import Resolver  # their library takes seconds to load: not for triage, nor --help
    from processors.agents.toolbox import Toolbox

    names, toolbox = policy.kafka.names, Toolbox.of(policy.agents, recents, clock, env)
    return {
        tier: _Wired(
            AgentStage(names, tier, Resolver(policy, tier, gateway, toolbox, clock=clock, rng=rng), clock),
            {names.topic(catalog.escalations(tier)): "earliest"},
        )
        for tier in tiers
    }


def _inputs(policy: Policy) -> list[str]:
    """Every topic that triage reads."""
    return [topic for stream in policy.streams.values() for topic in stream.topics]
