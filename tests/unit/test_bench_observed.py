"""What is observed of a program: its speed from the times of its outputs, its CPU and memory from /proc."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from bench import programs
from bench.observed import WARM_UP, Failed, Usage, after_warm_up
from bench.peers.job import Memory, Task
from bench.result import Result
from local import jars

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


def test_a_slow_start_does_not_count() -> None:
    slow, fast = dict.fromkeys(range(0, 10_000, 10), 1), dict.fromkeys(range(10_000, 11_000), 3)
    assert sum(slow.values()) == WARM_UP * sum((slow | fast).values())
    began_s, ended_s, counted = after_warm_up(slow | fast)
    assert counted == sum(fast.values())
    assert counted / (ended_s - began_s) == pytest.approx(3_000, rel=0.02)


def test_bursts_give_their_average() -> None:
    began_s, ended_s, counted = after_warm_up(dict.fromkeys(range(0, 8200, 200), 500))
    assert counted / (ended_s - began_s) == 2_500


def test_outputs_that_arrive_at_once_have_no_speed() -> None:
    with pytest.raises(Failed, match="needs more messages"):
        after_warm_up({1_000: 5_000})


@linux
def test_a_childs_cpu_and_memory_count_too() -> None:
    spin = "import sys; held = b'x' * (64 << 20); print(flush=True)\nwhile True: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    began_s = time.time()
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        usage = Usage(process.pid)
        try:
            process.stdout.readline()
            deadline_s = time.monotonic() + 20
            while usage.cpu_s(time.time()) - usage.cpu_s(began_s) < 0.2 and time.monotonic() < deadline_s:
                time.sleep(0.05)
        finally:
            usage.stop()
            os.killpg(process.pid, signal.SIGKILL)
    assert usage.cpu_s(time.time()) - usage.cpu_s(began_s) >= 0.2
    assert usage.rss_bytes_max > 64 << 20


def test_a_decision_names_its_record(tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    memory.write_bytes(orjson.dumps({"a line": {"label": "routine"}}))
    decision = orjson.loads(Memory(memory).decide("in", 3, 17, 1_000, b"key", b"a line"))
    assert decision == {
        "id": "in/3/17",
        "source": {"topic": "in", "partition": 3, "offset": 17, "key": "key", "timestamp_ms": 1_000},
        "label": "routine",
    }


def test_a_task_is_told_by_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task("batch", "127.0.0.1:9092", "in", "out", Path("memory.json"), 8)
    monkeypatch.setattr(sys, "argv", ["program", *task.arguments()])
    assert Task.told() == task


def test_peers_are_locked_by_hash_and_without_addresses() -> None:
    lock = programs.REQUIREMENTS.read_text()
    assert lock.count("==") > 30
    assert lock.count("==") <= lock.count("--hash=sha256:")
    assert "://" not in lock


def test_kafka_streams_is_of_the_brokers_version() -> None:
    assert f"org.apache.kafka:kafka-streams:{jars.KAFKA_VERSION}" in {
        jar.coordinate for jar in jars.locked(programs.JARS)
    }


def test_what_failed_is_a_line_without_figures() -> None:
    result = Result(
        suite="engine",
        about="About.",
        columns={"messages_per_s": "messages/s", "guarantee": "guarantee"},
        lines={"ours": {"messages_per_s": 123_456.7, "guarantee": "exactly once"}, "theirs": {"guarantee": "failed"}},
    )
    assert result.markdown().splitlines() == [
        "|  | messages/s | guarantee |",
        "| --- | ---: | ---: |",
        "| ours | 123,457 | exactly once |",
        "| theirs | – | failed |",
        "",
        "About.",
    ]
    assert result.json()["lines"][1] == {"line": "theirs", "guarantee": "failed"}
