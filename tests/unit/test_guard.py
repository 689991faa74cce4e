"""A guarded command ends with its parent, whatever becomes of the parent. Real processes, no broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.guard import Guarded

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('awake', flush=True); time.sleep(600)",
]
PARENT = """
import signal, sys, time
from pathlib import Path
from local.guard import Guarded
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that began this in its background has it ignored
work = Path(sys.argv[1])
guarded = Guarded(sys.argv[2:], log=work / "log", grace_s=0.2, remove=work / "data")
print(guarded.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool]) -> bool:
    """Looks for at most ten seconds, which only a failing test takes."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.02)
    return False


def wait_for_output(log: Path) -> None:
    assert eventually(lambda: log.exists() and "awake" in log.read_text())


def test_the_command_has_the_environment_that_is_given(tmp_path: Path) -> None:
    show = [sys.executable, "-c", "import os; print(os.environ['GREETING'], 'HOME' in os.environ)"]
    Guarded(show, log=tmp_path / "log", env={"GREETING": "hello"}).wait()
    assert (tmp_path / "log").read_text() == "hello False\n"


def test_close_ends_the_command_and_removes_the_directory(tmp_path: Path) -> None:
    (data := tmp_path / "data").mkdir()
    guarded = Guarded(SLEEP, log=tmp_path / "log", remove=data)
    assert guarded.running
    guarded.close()
    assert not guarded.running
    assert not alive(guarded.pid)
    assert not data.exists()
    guarded.close()  # again does nothing


def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    guarded = Guarded(STUBBORN, log=tmp_path / "log", grace_s=0.2)
    wait_for_output(tmp_path / "log")
    guarded.close()
    assert not alive(guarded.pid)


@pytest.mark.parametrize("end", [Guarded.kill, Guarded.terminate])
def test_kill_and_terminate_keep_the_directory(tmp_path: Path, end: Callable[[Guarded], None]) -> None:
    (data := tmp_path / "data").mkdir()
    guarded = Guarded(SLEEP, log=tmp_path / "log", remove=data)
    end(guarded)
    assert not alive(guarded.pid)
    assert data.exists()
    end(guarded)  # again does nothing


def test_a_command_that_cannot_be_started_is_said_in_the_log(tmp_path: Path) -> None:
    guarded = Guarded([str(tmp_path / "missing")], log=tmp_path / "log")
    assert not guarded.running
    assert "FileNotFoundError" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("command", [SLEEP, STUBBORN], ids=["sleep", "stubborn"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_when_its_parent_is_killed(tmp_path: Path, command: list[str], signum: signal.Signals) -> None:
    (data := tmp_path / "data").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_for_output(tmp_path / "log")
        assert alive(pid)
        parent.send_signal(signum)
    assert eventually(lambda: not alive(pid))
    assert eventually(lambda: not data.exists())


def test_the_command_ends_with_its_guard_where_the_guard_is_told_to(tmp_path: Path) -> None:
    guarded = Guarded(SLEEP, log=tmp_path / "log")
    guard_pid = int(Path(f"/proc/{guarded.pid}/stat").read_text().split()[3]) if Path("/proc").is_dir() else None
    if guard_pid is None:
        pytest.skip("the guard's own process id is read from /proc")
    os.kill(guard_pid, signal.SIGTERM)
    assert eventually(lambda: not alive(guarded.pid))
    guarded.close()
