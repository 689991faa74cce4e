"""The examples for alerting consumers, in Python and Java, read what is on the topic."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import orjson
import pytest

from local import jars, java
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import SECONDS_MAX
from tests.kafka.notify import alert, tell
from topics.catalog import ALERTS, Names

ROOT = Path(__file__).parents[2]
NAME = Names().topic(ALERTS)
FIRST, REVISED, RESOLVED = alert(), alert(revision=2, count=6), alert(revision=3, status="resolved", count=6)


@pytest.fixture
async def env(bus: Bus) -> dict[str, str]:
    """Where the alerts are: an alert's life, told in part twice, and a tombstone."""
    await bus.owned()
    await tell(bus, FIRST, REVISED, FIRST, RESOLVED)
    await bus.produce(bus.names.topic(ALERTS), [Send(None, FIRST.id.encode())])
    return {"KAFKA_BOOTSTRAP_SERVERS": bus.bootstrap_servers}


def example(name: str, bus: Bus, folder: Path) -> Path:
    """The example, reading the test's own topic."""
    path = folder / name
    path.write_text((ROOT / "examples" / name).read_text().replace(NAME, bus.names.topic(ALERTS)))
    return path


async def output(*command: str | Path, env: dict[str, str]) -> list[str]:
    """The lines of its standard output."""
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


def classpath() -> str:
    return f"{jars.fetch(print)}{os.sep}*"


async def test_python(bus: Bus, env: dict[str, str], tmp_path: Path) -> None:
    lines = await output(sys.executable, example("read_alerts.py", bus, tmp_path), "--max", "3", env=env)
    assert lines == [
        "firing | critical outage in logs | revision 1, 3 messages | 1 firing | no space left",
        "firing | critical outage in logs | revision 2, 6 messages | 1 firing | no space left",
        "resolved | critical outage in logs | revision 3, 6 messages | 0 firing | no space left",
    ]


@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK here: a JRE has no compiler for the Java example")
async def test_java(bus: Bus, env: dict[str, str], tmp_path: Path) -> None:
    source = example("ReadAlerts.java", bus, tmp_path)
    *told, forgotten = await output(java.find(), "-cp", classpath(), source, "5", env=env)
    read = [line.partition(" ") for line in told]
    assert [(key, orjson.loads(value)["revision"]) for key, _, value in read] == [
        (FIRST.id, revision) for revision in (1, 2, 1, 3)
    ]
    assert forgotten == f"{FIRST.id} forgotten"
