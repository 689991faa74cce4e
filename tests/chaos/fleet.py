"""Worker processes that a test starts, kills, freezes and wakes. None outlives the test, nor the process it runs in."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from local.guard import Guarded
from tests.chaos import journal
from tests.chaos.worker import HOLD, MODEL_DOWN, Work
from tests.kafka.bus import Bus

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60.0  # a loaded machine, and a group that misses a member first
_LOOK_SECONDS = 0.02


class Fault(NamedTuple):
    """What was done to a worker."""

    at_ns: int  # of the journal's clock; a kill or freeze is over by then, a waking not begun
    worker: str
    what: Literal["killed", "frozen", "woken"]


class Fleet:
    """The workers of one test, all alike. `running` are those that a test may do something to."""

    def __init__(
        self, bus: Bus, folder: Path, *, partitions: int, order: Literal["none", "key"], settings: dict[str, Any]
    ) -> None:
        """`partitions`: of the input topic; `settings`: EngineSettings."""
        self.faults: list[Fault] = []
        self.running: list[str] = []
        self.folder = folder
        self._bus = bus
        self._partitions = partitions
        self._order: Literal["none", "key"] = order
        self._settings = settings
        self._frozen: set[str] = set()
        self._processes: dict[str, Guarded] = {}
        self._names = (f"w{number}" for number in itertools.count(1))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes.values():
            if process.running:
                os.kill(process.pid, signal.SIGKILL)
        await asyncio.gather(*(asyncio.to_thread(process.close) for process in self._processes.values()))

    # --- one worker ------------------------------------------------------------------------------

    async def start(self) -> str:
        """A new worker's name. Returns at once: `serving` waits until it works."""
        name = next(self._names)
        work = Work(
            name=name,
            folder=str(self.folder),
            bootstrap_servers=self._bus.bootstrap_servers,
            prefix=self._bus.prefix,
            order=self._order,
            settings=self._settings,
        )
        command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.chaos.worker", work.to_json()]
        log = self.folder / f"{name}.log"
        self._processes[name] = await asyncio.to_thread(Guarded, command, log=log, grace_s=0.0)
        self.running.append(name)
        return name

    async def kill(self, name: str) -> None:
        """SIGKILL; returns when it is gone."""
        self._alive(name)
        self.running.remove(name)
        self._frozen.discard(name)
        await asyncio.to_thread(self._processes[name].kill)
        self._note(name, "killed")

    async def freeze(self, name: str) -> None:
        """SIGSTOP; returns when it has stopped."""
        self._alive(name)
        stat = Path(f"/proc/{self._processes[name].pid}/stat")
        os.kill(self._processes[name].pid, signal.SIGSTOP)
        await self.until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", f"{name} frozen")
        self._frozen.add(name)
        self._note(name, "frozen")

    def wake(self, name: str) -> None:
        """SIGCONT."""
        self._alive(name)
        self._note(name, "woken")
        self._frozen.discard(name)
        os.kill(self._processes[name].pid, signal.SIGCONT)

    async def end(self, name: str) -> None:
        """SIGTERM once it is up; returns when it has ended, and in order."""
        await self.until(lambda: journal.last(self.folder, self._alive(name), "health"), f"{name} started")
        self.running.remove(name)
        await asyncio.wait_for(asyncio.to_thread(self._processes[name].terminate), SECONDS_MAX)
        if journal.last(self.folder, name, "stopped") is None:
            raise AssertionError(f"{name} did not end in order:\n{self.log(name)}")

    # --- all of them -----------------------------------------------------------------------------

    async def serving(self) -> None:
        """Waits until every partition is read, by as many of the workers as are not frozen."""

        def all_read() -> bool:
            awake = [name for name in self.running if name not in self._frozen]
            told = [journal.last(self.folder, self._alive(name), "health") for name in awake]
            since = time.time_ns() - 1_000_000_000
            fresh = [entry.partition for entry in told if entry is not None and entry.at_ns > since]
            return len(fresh) == len(awake) and -1 not in fresh and sum(fresh) == self._partitions

        await self.until(all_read, f"{self._partitions} partitions read by {self.running}")

    async def end_all(self) -> None:
        """All that run, at once and in order."""
        await asyncio.gather(*(self.end(name) for name in list(self.running)))

    @contextlib.contextmanager
    def model_down(self) -> Any:
        """No model call succeeds meanwhile."""
        with self._flag(MODEL_DOWN):
            yield

    @contextlib.asynccontextmanager
    async def transaction_held(self) -> Any:
        """Gives the name of a worker whose transaction is held open before its commit; others are held likewise."""
        since = time.time_ns()
        with self._flag(HOLD):
            held: list[str] = []

            def any_held() -> bool:
                for name in self.running:
                    began = journal.last(self.folder, self._alive(name), "held")
                    if began is not None and began.at_ns > since and name not in self._frozen:
                        held.append(name)
                return bool(held)

            await self.until(any_held, "a transaction that is held open")
            yield held[0]

    async def until(self, true: Any, what: str) -> None:
        """Waits for something that a worker brings about."""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while not true():  # noqa: ASYNC110 a process sets no event
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"{what}: not within {SECONDS_MAX:.0f} s; see {self.folder}") from None

    def log(self, name: str) -> str:
        """The end of its error output."""
        return (self.folder / f"{name}.log").read_text()[-4_000:]

    def _alive(self, name: str) -> str:
        """Its name again; nobody but the test may end a worker."""
        if not self._processes[name].running:
            raise AssertionError(f"{name} has ended by itself:\n{self.log(name)}")
        return name

    def _note(self, name: str, what: Literal["killed", "frozen", "woken"]) -> None:
        self.faults.append(Fault(time.time_ns(), name, what))

    @contextlib.contextmanager
    def _flag(self, name: str) -> Any:
        (self.folder / name).touch()
        try:
            yield
        finally:
            (self.folder / name).unlink()
