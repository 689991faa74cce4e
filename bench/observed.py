"""A program that works a topic off, observed from outside: the same eyes for every framework. Linux only.

Its speed is read from its output topic, where the broker notes when each record arrives; its CPU and memory from
/proc, over all of its processes. It has a core of its own, the broker and this process have the others. The first
part of its outputs is not counted: interpreters start, JVMs compile, groups form.
"""

import asyncio
import bisect
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import kafka
from bench.kafka import Topic
from local.guard import Guarded

WARM_UP = 0.25  # of the outputs
_SECONDS_MAX = 120.0  # of one program, however busy the machine is with others
_QUIET_SECONDS = 1.0  # without another output: it is done
_LOOK_SECONDS = 0.1
_GRACE_SECONDS = 2.0  # from SIGTERM to SIGKILL
_LOG_CHARS = 600  # of a program that failed
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []  # elsewhere it is only imported
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """The program did not do its job: an output is missing, or doubled, or came too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a program did, its warm-up left out."""

    per_s: float  # messages
    cpu_us_each: float  # which is CPU-seconds a million
    rss_mb_max: float  # of all its processes together, from start to end


def observe(command: Sequence[str], brokers: str, topic: Topic, output: Topic, log: Path) -> Observed:
    """Runs the command until every record of `topic` has led to one of `output`, which begins empty. Raises Failed."""
    with _on(_CORES[-1:]):
        program = Guarded(command, log=log, grace_s=_GRACE_SECONDS)
    usage = Usage(program.pid)
    try:
        asyncio.run(_until_done(program, brokers, topic, output))
        arrivals = asyncio.run(_arrivals(brokers, topic, output))
    except Failed as error:
        raise Failed(f"{error} {log.read_text(errors='replace')[-_LOG_CHARS:].strip()}") from None
    finally:
        usage.stop()
        program.close()
    began_s, ended_s, counted = after_warm_up(arrivals)
    return Observed(
        per_s=counted / (ended_s - began_s),
        cpu_us_each=(usage.cpu_s(ended_s) - usage.cpu_s(began_s)) / counted * 1e6,
        rss_mb_max=usage.rss_bytes_max / (1 << 20),
    )


@contextmanager
def beside() -> Iterator[None]:
    """This process, and what it starts in here, leave the last core to the programs that are observed."""
    with _on(_CORES[:-1]):
        yield


@contextmanager
def _on(cores: Sequence[int]) -> Iterator[None]:
    """Children inherit it. With a single core there is nothing to choose."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- outputs -------------------------------------------------------------------------------------


async def _until_done(program: Guarded, brokers: str, topic: Topic, output: Topic) -> None:
    """Returns when there are enough outputs, all are committed, and for a while no more have come."""
    began = changed = time.monotonic()
    seen = (0, 0)
    async with kafka.reader(brokers, "read_uncommitted") as written, kafka.reader(brokers) as committed:
        wanted = sum((await kafka.ends(written, topic)).values())
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            ends = [sum((await kafka.ends(reader, output)).values()) for reader in (written, committed)]
            if seen != (seen := (ends[0], ends[1])):
                changed = now
            if seen[0] == seen[1] >= wanted and now - changed >= _QUIET_SECONDS:
                return
            if not program.running:
                raise Failed("It ended by itself.")
            if now - began > _SECONDS_MAX:
                raise Failed(f"{seen[1]:,} of {wanted:,} outputs after {_SECONDS_MAX:.0f} s.")


async def _arrivals(brokers: str, topic: Topic, output: Topic) -> Mapping[int, int]:
    """How many outputs arrived in each millisecond. Raises Failed where an input has no output, or more than one."""
    arrivals: Counter[int] = Counter()
    async with kafka.reader(brokers) as reader:
        inputs = await kafka.ends(reader, topic)
        outputs = {partition: bytearray(end) for partition, end in inputs.items()}  # of each input: how many
        async for record in kafka.read(reader, output):
            arrivals[record.timestamp] += 1
            begin = record.value.index(b'"id":"') + 6
            _, partition, offset = record.value[begin : record.value.index(b'"', begin)].rsplit(b"/", 2)
            outputs[int(partition)][int(offset)] += 1
    missing = sum(counts.count(0) for counts in outputs.values())
    doubled = arrivals.total() + missing - sum(inputs.values())
    if missing or doubled:
        raise Failed(f"{missing:,} outputs are missing, {doubled:,} too many.")
    return arrivals


def after_warm_up(arrivals: Mapping[int, int]) -> tuple[float, float, int]:
    """When the warm-up was over and when all was, in epoch seconds, and how many outputs arrived in between.

    `arrivals`: outputs by epoch millisecond. Those that arrived together with the warm-up's last are of the warm-up.
    Raises Failed.
    """
    left = sum(arrivals.values())
    cold = left * WARM_UP
    for began_ms in sorted(arrivals):
        cold -= arrivals[began_ms]
        left -= arrivals[began_ms]
        if cold <= 0:
            break
    if not left:
        raise Failed("All outputs arrived at once: it needs more messages.")
    return began_ms / 1000, max(arrivals) / 1000, left


# --- processes -----------------------------------------------------------------------------------


class Usage:
    """CPU and memory of a process and all that it started, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.rss_bytes_max = 0
        self._pid = pid
        self._cpu: list[tuple[float, float]] = []  # epoch seconds, CPU seconds so far
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def cpu_s(self, at_s: float) -> float:
        """CPU seconds that were used by then; 0 before the first look at it."""
        return _interpolated(self._cpu, at_s) if self._cpu else 0.0

    def _run(self) -> None:
        while True:
            try:
                used = [_used(pid) for pid in _tree(self._pid)]
            except (FileNotFoundError, ProcessLookupError):  # one of them has just ended
                used = []
            if used:
                self._cpu.append((time.time(), sum(cpu_s for cpu_s, _ in used)))
                self.rss_bytes_max = max(self.rss_bytes_max, sum(rss for _, rss in used))
            if self._stopped.wait(_LOOK_SECONDS):
                return


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _used(pid: int) -> tuple[float, int]:
    """Seconds of CPU, its ended children's among them, and bytes of memory."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may hold blanks
    ticks = sum(map(int, after_name[11:15]))
    return ticks / _TICKS_PER_SECOND, int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def _interpolated(points: Sequence[tuple[float, float]], x: float) -> float:
    """Of a line through the points, flat before the first and after the last."""
    right = bisect.bisect(points, (x,))
    (x0, y0), (x1, y1) = points[max(right - 1, 0)], points[min(right, len(points) - 1)]
    return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
