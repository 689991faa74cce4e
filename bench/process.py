"""A measurement in a process of its own, so that its CPU and memory are nobody else's."""

import asyncio
import multiprocessing
import resource
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.cost import Cost
from streams import logs

_SECONDS_MAX = 90.0  # a measurement that hangs ends as an error

Work = Callable[..., Coroutine[Any, Any, Cost]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process did."""

    cost: Cost
    rss_mb_max: float  # its most resident memory, the interpreter and all imports included


def measure(work: Work, *arguments: object) -> Measured:
    """Runs `work(*arguments)`, a module's function, in a new interpreter. ChildProcessError where it fails."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()
    with receiver:
        try:
            measured: Measured = receiver.recv()
        except EOFError:
            raise ChildProcessError(f"{work.__name__} failed; its error is above") from None
        finally:
            process.join()
    return measured


def _run(sender: "Connection[Measured, None]", work: Work, arguments: tuple[object, ...]) -> None:
    async def bounded() -> Cost:
        async with asyncio.timeout(_SECONDS_MAX):
            return await work(*arguments)

    logs.set_up("text", "WARNING")
    sender.send(Measured(asyncio.run(bounded()), _rss_mb_max()))


def _rss_mb_max() -> float:
    """Linux hands getrusage's figure on from the process that started this one; its own is in /proc."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    in_bytes = sys.platform == "darwin"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if in_bytes else 1 << 10)
