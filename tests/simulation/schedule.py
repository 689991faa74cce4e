"""One schedule: workers with the real engine on the simulated broker, until everything is drained and they stop."""

import asyncio
import contextlib
import functools
import gc
import itertools
import random
from collections.abc import Iterator

from aiokafka.structs import TopicPartition

from tests.simulation.cluster import Cluster
from tests.simulation.history import History, logged
from tests.simulation.log import Unsaved
from tests.simulation.loop import Loop
from tests.simulation.plan import FAULTS_UNTIL_SECONDS, Fault, Plan, Send
from tests.simulation.worker import INPUT, NAMES, OUTPUT, Worker
from tests.simulation.workload import LARGE_BYTES, Model
from topics.catalog import DEAD_LETTERS

SECONDS_MAX = 120.0  # of virtual time: everything has long been drained by then
STEPS_MAX = 400_000
OUTPUTS = 2  # partitions
_SAMPLE_SECONDS = 0.05


class Schedule:
    """Runs one plan. What it leaves to checkers: `history`, `cluster`, `errors`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.history = History()
        self.errors: list[str] = []  # what no engine may do, whatever happens
        self._rng = random.Random(f"order {plan.seed}")
        self._loop = Loop(self._rng, seconds_max=SECONDS_MAX, steps_max=STEPS_MAX)  # type: ignore[abstract]
        self.cluster = Cluster(self._rng, self.history, latency_s=plan.latency_s)
        self.cluster.create_topic(INPUT, plan.partitions)
        self.cluster.create_topic(OUTPUT, OUTPUTS, batch_bytes_max=LARGE_BYTES)
        self.cluster.create_topic(NAMES.topic(DEAD_LETTERS), 1, batch_bytes_max=plan.dead_letter_bytes_max)
        self._model = Model(self._rng, self.history)
        self._workers: list[Worker] = []
        self._healed = False  # no more faults
        self._ending = False  # no more workers
        self._instances = itertools.count()

    def run(self) -> None:
        """Raises Stuck where it does not end."""
        with logged("streams.engine", self.history), _young_garbage():
            try:
                self._loop.run_until_complete(self._loop.start("world", self._conduct()))
            finally:
                self.history.closed = True
                self.cluster.network.closed = True
                self._loop.bury()
        self.errors += self._loop.errors

    # --- the course of events --------------------------------------------------------------------

    async def _conduct(self) -> None:
        plan, loop = self.plan, self._loop
        for number, send in enumerate(plan.sends):
            loop.call_at(send.at_s, self._send, send, f"writer{number}")
        for fault in plan.faults:
            loop.call_at(fault.at_s, self._strike, fault)
        for _ in range(plan.workers):
            self._join(self._instance())
        sampling = asyncio.create_task(self._sample())
        await asyncio.sleep(FAULTS_UNTIL_SECONDS)
        self._heal()
        while not self._drained():  # noqa: ASYNC110 nothing tells when
            await asyncio.sleep(0.1)
        self.history.note("drained")
        sampling.cancel()
        await self._end()

    def _heal(self) -> None:
        """Faults are over: whoever is frozen goes on, and somebody is there to work."""
        self._healed = True
        self.history.note("healed")
        self.cluster.network.lost_share = 0.0
        self._model.away, self._model.account_closed, self._model.slowness = False, False, 1.0
        for worker in self._workers:
            self._thaw(worker)
        if all(worker.over for worker in self._workers):
            self._join(self._instance())

    def _drained(self) -> bool:
        offsets = self.cluster.group(NAMES.group("triage")).offsets
        if self.cluster.transactions.open_transactions():
            return False
        ends = {TopicPartition(INPUT, log.partition): log.end for log in self.cluster.topics[INPUT]}
        return all(end == 0 or (at in offsets and offsets[at].offset == end) for at, end in ends.items())

    async def _end(self) -> None:
        """Everybody stops, in the time that the settings give them; also those who were told before."""
        self._ending = True
        for worker in self._workers:
            if not worker.over:
                self._stop(worker)
        left = [worker.task for worker in self._workers if worker.task is not None and not worker.killed]
        _, late = await asyncio.wait(left, timeout=self.plan.settings.shutdown_seconds)
        self.errors += [f"{task.get_name()} did not stop in time" for task in late]

    # --- workers ---------------------------------------------------------------------------------

    def _join(self, instance_id: str | None) -> None:
        if self._ending:
            return
        worker = Worker(f"w{len(self._workers) + 1}", instance_id, self.plan, self.cluster, self._model)
        worker.task = self._loop.start(worker.name, worker.life())
        self._workers.append(worker)
        self.history.note("start", worker.name)

    def _stop(self, worker: Worker) -> None:
        self.history.note("stop", worker.name)
        worker.over = True
        context = self._loop.context_of(worker.name)
        self._loop.call_soon(worker.stop.set, context=context)

    def _thaw(self, worker: Worker) -> None:
        if worker.frozen:
            worker.frozen = False
            self.history.note("thaw", worker.name)
            self._loop.thaw(worker.name)

    def _instance(self) -> str | None:
        return f"i{next(self._instances)}" if self.plan.static_members else None

    # --- faults ----------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> None:
        model, network, later = self._model, self.cluster.network, self._loop.call_later
        running = [worker for worker in self._workers if worker.runs]
        self.history.note("fault", fault.kind, f"{fault.seconds:.3f} s")
        if fault.kind in ("kill", "freeze", "stop"):
            if fault.amid:
                delay_s = fault.pick * 4 * self.plan.latency_s
                self.history.watch("offsets", lambda event: self._strike_soon(fault, event.process, delay_s))
            elif running:
                self._strike_worker(fault, running[int(fault.pick * len(running))])
        elif fault.kind == "join":
            self._join(self._instance())
        elif fault.kind == "broker away":
            self.cluster.go_away(min(fault.seconds, 2.0))
        elif fault.kind == "network lossy":
            network.lost_share = 0.3 * fault.pick
            later(fault.seconds, setattr, network, "lost_share", 0.0)
        elif fault.kind == "model away":
            model.away = True
            later(fault.seconds, setattr, model, "away", False)
        elif fault.kind == "model slow":
            model.slowness = 10.0
            later(fault.seconds, setattr, model, "slowness", 1.0)
        else:
            model.account_closed = True
            later(fault.seconds, setattr, model, "account_closed", False)

    def _strike_soon(self, fault: Fault, name: str, delay_s: float) -> None:
        (worker,) = (worker for worker in self._workers if worker.name == name)
        context = self._loop.context_of("world")
        self._loop.call_later(delay_s, self._strike_worker, fault, worker, context=context)

    def _strike_worker(self, fault: Fault, worker: Worker) -> None:
        if self._healed or not worker.runs:
            return
        if fault.kind == "freeze":
            self.history.note("freeze", worker.name)
            worker.frozen = True
            self._loop.freeze(worker.name)
            self._loop.call_later(fault.seconds, self._thaw, worker)
            return
        if fault.kind == "kill":
            self.history.note("kill", worker.name)
            worker.killed = worker.over = True
            self._loop.freeze(worker.name)
        else:
            self._stop(worker)
        if fault.pick < 0.7:
            self._loop.call_later(fault.seconds, self._join, worker.instance_id)

    # --- input -----------------------------------------------------------------------------------

    def _send(self, send: Send, writer: str) -> None:
        log = self.cluster.topics[INPUT][send.partition]
        records = [Unsaved(None, key, value, ()) for key, value in send.records]
        if send.transaction == "none":
            log.append(records, None, self.cluster.now_ms())
            return
        transactions = self.cluster.transactions
        id_ = transactions.of(writer)
        id_.timeout_s = SECONDS_MAX
        log.append(records, transactions.join(id_, id_.epoch), self.cluster.now_ms())
        commit = send.transaction == "commit"
        self._loop.call_later(send.open_s, functools.partial(transactions.end, id_, id_.epoch, commit=commit))

    # --- limits ----------------------------------------------------------------------------------

    async def _sample(self) -> None:
        """What the engine says of itself, against what its settings promise."""
        settings = self.plan.settings
        while True:
            for worker in self._workers:
                if worker.engine is None or worker.over:
                    continue
                health = worker.engine.health()
                promised = health.partitions * (settings.in_flight_records_max * 1.25 + settings.poll_records_max)
                if health.in_flight > promised:
                    self.errors.append(f"{worker.name} has {health.in_flight} records in flight, not {promised:.0f}")
            await asyncio.sleep(_SAMPLE_SECONDS)


@contextlib.contextmanager
def _young_garbage() -> Iterator[None]:
    """Whatever a schedule leaves behind is collected at its end, and by itself: errors that nobody took are told of
    the schedule that they happened in, and old objects are not looked through again."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        gc.enable()
