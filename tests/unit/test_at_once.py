"""Processes that work for one that may be killed."""

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from local.at_once import processes

_WAITS = """
import os, time
from local.at_once import processes
from tests.unit.test_at_once import told

if __name__ == "__main__":
    pool = processes()
    print(pool.submit(told).result(), flush=True)
    pool.submit(time.sleep, 600).result()
"""


def told() -> int:
    return os.getpid()


def test_they_work_elsewhere() -> None:
    with processes() as pool:
        assert isinstance(pool, ProcessPoolExecutor)
        assert pool.submit(told).result() != os.getpid()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_they_end_when_who_began_them_is_killed() -> None:
    command = [sys.executable, "-c", _WAITS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert _works(worker)
        parent.kill()
        parent.wait()
        until_s = time.monotonic() + 30
        while _works(worker) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert not _works(worker)


def _works(pid: int) -> bool:
    """A process that nobody has waited for yet is there, and works no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
