"""Programs of a suite that report to it while they run: JSON on their standard output, a line a report."""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

import orjson

from processors.errors import SluiceError

Report = Mapping[str, Any]

_END_SECONDS_MAX = 30.0


class ChildFailed(SluiceError):
    """A program ended, or said nothing, before it had done its part; what it wrote to standard error is above."""


class Child:
    """`python -m MODULE JSON`, the task being its only argument. It is to end when its standard input does: so it
    outlives neither this object nor this process."""

    def __init__(self, module: str, task: Mapping[str, Any]) -> None:
        self.reports: list[Report] = []  # so far; only ever appended to
        self._module = module
        self._news = threading.Condition()
        self._silent = False
        command = [sys.executable, "-m", module, orjson.dumps(task).decode()]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def tell(self, words: Mapping[str, Any]) -> None:
        """A line of JSON to its standard input. What it has ended by is for `wait_for` to say."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(orjson.dumps(words) + b"\n")
            self._process.stdin.flush()

    def wait_for(self, enough: Callable[[Report], bool], seconds_max: float) -> Report:
        """The first report, old ones among them, that is enough. Raises ChildFailed where none comes in time."""

        def found() -> Report | None:
            return next(filter(enough, self.reports), None)

        with self._news:
            self._news.wait_for(lambda: self._silent or found() is not None, seconds_max)
            if (report := found()) is not None:
                return report
        last = self.reports[-1] if self.reports else "nothing"
        how = "ended" if self._silent else f"was not done after {seconds_max:.0f} s"
        raise ChildFailed(f"{self._module} {how}; its last report: {last}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.reports.append(orjson.loads(line))
                self._news.notify_all()
        with self._news:
            self._silent = True
            self._news.notify_all()


# --- for the programs themselves ------------------------------------------------------------------


def report(figures: Report) -> None:
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    sys.stdout.buffer.flush()


def told() -> Mapping[str, Any]:
    """What `tell` said; waits for it, and ends the program where nobody will say anything any more."""
    if not (line := sys.stdin.readline()):
        sys.exit("nobody is there any more")
    words: Mapping[str, Any] = orjson.loads(line)
    return words
