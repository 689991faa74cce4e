"""A real Apache Kafka on this machine, from its jars: one node that is broker and controller.

    with LocalKafka() as kafka:
        ... kafka.bootstrap_servers ...

`async with` does the same without blocking the event loop. The broker listens on the loopback interface only, ends
with this process however that ends (local/guard.py), and leaves nothing behind but a data directory that was named.
"""

import asyncio
import random
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from local import jars, java
from local.guard import Guarded
from local.jars import Say
from processors.errors import SluiceError
from streams import topics_admin
from streams.brokers import Brokers

HOST = "127.0.0.1"
CLUSTER_ID = "c2x1aWNlLWxvY2FsLWthZg"  # 16 bytes in base64, as Kafka wants; the same for every local broker
SINGLE_NODE: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",  # a misspelt topic is an error, not a new topic
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # tests kill consumers and wait until that is noticed
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "min.insync.replicas": "1",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),  # the default is a quarter of the heap
    "num.io.threads": "4",
}
"""What makes a broker fit for one machine. Limits on records are Kafka's own defaults, as on a real cluster."""

_PORTS = range(20_000, 32_000)  # below the ports of outgoing connections: one of those could take a broker's port
# while it restarts, even the very client that keeps trying to connect to it
_PORT_ATTEMPTS_MAX = 100
_START_ATTEMPTS_MAX = 3  # where a port that was free a moment ago is not
_LOOK_AGAIN_SECONDS = 0.05
_LOG_TAIL_LINES = 15


class LocalKafkaError(SluiceError):
    """The local broker did not start. The message has the end of its log."""


class PortTaken(LocalKafkaError):
    """Somebody else listens on the port."""


class LocalKafka:
    """One broker. Start, stop, kill and restart block for a second or three: in a coroutine use `asyncio.to_thread`.

    `data_dir`: survives stop and start; without it a temporary one that ends with the object. `port`: of the broker;
    without it a free one, which stays the same over restarts. `settings`: over SINGLE_NODE, in Kafka's own words.
    Where those ask clients who they are: `let_in` tells how to reach the address as one that is let in, and
    `format_arguments`, for Kafka's storage tool, may bring users. `say` is told about work that takes a while.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        *,
        heap_mb: int = 1024,  # a record of 64 MiB is copied several times
        start_seconds_max: float = 60.0,
        settings: Mapping[str, str] | None = None,
        let_in: Callable[[str], Brokers] = Brokers,
        format_arguments: Sequence[str] = (),
        say: Say = print,
    ) -> None:
        self._named_dir = data_dir.absolute() if data_dir else None
        self._asked_port = port
        self._heap_mb = heap_mb
        self._start_seconds_max = start_seconds_max
        self._settings = settings or {}
        self._let_in = let_in
        self._format_arguments = format_arguments
        self._say = say
        self._dir: Path | None = None
        self._port: int | None = None
        self._process: Guarded | None = None
        self._stopped = threading.Event()  # stop() may be called while another thread is in start()
        self._spawning = threading.Lock()

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, once started."""
        if self._port is None:
            raise LocalKafkaError("the local Kafka has no address yet: start it first")
        return f"{HOST}:{self._port}"

    @property
    def brokers(self) -> Brokers:
        """For clients of this process, once started."""
        return self._let_in(self.bootstrap_servers)

    @property
    def pid(self) -> int:
        """Of the broker's JVM, once started."""
        if self._process is None:
            raise LocalKafkaError("the local Kafka has no process yet: start it first")
        return self._process.pid

    @property
    def data_dir(self) -> Path:
        """Where its log and data are, once started."""
        if self._dir is None:
            raise LocalKafkaError("the local Kafka has no data directory yet: start it first")
        return self._dir

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Returns when the broker answers. Raises JavaMissing, JarsUnavailable or LocalKafkaError, stopped again."""
        if self.running:
            return
        self._stopped.clear()
        try:
            jvm = [str(java.find()), "-cp", f"{jars.fetch(self._say)}/*"]
            for attempt in range(1, _START_ATTEMPTS_MAX + 1):
                port = self._port or self._asked_port or free_port()
                try:
                    self._start_at(port, jvm)
                except PortTaken:
                    if self._port or self._asked_port or attempt == _START_ATTEMPTS_MAX:
                        raise
                else:
                    self._port = port
                    return
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the broker, and a temporary data directory with it. May be called at any time, from any thread."""
        with self._spawning:
            self._stopped.set()
        if self._process:
            self._process.close()
        if self._dir and not self._named_dir:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def kill(self) -> None:
        """SIGKILL, as in a crash; `start` brings it back with the same address and data."""
        if self._process:
            self._process.kill()

    def restart(self) -> None:
        """An orderly end and a new start with the same address and data; just a start where it was killed."""
        if self._process:
            self._process.terminate()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except BaseException:  # cancelled: the thread sees that the broker is gone, and ends
            self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _start_at(self, port: int, jvm: list[str]) -> None:
        _require_free(port)
        directory = self._directory()
        log = directory / "broker.log"
        data = directory / "data"
        properties = directory / "server.properties"
        listeners = {"listeners": f"BROKER://{HOST}:{port},CONTROLLER://{HOST}:{(controller := free_port())}"}
        settings = {**SINGLE_NODE, **listeners, "controller.quorum.voters": f"1@{HOST}:{controller}", **self._settings}
        if not data.is_dir():
            self._format(jvm, settings, data, log)
        _write_properties(properties, {**settings, "log.dirs": str(data)})
        options = [f"-Xmx{self._heap_mb}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
        self._spawn([*jvm, *options, *_LOG_OPTIONS, "kafka.Kafka", str(properties)], log)
        self._await_answer(port, log)

    def _directory(self) -> Path:
        if self._dir is None:
            if self._named_dir:
                self._named_dir.mkdir(parents=True, exist_ok=True)
            self._dir = self._named_dir or Path(tempfile.mkdtemp(prefix="sluice-kafka-"))
            (self._dir / "broker.log").write_bytes(b"")  # a new object begins a new log
        return self._dir

    def _format(self, jvm: list[str], settings: Mapping[str, str], data: Path, log: Path) -> None:
        """Makes the data directory a Kafka node's. It appears complete or not at all."""
        unfinished = data.with_name("data.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        properties = data.with_name("format.properties")
        _write_properties(properties, {**settings, "log.dirs": str(unfinished)})
        arguments = ["format", "--cluster-id", CLUSTER_ID, "--config", str(properties), *self._format_arguments]
        quick = "-XX:TieredStopAtLevel=1"  # the JVM lives for half a second
        self._spawn([*jvm, quick, *_LOG_OPTIONS, "kafka.tools.StorageTool", *arguments], log).wait()
        if not (unfinished / "meta.properties").is_file():
            raise self._failed("could not format its data directory", log)
        unfinished.rename(data)
        properties.unlink()

    def _spawn(self, command: list[str], log: Path) -> Guarded:
        """The broker, or the program that formats its data: one at a time, and whichever it is ends with stop()."""
        with self._spawning:
            if self._stopped.is_set():
                raise LocalKafkaError("the local Kafka was stopped while it started")
            self._process = Guarded(command, log=log, remove=None if self._named_dir else self._dir)
            return self._process

    def _await_answer(self, port: int, log: Path) -> None:
        deadline = time.monotonic() + self._start_seconds_max
        while time.monotonic() < deadline:
            if not self.running:
                raise self._failed("ended while it started", log)
            if _listens(port) and asyncio.run(_answers(self._let_in(f"{HOST}:{port}"))):
                return
            time.sleep(_LOOK_AGAIN_SECONDS)
        raise self._failed(f"did not answer within {self._start_seconds_max:g} s", log)

    def _failed(self, what: str, log: Path) -> LocalKafkaError:
        self.kill()
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        tail = "\n  ".join(lines[-_LOG_TAIL_LINES:]) or "(empty)"
        kind = PortTaken if "Address already in use" in tail else LocalKafkaError
        return kind(f"the local Kafka {what}. The end of its log{f' ({log})' if self._named_dir else ''}:\n  {tail}")


_LOG_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


async def _answers(brokers: Brokers) -> bool:
    try:
        await topics_admin.reach(brokers)
    except topics_admin.BrokerUnreachable:
        return False
    return True


def _write_properties(path: Path, settings: Mapping[str, str]) -> None:
    """Java's .properties: a backslash escapes, so those of values are doubled."""
    lines = (f"{key}={value}".replace("\\", "\\\\") for key, value in settings.items())
    path.write_text("\n".join(lines) + "\n")


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    for port in random.sample(_PORTS, _PORT_ATTEMPTS_MAX):
        try:
            _require_free(port)
        except PortTaken:
            continue
        return port
    raise LocalKafkaError(f"none of {_PORT_ATTEMPTS_MAX} ports tried between {_PORTS[0]} and {_PORTS[-1]} is free")


def _require_free(port: int) -> None:
    """Raises where somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: old connections do not count
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of {HOST} cannot be used ({error.strerror}): end the process that listens there"
                f" (`lsof -i :{port}` names it), or choose another port"
            ) from error


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
