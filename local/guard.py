"""A process that must not outlive the one that started it, kill -9 included.

The parent starts this file as a program of its own (the guard), which starts the command. Guard and command share a
session apart from the parent's, so that Ctrl-C in a terminal reaches the parent alone, which then stops them in order.
The guard's standard input is a pipe that only the parent holds: it ends when the parent closes it or dies, however
that happens, and then the guard ends the command. Works wherever there are POSIX pipes and sessions.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class Guarded:
    """A command under a guard. Its output is appended to `log`.

    `grace_s`: seconds between SIGTERM and SIGKILL. `remove`: a directory that goes with the parent: deleted when the
    command was ended by `close` or by the parent's death, but not when it ended otherwise. `env`: the command's whole
    environment; without it the parent's.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        grace_s: float = 10.0,
        remove: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        program = [sys.executable, "-I", "-S", __file__, str(grace_s), str(remove or ""), *command]
        with log.open("ab") as out:
            self._guard = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, start_new_session=True, env=env
            )
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._pipe = self._guard.stdin
        with self._guard.stdout as first_line:
            self.pid = int(first_line.readline() or 0)
        if not self.pid:  # the command could not be started; the log says why
            self.wait()

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def wait(self) -> None:
        """Returns when the command has ended by itself or otherwise."""
        self._guard.wait()
        self._pipe.close()

    def close(self) -> None:
        """Ends the command and returns when it is gone. Does nothing where it is gone already."""
        self._pipe.close()
        self._guard.wait()

    def terminate(self) -> None:
        """SIGTERM to the command, as a supervisor would; its directory stays."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the command, as a crash would; its directory stays."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, signum)
        self.wait()


def main(grace_s: float, remove: str, command: Sequence[str]) -> int:
    """The guard itself. The exit code is the command's."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signum, lambda *_: child.terminate())
    print(child.pid, flush=True)
    os.close(sys.stdout.fileno())
    parent_gone = threading.Event()

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read: that holds a lock which the interpreter needs at exit
        parent_gone.set()
        child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    if remove and parent_gone.is_set():
        shutil.rmtree(remove, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
