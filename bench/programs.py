"""How the programs of a bench are started, and what is installed for them: in places of their own, from locks."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local import jars, java
from local.jars import KAFKA_VERSION, Say
from processors.errors import SluiceError

Command = Sequence[str]

_HERE = Path(__file__).parent
_PEERS = _HERE / "peers"
REQUIREMENTS = _PEERS / "requirements.lock"
JARS = _PEERS / "jars.lock"
_VENV = _HERE.parent / ".sluice" / "bench-peers"
_JAVA_CLASS = "Decide"


class NotInstalled(SluiceError):
    """A peer could not be installed or compiled."""


def ours() -> Command:
    return [sys.executable, "-m", "bench.ours"]


def aiokafka() -> Command:
    return [sys.executable, "-m", "bench.peers.raw"]


def python(module: str, say: Say) -> Command:
    """A Python peer. Raises NotInstalled."""
    return [_python(say), "-m", f"bench.peers.{module}"]


def kafka_streams(work: Path, say: Say) -> Command:
    """Compiles the topology into `work`. Raises NotInstalled, JarsUnavailable or JavaMissing."""
    found = str(java.find())
    home = jars.fetch(say, lock=JARS, name=f"kafka-streams-{KAFKA_VERSION}")
    classes = [*jars.fetch(say).glob("*.jar"), *home.glob("*.jar")]
    class_path = ":".join(map(str, classes))
    compiler = ["org.eclipse.jdt.internal.compiler.batch.Main", f"-{java.MAJOR_MIN}", "-nowarn", "-proc:none"]
    source = str(_PEERS / f"{_JAVA_CLASS}.java")  # a plain Java runtime has no compiler, so this one is a jar
    _run([found, "-cp", class_path, *compiler, "-cp", class_path, "-d", str(work), source])
    return [found, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{work}:{class_path}", _JAVA_CLASS]


def versions() -> str:
    """Of the peers, for a person."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", REQUIREMENTS.read_text(), re.MULTILINE))
    told = {"aiokafka": "aiokafka", "faust-streaming": "Faust", "faststream": "FastStream", "quixstreams": "Quix"}
    shown = [f"{name} {locked[package]}" for package, name in told.items()]
    return ", ".join([*shown, f"Kafka and Kafka Streams {KAFKA_VERSION} on Java {java.major_version(java.find())}"])


def _python(say: Say) -> str:
    """The interpreter of an environment with the locked peers, made when the lock has changed."""
    python = str(_VENV / "bin" / "python")
    done = _VENV / "set-up"  # written last, so that an interrupted set-up is done again
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not (done.is_file() and done.read_text() == wanted):
        say("installing what is measured beside Sluice, about 60 MB, into an environment of its own")
        _run([sys.executable, "-m", "venv", "--clear", str(_VENV)])
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        _run([*pip, "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)])
        done.write_text(wanted)
    return python


def _run(command: Command) -> None:
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ran.returncode:
        raise NotInstalled(f"{' '.join(command[:4])} … failed: {ran.stdout[-2000:]}")
