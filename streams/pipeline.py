"""The wiring: which stage reads what, decides it with what, and writes where.

inputs ──▶ triage ──▶ decisions
             ├──▶ escalations.mini ──▶ mini ──▶ resolutions
             │                          ▼
             └──────────────▶ escalations.flagship ──▶ flagship ──▶ resolutions
what counts toward an alert ──▶ signals ──▶ incidents ──▶ alerts ──▶ notify: whom the policy names
audits, lessons, people's feedback ──▶ trainer ──▶ quality, students ──▶ triage
what no stage can decide ──▶ dead-letters          what waits for hours ──▶ parked ──▶ triage when due
every model call ──▶ spend
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from processors.agents.recent import Recent
from processors.clock import Clock
from processors.gateway.gateway import Gateway
from processors.normalise.normaliser import Normaliser, normaliser_for
from processors.notify.notifier import Notifier
from processors.policy import Policy
from processors.signals import Signals
from processors.triage import Triage
from streams import framed as framed_values
from streams import kafka_security, probes, recent, reload, spend, topics_admin
from streams.brokers import Brokers
from streams.engine.engine import Engine, EngineSettings, Health
from streams.engine.kafka import KafkaBroker
from streams.engine.room import Room
from streams.engine.stage import Stage
from streams.framed import Framed
from streams.judges import Judges
from streams.notify import NotifyStage
from streams.settings import Runtime
from streams.stages import AgentStage, TriageStage
from streams.trainer import Trainer
from topics import catalog, dead_letters, limits
from topics.messages import AgentTier

if TYPE_CHECKING:
    from streams.incidents import Incidents

log = logging.getLogger("sluice.pipeline")

_WITHOUT_MODELS: tuple[catalog.Stage, ...] = ("incidents", "notify", "trainer")


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
    policy_file: Path | None = None,
    pointed: Callable[[Policy], Policy] = lambda policy: policy,
) -> None:
    """Runs `stages` in this process until `stop` is set, then lets them finish within `runtime.shutdown_seconds`.

    Where `policy_file` is named, its changes are taken over as it runs (streams/reload.py); `pointed` makes of the
    file's policy what runs here.
    Raises ConfigurationError at once where the brokers cannot be reached, topics are missing or differ from what
    the stages need, or the provider has neither key nor address (which incidents and notify alone do not need).
    """
    names = policy.kafka.names
    brokers = kafka_security.brokers(policy.kafka, env)
    await topics_admin.require(brokers, names, inputs=_inputs(policy))
    async with AsyncExitStack() as open_:
        wired: dict[catalog.Stage, _Wired] = {}
        recents: Recent | None = None
        gateway: Gateway | None = None
        if any(stage not in _WITHOUT_MODELS for stage in stages):
            on_spend = await open_.enter_async_context(spend.writer(brokers, names))
            gateway = await open_.enter_async_context(Gateway(policy, env=env, clock=clock, rng=rng, on_spend=on_spend))
        framed = None if gateway is None else await open_.enter_async_context(framed_values.of(policy, env, clock))
        if "triage" in stages and gateway is not None:
            wired["triage"] = await _triage(policy, brokers, gateway, framed, clock, rng, open_)
        if (agents := [tier for tier in get_args(AgentTier) if tier in stages]) and gateway is not None:
            recents = Recent()
            open_.callback(recents.close)
            wired |= _agents(policy, agents, gateway, recents, env, clock, rng)
        if "notify" in stages and policy.notify:
            wired["notify"] = await _notify(policy, env, clock, rng, open_)
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
                    producers_max=runtime.producers,
                    shutdown_seconds=runtime.shutdown_seconds,
                ),
                room=room,
                parked_topic=names.topic(catalog.PARKED) if name == "triage" else None,
                dead_letter=functools.partial(
                    dead_letters.dead_letter, stage=name, topic=names.topic(stage.dead_letters)
                ),
            )
            for name, stage in wired.items()
        }
        services: dict[str, _Service] = {str(name): engine for name, engine in engines.items()}
        adopt = [stage.adopt for stage in wired.values()]
        if gateway is not None:
            adopt.append(gateway.adopt)
            adopt += [functools.partial(_look_again, engine) for engine in engines.values()]  # at the new budgets
        if "incidents" in stages:
            incidents = await _incidents(policy, brokers, runtime, clock)
            services["incidents"] = incidents
            adopt.append(incidents.adopt)
        if "trainer" in stages:
            trainer = Trainer(policy, brokers, instance_id=runtime.instance_id, clock=clock, rng=rng)
            services["trainer"] = trainer
            adopt.append(trainer.adopt)
        await open_.enter_async_context(
            probes.serve(
                runtime.http_host,
                runtime.http_port,
                lambda: {name: service.health() for name, service in services.items()},
            )
        )
        running_stages = {"stages": ",".join(stage for stage in stages if stage in services)}  # notify: of [[notify]]
        where = {"brokers": brokers.bootstrap_servers, "prefix": policy.kafka.prefix}
        log.info("running", extra=running_stages | where)
        on_ready()
        served = asyncio.Event()  # what only serves the stages ends after them
        async with asyncio.TaskGroup() as tasks:
            if recents is not None:
                tasks.create_task(recent.follow(recents, brokers, policy, served, framed))
            if policy_file is not None:
                tasks.create_task(reload.follow(reload.Watched(policy_file, policy, adopt, pointed), served))
            async with asyncio.TaskGroup() as running:
                for service in services.values():
                    running.create_task(service.run(stop))
            served.set()
    log.info("stopped", extra=running_stages)


def _look_again(engine: Engine, _: Policy) -> None:
    engine.look_again()


class _Service(Protocol):
    """What runs until it is told to stop: an Engine, or Incidents."""

    def health(self) -> Health: ...

    async def run(self, stop: asyncio.Event) -> None: ...


@dataclass(frozen=True, slots=True)
class _Wired:
    """A stage, and the topics that it reads with where a new group begins each."""

    stage: Stage
    reads: Mapping[str, Literal["earliest", "latest"]]
    adopt: Callable[[Policy], None] = lambda _: None  # another policy, for what is taken from then on
    dead_letters: catalog.Topic = catalog.DEAD_LETTERS


async def _triage(
    policy: Policy,
    brokers: Brokers,
    gateway: Gateway,
    framed: Framed | None,
    clock: Clock,
    rng: random.Random,
    open_: AsyncExitStack,
) -> _Wired:
    """inputs → decisions, escalations.*, signals, audits, lessons."""
    judges = Judges(policy, gateway, clock=clock, rng=rng, jobs=gateway)
    open_.push_async_callback(judges.close)
    await open_.enter_async_context(judges.kept_up(brokers))
    topics: dict[str, tuple[Normaliser, Triage, Literal["none", "key"]]] = {}
    for name, stream in policy.streams.items():
        topics |= dict.fromkeys(stream.topics, (normaliser_for(name, stream), judges.of(name), stream.ordered))
    stage = TriageStage(policy.kafka.names, topics, clock, framed)
    reads = {topic: stream.start for stream in policy.streams.values() for topic in stream.topics}
    return _Wired(stage, reads, lambda new: stage.adopt(judges.adopt(new)))


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

    def judges(tier: AgentTier, policy: Policy) -> tuple[Resolver, Mapping[str, Signals], Collection[str]]:
        signals = {name: Signals(name, stream.alerts) for name, stream in policy.streams.items()}
        taught = [name for name, stream in policy.streams.items() if stream.quality is not None]
        return Resolver(policy, tier, gateway, toolbox, clock=clock, rng=rng), signals, taught

    def wired(tier: AgentTier) -> _Wired:
        stage = AgentStage(names, tier, *judges(tier, policy), clock)
        reads: Mapping[str, Literal["earliest"]] = {names.topic(catalog.escalations(tier)): "earliest"}
        return _Wired(stage, reads, lambda new: stage.adopt(*judges(tier, new)))

    return {tier: wired(tier) for tier in tiers}


async def _notify(
    policy: Policy, env: Mapping[str, str], clock: Clock, rng: random.Random, open_: AsyncExitStack
) -> _Wired:
    """alerts → [[notify]]. A new group begins with what comes: nobody is paged for a month of alerts."""
    notifier = await open_.enter_async_context(Notifier(policy.notify, env=env, clock=clock, rng=rng))
    alerts = policy.kafka.names.topic(catalog.ALERTS)
    return _Wired(NotifyStage(notifier), {alerts: "latest"}, dead_letters=catalog.NOTIFY_DEAD_LETTERS)


async def _incidents(policy: Policy, brokers: Brokers, runtime: Runtime, clock: Clock) -> "Incidents":
    """signals → alerts. Its data are of one cluster: another has other offsets."""
    from streams.incidents import Incidents  # Faust takes its time to load: not for the other stages, nor --help

    data = runtime.data_dir / await topics_admin.cluster_id(brokers) / policy.kafka.names.group("incidents")
    return Incidents(policy, brokers, data=data, instance_id=runtime.instance_id, clock=clock)


def _inputs(policy: Policy) -> list[str]:
    """Every topic that triage reads."""
    return [topic for stream in policy.streams.values() for topic in stream.topics]
