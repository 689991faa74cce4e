"""What happened in one schedule, in order: what checkers look at, and what a person reads after a failure."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from streams.engine.broker import Committed
from tests.simulation.loop import PROCESS


class Event(NamedTuple):
    """One thing that happened."""

    at_s: float  # since the schedule's beginning
    process: str  # that did it
    what: str
    details: tuple[Any, ...]

    def __str__(self) -> str:
        told = " ".join(map(_tell, self.details))
        return f"{self.at_s:9.4f}  {self.process:<7} {self.what:<10} {told}"


class History:
    """Grows until it is closed."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False
        self._watchers: dict[str, list[Callable[[Event], None]]] = {}

    def note(self, what: str, *details: Any, process: str | None = None) -> None:
        """Details are told by `str` when the history is printed: give what does not change."""
        if self.closed:
            return
        at_s = asyncio.get_running_loop().time()
        event = Event(at_s, PROCESS.get() if process is None else process, what, details)
        self.events.append(event)
        for watcher in self._watchers.pop(what, ()):
            watcher(event)

    def watch(self, what: str, watcher: Callable[[Event], None]) -> None:
        """Calls it once, with the next event of the kind."""
        self._watchers.setdefault(what, []).append(watcher)

    def of(self, *what: str) -> Iterator[Event]:
        """The events of these kinds."""
        return (event for event in self.events if event.what in what)


def _tell(detail: Any) -> str:
    if isinstance(detail, TopicPartition):
        return f"{detail.topic}/{detail.partition}"
    return str(tuple(detail)) if isinstance(detail, Committed) else str(detail)


@contextlib.contextmanager
def logged(name: str, history: History) -> Iterator[None]:
    """What a logger is told is part of the history, and of nothing else."""
    log = logging.getLogger(name)
    handler = _Into(history)
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


class _Into(logging.Handler):
    def __init__(self, history: History) -> None:
        super().__init__(logging.WARNING)
        self._history = history

    def emit(self, record: logging.LogRecord) -> None:
        if not self._history.closed:
            self._history.note("log", record.getMessage())
