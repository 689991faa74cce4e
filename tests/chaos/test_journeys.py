"""What a newcomer does, from one end to the other, and what is left behind when it is broken off: nothing."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from local.demo.policy import FILE as DEMO_POLICY
from local.kafka import HOST, free_port
from local.samples import generate, jsonl
from local.samples.generate import MESSAGES_MIN
from processors.policy import Tiers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc"),
]

SLUICE = Path(sys.executable).with_name("sluice")
EXAMPLES = Path(__file__).parents[2] / "examples"
README = EXAMPLES.parent / "README.md"
SECONDS_MAX = 150.0  # a loaded machine starts a broker and three Python processes
GONE_SECONDS_MAX = 30.0  # a broker is given ten to end in order


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder to work in. What is started from here, and all that it starts, carries a mark in its environment."""

    folder: Path
    mark: str = field(default_factory=lambda: f"SLUICE_JOURNEY={uuid.uuid4()}")

    @contextlib.asynccontextmanager
    async def started(
        self, *command: str | Path, env: Mapping[str, str] | None = None, stdin: int | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process in a group of its own, as a terminal's shell starts one; its error output goes where its output
        goes. Killed where the test has not ended it."""
        name, _, value = self.mark.partition("=")
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=os.environ | {name: value, "SLUICE_HTTP_PORT": "0"} | dict(env or {}),
            stdin=stdin if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()

    async def run(self, *command: str | Path, env: Mapping[str, str] | None = None, lines: str = "") -> tuple[int, str]:
        """Exit code and output of a command that is given `lines` to read."""
        async with self.started(*command, env=env, stdin=asyncio.subprocess.PIPE) as process:
            output, _ = await asyncio.wait_for(process.communicate(lines.encode()), SECONDS_MAX)
            assert process.returncode is not None
            return process.returncode, output.decode()

    def left(self) -> list[str]:
        """What runs of all that was started from here, as command lines."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    async def nothing_is_left(self) -> None:
        for _ in range(int(GONE_SECONDS_MAX * 10)):
            if not self.left():
                return
            await asyncio.sleep(0.1)
        pytest.fail(f"still there after {GONE_SECONDS_MAX:.0f} s: {self.left()}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def read_until(process: asyncio.subprocess.Process, pattern: str) -> str:
    """The output so far, once it has a match; fails where it ends before."""
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(SECONDS_MAX):
        while not re.search(pattern, seen):
            line = await process.stdout.readline()
            assert line, f"ended without {pattern!r}:\n{seen}"
            seen += line.decode()
    return seen


async def test_the_demo_shows_every_tier_at_work_and_loses_nothing(desk: Desk) -> None:
    # The caller's own broker and key are not heeded.
    env = {"KAFKA_BOOTSTRAP_SERVERS": "broker.example:9092", "OPENAI_BASE_URL": "http://models.example/v1"}
    code, output = await desk.run(SLUICE, "demo", "--messages", str(MESSAGES_MIN), env=env)
    assert code == 0, output
    await desk.nothing_is_left()
    report = orjson.loads((desk.folder / "demo-report.json").read_bytes())
    assert "simulated" in report["provider"]
    assert report["inputs"] == MESSAGES_MIN
    decisions = report["decisions"]
    assert decisions["total"] + report["dead_letters"]["total"] == MESSAGES_MIN
    assert (report["undecided"], report["doubled"]) == (0, 0)
    assert sum(decisions["by_stream"].values()) == sum(decisions["by_means"].values()) == decisions["total"]
    assert decisions["by_stream"].keys() == {"logs", "emails", "dialogues"}
    assert decisions["by_means"].keys() >= {"rule", "memory", "nano"}
    assert report["dead_letters"]["total"] > 0
    for tier in ("mini", "flagship"):
        assert report["escalations"][tier] > 0
        assert report["resolutions"][tier] > 0
    assert report["resolutions"]["flagship"] == report["escalations"]["flagship"]
    assert all(report["usd_by_tier"][tier] > 0 for tier in Tiers.model_fields)
    assert report["usd"] == pytest.approx(sum(report["usd_by_tier"].values()), abs=1e-5)
    assert report["usd_per_million"] > 0
    assert report["one_call_each_usd_per_million"] > 0
    assert report["messages_per_s"] > 0
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert "What happened" in output
    assert "WARNING" not in output
    assert "demo-report.json" in output


_DEMO = ("demo", r"decided \d+ ")
_STARTING = ("demo", "starting Kafka")
_UP = ("up", "Ctrl-C here ends everything")


@pytest.mark.parametrize(
    ("command", "moment"), [_DEMO, _STARTING, _UP], ids=["in the demo", "while the demo starts", "while it is up"]
)
@pytest.mark.parametrize("by", ["Ctrl-C", "kill -9 of the parent"])
async def test_nothing_is_left_when_it_is_broken_off(desk: Desk, command: str, moment: str, by: str) -> None:
    arguments = ["--port", str(free_port())] if command == "up" else []
    async with desk.started(SLUICE, command, *arguments) as process:
        await read_until(process, moment)
        assert desk.left(), "the mark is found at all"
        if by == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
        else:
            process.kill()
        output, _ = await asyncio.wait_for(process.communicate(), GONE_SECONDS_MAX)
        await desk.nothing_is_left()
    assert b"Traceback" not in output, output.decode()
    if by == "Ctrl-C":
        assert process.returncode == (0 if command == "up" else 1)


async def test_the_examples_run_against_sluice_up(desk: Desk) -> None:
    port = free_port()
    env = {"KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{port}"}
    async with desk.started(SLUICE, "up", "--port", str(port), "--rate", "50") as process:
        await read_until(process, _UP[1])
        reading = asyncio.create_task(_drain(process))
        code, output = await desk.run(sys.executable, EXAMPLES / "read_escalations.py", "--max", "3", env=env)
        assert code == 0, output
        assert len(output.splitlines()) >= 3
        assert re.match(r"\w+/\d+/\d+ \| (mini|flagship) \| \w+ \| \w+ \| ", output)
        [consumer] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        consumer = consumer.replace("localhost:9092", f"{HOST}:{port}")
        async with desk.started(sys.executable, "-u", "-c", consumer) as printing:
            await read_until(printing, r"\w+/\d+/\d+ \S+")
            printing.kill()
            await printing.wait()
        line = f"a line of ours, {uuid.uuid4()}"
        code, output = await desk.run(sys.executable, EXAMPLES / "produce_logs.py", "logs", env=env, lines=line + "\n")
        assert code == 0, output
        tail = (SLUICE, "tail", "logs", "--from-beginning")
        async with desk.started(*tail, env=env) as tailing:
            await read_until(tailing, re.escape(line))
            tailing.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(tailing.wait(), SECONDS_MAX) == 0
        os.killpg(process.pid, signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), SECONDS_MAX) == 0
        await reading
    await desk.nothing_is_left()


async def _drain(process: asyncio.subprocess.Process) -> None:
    """So that nobody waits for a full pipe."""
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass


async def test_up_runs_a_policy_of_ones_own_here_wherever_it_points(desk: Desk) -> None:
    policy = '[kafka]\nbootstrap_servers = "broker.example:9092"\n' + (EXAMPLES / "minimal.toml").read_text()
    (desk.folder / "sluice.toml").write_text(policy)
    port = free_port()
    env = {"KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{port}"}
    async with desk.started(SLUICE, "up", "--port", str(port)) as process:
        await read_until(process, _UP[1])
        reading = asyncio.create_task(_drain(process))
        produce = (sys.executable, EXAMPLES / "produce_logs.py", "logs")
        code, output = await desk.run(*produce, env=env, lines="kernel: EXT4-fs error: aborted journal\n")
        assert code == 0, output
        (desk.folder / "sluice.toml").unlink()  # tail is for the broker here
        tail = (SLUICE, "tail", "decisions", "--from-beginning", "--max", "1", "--json")
        code, output = await desk.run(*tail, env=env)
        assert code == 0, output
        assert orjson.loads(output)["source"]["topic"] == "logs"
        os.killpg(process.pid, signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), SECONDS_MAX) == 0
        await reading
    await desk.nothing_is_left()


@pytest.mark.parametrize("example", ["minimal.toml", "team.toml"])
async def test_the_policies_among_the_examples_are_good_and_decide(desk: Desk, example: str) -> None:
    with_it = (SLUICE, "--config", EXAMPLES / example)
    code, output = await desk.run(*with_it, "config", "check")
    assert code == 0, output
    file = desk.folder / "device.log"
    file.write_text("[red]infusion[/] gateway B12: 9 pumps unreachable\n")
    code, output = await desk.run(*with_it, "try", file)
    assert code == 0, output
    assert "models: simulated" in output
    assert "[red]infusion[/]" in output, "what others wrote is no markup"
    if example == "team.toml":
        assert re.search(r"outage .*100 .*rule .*flagship: rule", output)


async def test_every_example_is_run() -> None:
    here = {"minimal.toml", "team.toml", "produce_logs.py", "read_escalations.py"}
    beside_kafka = {"read_alerts.py", "ReadAlerts.java"}  # tests/kafka/test_reading_alerts.py
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == here | beside_kafka


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A folder with labelled logs, and a folder in it with the policy for them."""
    jsonl.write(generate(7, MESSAGES_MIN), tmp_path)
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "logs.toml").write_text(DEMO_POLICY.read_text().partition("[streams.emails]")[0])
    (policies / "sources.toml").write_text(
        '[logs]\ndata = "logs.jsonl"\ngold = "label"\npositive = "outage"\nnote = "Samples of our own."\n'
    )
    return tmp_path


async def test_eval_scores_a_labelled_file(desk: Desk, labelled: Path) -> None:
    evaluate = (SLUICE, "eval", labelled, "--policies", labelled / "policies", "--limit", "150")
    code, output = await desk.run(*evaluate)
    assert code == 0, output
    assert re.search(r"logs +150 +\d\.\d{3}", output)
    assert "models: simulated" in output
    code, output = await desk.run(*evaluate, "--json")
    assert code == 0, output
    told: dict[str, Any] = orjson.loads(output[output.index("{\n") :])
    [result] = told["results"]
    assert (result["source"], result["messages"]) == ("logs", 150)
    assert 0.5 < result["score"]["accuracy"] <= 1
    assert sum(result["decided_by"].values()) == pytest.approx(1, abs=0.01)
    assert result["one_call_each_usd_per_million"] > 0
    await desk.nothing_is_left()
