"""A real Alertmanager (Debian's) to notify."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.kafka.engines import until

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needed = pytest.mark.skipif(BINARY is None, reason="no Alertmanager here: apt-get install prometheus-alertmanager")

_CONFIG = """
global: { resolve_timeout: 1s }
route: { receiver: nobody }
receivers: [{ name: nobody }]
"""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A process that listens at `url`."""

    url: str
    folder: Path

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It knows nothing of a life before: alerts are kept in memory only. Killed at the end."""
        (self.folder / "alertmanager.yml").write_text(_CONFIG)
        address = self.url.removeprefix("http://")
        assert BINARY is not None
        with (self.folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                BINARY,
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'data'}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
                stdout=log,
                stderr=log,
            )
            try:
                await until(self._ready, f"Alertmanager's start, see {self.folder / 'log'}")
                yield
            finally:
                process.kill()
                await process.wait()

    async def firing(self, label: str = "number") -> set[str]:
        """That label of each alert that fires there."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/api/v2/alerts") as response:
            return {one["labels"][label] for one in await response.json()}

    async def fires(self, *numbers: int) -> None:
        async def so() -> bool:
            return await self.firing() == {str(number) for number in numbers}

        await until(so, f"{numbers} to be what fires")

    async def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/-/ready") as response:
                return response.status == 200
        return False
