"""`sluice run incidents`: signals → alerts. This is the worker's edge: each of its lives is in incident_worker.py."""

import asyncio
import contextlib
import logging
from pathlib import Path

from aiokafka.errors import KafkaError
from faust.exceptions import ConsistencyError

from processors import metrics
from processors.clock import Clock
from processors.policy import Alerts, Policy
from streams.brokers import Brokers
from streams.engine.engine import Health
from streams.incident_worker import Worker, WorkerFailed
from topics import limits

log = logging.getLogger("sluice.incidents")


class Incidents:
    """A worker that is started anew whenever Faust or the brokers fail it."""

    def __init__(
        self, policy: Policy, brokers: Brokers, *, data: Path, instance_id: str | None = None, clock: Clock
    ) -> None:
        """`data`: a directory of this worker's own, for one cluster; `instance_id`: SLUICE_INSTANCE_ID."""
        self._policy = policy
        self._brokers = brokers
        self._data = data
        self._instance_id = instance_id
        self._clock = clock
        self._worker: Worker | None = None
        self._turned_s = clock.monotonic()  # of the life before

    def health(self) -> Health:
        """For probes; cheap."""
        worker = self._worker
        return Health(
            joined=worker is not None and worker.joined,
            partitions=0 if worker is None else worker.partitions,
            in_flight=0,
            held=None,
            poll_age_s=self._clock.monotonic() - (self._turned_s if worker is None else worker.turned_s),
        )

    def adopt(self, policy: Policy) -> None:
        """Another policy of the same topics, from the next signal on. What was to end by the old one's times is looked
        at then, or with its next signal."""
        self._policy = policy

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. A failure is logged and counted, and `/ready` tells one that lasts."""
        while not stop.is_set():
            worker = self._worker = Worker(
                self._policy.kafka.names,
                self._alerts,
                self._brokers,
                data=self._data,
                instance_id=self._instance_id,
                clock=self._clock,
            )
            try:
                await worker.run(stop)
            except ConsistencyError:
                log.warning("incidents: the data are of another topic than there is now; they are rebuilt from it")
                worker.remove_data()
            except Exception as error:  # what it failed at is not committed, and is read again
                known = isinstance(error, (KafkaError, WorkerFailed, TimeoutError))
                log.error("incidents: the worker starts anew: %r", error, exc_info=None if known else error)
                metrics.INCIDENTS_RESTARTED.labels(type(error).__name__).inc()
                self._worker, self._turned_s = None, worker.turned_s
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), limits.INCIDENT_RESTART_SECONDS)

    def _alerts(self, stream: str) -> Alerts:
        """The defaults for a stream that the policy no longer has."""
        known = self._policy.streams.get(stream)
        return Alerts() if known is None else known.alerts
