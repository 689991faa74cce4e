"""The simulated broker as the engine sees it: `streams.engine.broker.Broker` on a Cluster."""

from tests.simulation.cluster import Cluster
from tests.simulation.member import SimulatedMember
from tests.simulation.producer import SimulatedProducer


class SimulatedBroker:
    """Lives in the running event loop, simulated or not."""

    def __init__(self, cluster: Cluster, *, output_batch_bytes: int = 256 * 1024) -> None:
        self._cluster = cluster
        self._output_batch_bytes = output_batch_bytes

    def member(self, group: str, *, session_timeout_ms: int, instance_id: str | None) -> SimulatedMember:
        return SimulatedMember(self._cluster, group, session_s=session_timeout_ms / 1000, instance_id=instance_id)

    def producer(self, transactional_id: str | None, *, timeout_ms: int) -> SimulatedProducer:
        return SimulatedProducer(
            self._cluster, transactional_id, timeout_s=timeout_ms / 1000, batch_bytes=self._output_batch_bytes
        )
