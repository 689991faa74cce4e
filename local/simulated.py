"""The simulated provider as a process of its own, up as long as a context is open."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from processors.errors import ConfigurationError

SIMULATED = "simulated (stand-in on this machine; no model answered)"
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Provider:
    """Where models are asked. `env` is what the gateway reads instead of the caller's environment."""

    name: str
    env: Mapping[str, str]


@asynccontextmanager
async def provider(
    gold: Sequence[Path] = (), *, seed: int = 0, latency_scale: float = 1.0, errors: Path | None = None
) -> AsyncIterator[Provider]:
    """The simulated provider as a process of its own.

    It ends when its standard input closes, so that a killed parent leaves nothing behind.
    """
    command = [sys.executable, "-m", "local.standin", "--port", "0", "--seed", str(seed)]
    command += ["--latency-scale", str(latency_scale), "--until-eof"]
    command += [option for path in gold for option in ("--gold", str(path))]
    command += ["--errors", str(errors)] if errors else []
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us: it answers until the stages are done
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = await process.stdout.readline()
        if not line:
            raise ConfigurationError(
                f"the stand-in provider did not start (exit code {await process.wait()}): see its message above"
            )
        base_url: str = orjson.loads(line)["base_url"]
        yield Provider(SIMULATED, {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-simulated"})
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
