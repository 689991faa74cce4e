"""The same Kafka in a Docker container, where an engine answers and SLUICE_KAFKA=docker asks for it."""

import asyncio
from typing import Self

from local.jars import KAFKA_VERSION, Say
from local.kafka import HOST, SINGLE_NODE, LocalKafkaError, free_port
from streams import topics_admin
from streams.brokers import Brokers

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_START_SECONDS_MAX = 60.0
_LOOK_AGAIN_SECONDS = 0.2


class ContainerKafka:
    """As LocalKafka, by testcontainers. Its data goes with the container."""

    def __init__(self, port: int | None = None, *, say: Say = print) -> None:
        self._port = port or free_port()
        self._say = say

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`"""
        return f"{HOST}:{self._port}"

    @property
    def brokers(self) -> Brokers:
        """For clients of this process."""
        return Brokers(self.bootstrap_servers)

    def start(self) -> None:
        """Returns when the broker answers. Raises LocalKafkaError."""
        if reason := unavailable():
            raise LocalKafkaError(reason)
        from testcontainers.core.container import DockerContainer

        self._say(f"starting {IMAGE}; the first time, Docker fetches it")
        settings = {
            **SINGLE_NODE,
            # One port inside and outside: the broker, too, reaches itself by the address that it advertises.
            "listeners": f"BROKER://0.0.0.0:{self._port},CONTROLLER://localhost:9093",
            "advertised.listeners": f"BROKER://{self.bootstrap_servers}",
            "controller.quorum.voters": "1@localhost:9093",
        }
        container = DockerContainer(IMAGE).with_bind_ports(self._port, self._port)
        container.with_envs(**{"KAFKA_" + key.upper().replace(".", "_"): value for key, value in settings.items()})
        self._container = container.start()
        try:
            asyncio.run(self._await_answer())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._container.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _await_answer(self) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS_MAX):
                while True:
                    try:
                        return await topics_admin.reach(self.brokers)
                    except topics_admin.BrokerUnreachable:
                        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        except TimeoutError as error:
            log = b"".join(self._container.get_logs()).decode(errors="replace")[-2_000:]
            raise LocalKafkaError(
                f"{IMAGE} did not answer within {_START_SECONDS_MAX:g} s. Its log ends:\n{log}"
            ) from error


def unavailable() -> str | None:
    """Why no container can be started here; None where an engine answers."""
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        return "a Kafka in Docker needs the package testcontainers (in the extra `dev`)"
    try:
        engine = docker.from_env()
        try:
            engine.ping()
        finally:
            engine.close()
    except DockerException as error:
        return f"no Docker engine answers: {error}"
    return None
