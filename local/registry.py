"""A real schema registry on this machine, from its jars: Apicurio's, which speaks Confluent's API as well.

    with LocalRegistry() as registry:
        ... registry.url ...

It keeps its schemas in memory, listens on the loopback interface only and ends with this process however that ends.
`python -m local.registry` writes the lock of its jars.
"""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from local import jars, java
from local.guard import Guarded
from local.jars import Say
from local.kafka import HOST, free_port
from processors.errors import SluiceError

VERSION = "2.6.13.Final"
COORDINATE = f"io.apicurio:apicurio-registry-app:{VERSION}:all:tar.gz"  # as it is packed, with all that it needs
LOCK = Path(__file__).with_name("registry-jars.lock")
_API = "/apis/ccompat/v7"
_HEAP_MB = 384
_ANSWER_SECONDS_MAX = 5.0
_LOOK_AGAIN_SECONDS = 0.1
_LOG_TAIL_LINES = 15


class LocalRegistryError(SluiceError):
    """The registry did not start. The message has the end of its log."""


class LocalRegistry:
    """One registry, empty at every start. Start and stop block for seconds: in a coroutine use `asyncio.to_thread`."""

    def __init__(self, *, start_seconds_max: float = 60.0, say: Say = print) -> None:
        self._port = free_port()
        self._start_seconds_max = start_seconds_max
        self._say = say
        self._dir: Path | None = None
        self._process: Guarded | None = None

    @property
    def url(self) -> str:
        """Of the API that Confluent's clients use."""
        return f"http://{HOST}:{self._port}{_API}"

    def start(self) -> None:
        """Returns when it answers. Raises JavaMissing, JarsUnavailable or LocalRegistryError, stopped again."""
        try:
            home = jars.fetch(self._say, lock=LOCK, name=f"registry-{VERSION}")
            self._dir = Path(tempfile.mkdtemp(prefix="sluice-registry-"))
            options = [f"-Xmx{_HEAP_MB}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-XX:TieredStopAtLevel=1"]
            here = [f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={self._port}", f"-Djava.io.tmpdir={self._dir}"]
            program = home / f"apicurio-registry-app-{VERSION}-runner.jar"
            self._process = Guarded(
                [str(java.find()), *options, *here, "-jar", str(program)],
                log=self._dir / "registry.log",
                remove=self._dir,
            )
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends it. May be called at any time, from any thread."""
        if self._process:
            self._process.close()
        if self._dir:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

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

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._start_seconds_max
        while not self._answers():
            if not self._process.running or time.monotonic() > deadline:
                raise LocalRegistryError(
                    f"the schema registry did not start. The end of its log:\n  {self._log_tail()}"
                )
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/subjects", timeout=_ANSWER_SECONDS_MAX):
                return True
        except (URLError, OSError):
            return False

    def _log_tail(self) -> str:
        log = self._dir / "registry.log" if self._dir else None
        lines = log.read_text(errors="replace").splitlines() if log and log.exists() else []
        return "\n  ".join(lines[-_LOG_TAIL_LINES:]) or "(empty)"


if __name__ == "__main__":
    jars.lock((), LOCK, alone=(COORDINATE,), about=f"Apicurio Registry {VERSION} beside Kafka")
