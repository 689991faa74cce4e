"""A real Kafka Connect worker on this machine, from its jars, with Debezium's connectors beside it.

    with LocalConnect(kafka.bootstrap_servers, env={"LOGS_FILE": "/tmp/app.log"}) as connect:
        connect.create(Path("k8s/connect/logs-file.json"))

It runs distributed, as in production, with sources that write exactly once. Its REST interface is on loopback only.
"""

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson

from local import java
from local.connect import jars
from local.guard import Guarded
from local.jars import Say
from local.kafka import HOST, free_port
from processors.errors import SluiceError

_SETTINGS: Mapping[str, str] = {
    "group.id": "connect",
    "offset.storage.topic": "connect-offsets",
    "config.storage.topic": "connect-configs",
    "status.storage.topic": "connect-status",
    "offset.storage.replication.factor": "1",
    "config.storage.replication.factor": "1",
    "status.storage.replication.factor": "1",
    "offset.storage.partitions": "1",
    "status.storage.partitions": "1",
    "offset.flush.interval.ms": "1000",  # what a sink has written and a killed worker forgets is written again
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "exactly.once.source.support": "enabled",
    "plugin.discovery": "service_load",  # all plugins here declare themselves; looking for others takes seconds
    "session.timeout.ms": "6000",  # the broker's least; a killed worker's work is taken up again after it
    "heartbeat.interval.ms": "2000",
    "scheduled.rebalance.max.delay.ms": "0",  # else the work of a killed worker waits five minutes for its return
    "config.providers": "env",
    "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
}
_HEAP_MB = 512
_LOG_OPTIONS = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
_ANSWER_SECONDS_MAX = 30.0  # of one request: a rebalance may be under way
_LOOK_AGAIN_SECONDS = 0.2
_LOG_TAIL_LINES = 25


class LocalConnectError(SluiceError):
    """The worker did not start, or a connector does not run. The message has its own words."""


class LocalConnect:
    """One worker. All that it does blocks, some of it for seconds: in a coroutine use `asyncio.to_thread`.

    `env`: what configurations refer to as `${env:NAME}`; they see nothing else of the environment. What the worker
    knows is on the broker: after a kill and a start it goes on where it was.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        env: Mapping[str, str] | None = None,
        start_seconds_max: float = 90.0,
        say: Say = print,
    ) -> None:
        self.url = f"http://{HOST}:{free_port()}"
        self._bootstrap_servers = bootstrap_servers
        self._env = dict(env or {})
        self._start_seconds_max = start_seconds_max
        self._say = say
        self._dir: Path | None = None
        self._process: Guarded | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Returns when it is ready for work. Raises JavaMissing, JarsUnavailable or LocalConnectError, stopped."""
        if self.running:
            return
        try:
            jvm = [str(java.find()), "-cp", f"{jars.worker(self._say)}/*"]
            plugins = jars.plugins(self._say)
            self._dir = self._dir or Path(tempfile.mkdtemp(prefix="sluice-connect-"))
            allowed = {"config.providers.env.param.allowlist.pattern": "|".join(map(re.escape, self._env))}
            here = {"bootstrap.servers": self._bootstrap_servers, "listeners": self.url, "plugin.path": str(plugins)}
            lines = [f"{key}={value}" for key, value in {**_SETTINGS, **allowed, **here}.items()]
            properties = self._dir / "worker.properties"
            properties.write_text("\n".join(lines) + "\n")
            options = [f"-Xmx{_HEAP_MB}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", *_LOG_OPTIONS]
            self._process = Guarded(
                [
                    *jvm,
                    *options,
                    "org.apache.kafka.connect.cli.ConnectDistributed",
                    str(self._dir / "worker.properties"),
                ],
                log=self._dir / "connect.log",
                remove=self._dir,
                env={**os.environ, **self._env},
            )
            self._until(self._healthy, "did not become ready", self._start_seconds_max)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the worker. May be called at any time, from any thread."""
        if self._process:
            self._process.close()
        if self._dir:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def kill(self) -> None:
        """SIGKILL, as in a crash; `start` brings it back, and its connectors with it."""
        if self._process:
            self._process.kill()

    def create(self, configuration: Path) -> str:
        """Makes or changes the connector of a file `{"name", "config"}`; returns its name when all of it runs.

        Raises LocalConnectError.
        """
        described = orjson.loads(configuration.read_bytes())
        name: str = described["name"]
        status, answer = self._ask("PUT", f"/connectors/{name}/config", described["config"])
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise LocalConnectError(f"Connect refused {configuration.name}: {answer}")
        self.await_running(name)
        return name

    def delete(self, name: str) -> None:
        """Ends a connector; where it has read and written to is forgotten too."""
        self._ask("DELETE", f"/connectors/{name}")

    def await_running(self, name: str) -> None:
        """Returns when the connector and at least one task of it run. Raises LocalConnectError."""
        self._until(lambda: self._runs(name), f"did not run connector '{name}'", _ANSWER_SECONDS_MAX)

    def failures(self) -> dict[str, str]:
        """Connectors that failed, or a task of theirs → the trace."""
        _, names = self._ask("GET", "/connectors")
        failed = {}
        for name in names:
            for part in self._parts(name):
                if part["state"] == "FAILED":
                    failed[name] = part.get("trace", "")
        return failed

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _healthy(self) -> bool:
        try:
            return self._ask("GET", "/health")[0] == HTTPStatus.OK
        except OSError:
            return False

    def _runs(self, name: str) -> bool:
        parts = self._parts(name)
        for part in parts:
            if part["state"] == "FAILED":
                raise LocalConnectError(f"connector '{name}' failed: {part.get('trace', '')}")
        return len(parts) > 1 and all(part["state"] == "RUNNING" for part in parts)

    def _parts(self, name: str) -> list[dict[str, Any]]:
        """The connector itself and its tasks; nothing where Connect does not know it yet."""
        status, answer = self._ask("GET", f"/connectors/{name}/status")
        return [answer["connector"], *answer["tasks"]] if status == HTTPStatus.OK else []

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else orjson.dumps(body)
        request = Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=_ANSWER_SECONDS_MAX) as response:
                return response.status, orjson.loads(response.read() or b"null")
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode(errors="replace")

    def _until(self, holds: Callable[[], bool], failed: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if not self.running or time.monotonic() > deadline:
                raise LocalConnectError(f"Kafka Connect {failed}. The end of its log:\n  {self._log_tail()}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _log_tail(self) -> str:
        log = self._dir / "connect.log" if self._dir else None
        lines = log.read_text(errors="replace").splitlines() if log and log.exists() else []
        return "\n  ".join(lines[-_LOG_TAIL_LINES:]) or "(empty)"
