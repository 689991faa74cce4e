"""What worker processes did, written so that it survives kill -9, and read again by the test that killed them.

A line is one write to a file opened for appending: the kernel has it when the call returns, whatever becomes of the
process. Times are of the system's clock, as those of the records are.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

_SUFFIX = ".journal"
_LATELY_BYTES = 64 * 1024

What = Literal[
    "call",  # a model call begins
    "failed",  # it ended with an error after which the engine tries again
    "unavailable",  # the same, because the model is down
    "cancelled",  # it was broken off by the engine
    "ended",  # it ended with what the record comes to: an answer, or the last refusal
    "released",  # the partition is let go: its calls may be another worker's from here on
    "began",  # a transaction; `call`: by which producer
    "held",  # it is kept open
    "committed",
    "aborted",
    "health",  # `partition`: how many are assigned; `offset`: records in flight; `call`: why intake is held
    "stopped",  # the worker's orderly end
]


class Entry(NamedTuple):
    """One line."""

    at_ns: int
    worker: str
    what: What
    partition: int
    offset: int
    call: str  # of a record's asking: all tries of one process at one record have the same; unique in a test


class Journal:
    """A worker's own."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._worker = worker
        self._file = os.open(folder / (worker + _SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, what: What, partition: int = -1, offset: int = -1, call: str = "-") -> None:
        os.write(self._file, f"{time.time_ns()} {self._worker} {what} {partition} {offset} {call}\n".encode())


def read(folder: Path, worker: str = "*") -> list[Entry]:
    """One worker's entries or all, in the order of their time."""
    return sorted(entry for path in folder.glob(worker + _SUFFIX) for entry in _entries(path))


def last(folder: Path, worker: str, what: What) -> Entry | None:
    """The worker's newest entry of a kind; None where it has none lately."""
    path = folder / (worker + _SUFFIX)
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LATELY_BYTES))
        lines = _whole_lines(file.read())
    newest = (_entry(line) for line in reversed(lines[1:]))  # the first may be cut
    return next((entry for entry in newest if entry.what == what), None)


def _entries(path: Path) -> Iterator[Entry]:
    return map(_entry, _whole_lines(path.read_bytes()))


def _whole_lines(content: bytes) -> list[bytes]:
    """Without a last one that is still being written, or that a kill cut at the edge of a page."""
    return content[: content.rfind(b"\n") + 1].splitlines()


def _entry(line: bytes) -> Entry:
    at_ns, worker, what, partition, offset, call = line.decode().split()
    return Entry(int(at_ns), worker, what, int(partition), int(offset), call)  # type: ignore[arg-type]
