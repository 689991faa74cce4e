"""One process of a schedule: an engine, and who starts it again when it ends with an error."""

import asyncio
import functools
import random
from dataclasses import replace

from aiokafka.errors import KafkaError

from streams.engine.broker import Broker
from streams.engine.engine import Engine
from streams.engine.room import Room
from tests.simulation.broker import SimulatedBroker
from tests.simulation.cluster import Cluster
from tests.simulation.plan import Plan
from tests.simulation.workload import Model, SimulatedStage, dead_letter
from topics.catalog import DEAD_LETTERS, Names

NAMES = Names("s.")
INPUT, OUTPUT = "s.in", "s.out"
_OUTPUT_BATCH_BYTES = 2_000
_RESTART_SECONDS = 0.5  # after an engine ended with an error


class Worker:
    """`life` runs as the process `name`."""

    def __init__(self, name: str, instance_id: str | None, plan: Plan, cluster: Cluster, model: Model) -> None:
        self.name = name
        self.instance_id = instance_id
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.engine: Engine | None = None
        self.frozen = False
        self.killed = False
        self.over = False  # killed, or told to stop
        self._plan = plan
        self._cluster = cluster
        self._model = model
        self._rng = random.Random(f"{name} {plan.seed}")

    @property
    def runs(self) -> bool:
        return not self.over and not self.frozen

    async def life(self) -> None:
        """Until it is told to stop. An engine that ends with an error of the broker's is started again."""
        history = self._cluster.history
        while True:
            self.engine = self._new_engine()
            try:
                await self.engine.run(self.stop)
            except* KafkaError as errors:
                history.note("crash", repr(errors.exceptions))
            else:
                history.note("end")
                return
            if self.stop.is_set():
                return
            await asyncio.sleep(_RESTART_SECONDS)

    def _new_engine(self) -> Engine:
        plan, history = self._plan, self._cluster.history
        broker: Broker = SimulatedBroker(self._cluster, output_batch_bytes=_OUTPUT_BATCH_BYTES)
        return Engine(
            SimulatedStage(OUTPUT, self._model, history, order=plan.order, lookback=plan.lookback),
            stage_name="triage",
            topics={INPUT: plan.start},
            names=NAMES,
            broker=broker,
            clock=LoopClock(),
            rng=self._rng,
            dead_letter=functools.partial(dead_letter, topic=NAMES.topic(DEAD_LETTERS)),
            settings=replace(plan.settings, instance_id=self.instance_id),
            room=Room(plan.process_bytes_max),
        )


class LoopClock:
    """Virtual time, as the engine asks for it."""

    def time(self) -> float:
        return 1_800_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
