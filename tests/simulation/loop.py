"""An asyncio event loop on virtual time that runs several processes at once and can freeze each of them.

A process is a value of the context variable PROCESS: tasks inherit it, and so does whatever they start. Handles of one
process run in the order that asyncio promises; those of different processes are interleaved by the seed.
"""

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="broker")

_HANDLE_SECONDS = 5e-6  # of work: so that busy processes do not stop the time for all
_BURIAL_STEPS_MAX = 100_000


class Stuck(AssertionError):
    """The bound on steps or on virtual time is reached, or nothing is left that could happen."""


class Loop(asyncio.AbstractEventLoop):
    """Runs until a future is done; nothing happens in between."""

    def __init__(self, rng: random.Random, *, seconds_max: float, steps_max: int) -> None:
        self._rng = rng
        self._now = 0.0
        self._seconds_max = seconds_max
        self._steps_left = steps_max
        self._timers: list[tuple[float, int, str, asyncio.TimerHandle]] = []
        self._ready: dict[str, deque[asyncio.Handle]] = {}  # by process
        self._frozen: set[str] = set()
        self._tasks: list[asyncio.Task[Any]] = []
        self._count = 0
        self.errors: list[str] = []  # what asyncio would have logged: exceptions that nobody retrieved, and the like

    # --- for the simulation ----------------------------------------------------------------------

    def start(self, process: str, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs the coroutine as the main task of a process."""
        return self.create_task(coro, name=process, context=self.context_of(process))

    def context_of(self, process: str) -> contextvars.Context:
        """For a callback that is to run as part of a process."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, process)
        return context

    def freeze(self, process: str) -> None:
        """As SIGSTOP: nothing of it runs until `thaw`. A process that is killed is never thawed."""
        self._frozen.add(process)

    def thaw(self, process: str) -> None:
        """As SIGCONT: what has become due meanwhile runs late."""
        self._frozen.discard(process)

    def run_until_complete(self, future: asyncio.Future[T]) -> T:  # type: ignore[override]
        asyncio._set_running_loop(self)
        try:
            while not future.done():
                self._step()
        finally:
            asyncio._set_running_loop(None)
        return future.result()

    def bury(self) -> None:
        """Ends every task that is left, those of frozen processes too, so that no coroutine is left behind."""
        self.errors += [f"{t!r} failed and nobody knows" for t in self._tasks if t.done() and t._log_traceback]
        self._frozen.clear()
        self._seconds_max, self._steps_left = float("inf"), _BURIAL_STEPS_MAX
        while left := [task for task in self._tasks if not task.done()]:
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        for task in self._tasks:
            if not task.cancelled():
                task.exception()  # of what was buried
        self._tasks.clear()
        self._timers.clear()
        self._ready.clear()

    def _step(self) -> None:
        """Runs one handle, of a process that the seed picks; with none ready, time jumps to the next timer."""
        while True:
            timers = self._timers
            while timers and timers[0][0] <= self._now:
                _, _, process, timer = heapq.heappop(timers)
                if not timer.cancelled():
                    self._queue(process).append(timer)
            runnable = [queue for process, queue in self._ready.items() if queue and process not in self._frozen]
            if runnable:
                break
            if not timers:
                raise Stuck(f"nothing is left that could happen, at {self._now:.3f} s")
            self._now = timers[0][0]
        if self._now > self._seconds_max or self._steps_left <= 0:
            raise Stuck(f"not done at {self._now:.3f} s, {self._steps_left} steps before the bound")
        self._steps_left -= 1
        self._now += _HANDLE_SECONDS
        queue = runnable[int(self._rng.random() * len(runnable))] if len(runnable) > 1 else runnable[0]
        handle = queue.popleft()
        if not handle.cancelled():
            handle._run()

    def _queue(self, process: str) -> deque[asyncio.Handle]:
        queue = self._ready.get(process)
        if queue is None:
            queue = self._ready[process] = deque()
        return queue

    # --- for asyncio -----------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if context is None:
            context = contextvars.copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        self._queue(context.get(PROCESS, "broker")).append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        if context is None:
            context = contextvars.copy_context()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, context.get(PROCESS, "broker"), timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, T], **kwargs: Any) -> asyncio.Task[T]:  # type: ignore[override]
        self._count += 1
        task = _Task(self._count, coro, loop=self, **kwargs)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context['message']}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when they are due."""


class _Task(asyncio.Task[Any]):
    """Numbered: asyncio keeps tasks in sets, whose order would be that of their addresses."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> None:
        self._number = number
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self._number
