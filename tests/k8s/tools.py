"""The programs that these tests need beside Python. Without one its tests are skipped, or fail where all must run."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

REQUIRED = os.environ.get("SLUICE_K8S_TOOLS") == "required"  # as CI sets it: a skipped test proves nothing
ROOT = Path(__file__).parents[2]
_SECONDS_MAX = 300  # of a first download


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where every tool was promised to be here."""
    if REQUIRED:
        pytest.fail(f"{reason}, and SLUICE_K8S_TOOLS=required")
    pytest.skip(reason)


def kustomize(folder: Path) -> str:
    """What `kubectl apply -k` would send."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize"]
    elif alone := shutil.which("kustomize"):
        command = [alone, "build"]
    else:
        missing("neither kubectl nor kustomize is installed")
    rendered = subprocess.run([*command, folder], capture_output=True, text=True, timeout=60)
    assert rendered.returncode == 0, rendered.stderr
    return rendered.stdout


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Prometheus's own look at rules. Debian has it in the package `prometheus`."""
    program = shutil.which("promtool")
    if program is None:
        missing("promtool is not installed")
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def go_module(path: str, version: str, checksum: str, folder: Path) -> Path:
    """The folder of a Go module, downloaded once into Go's own cache. `folder`: some other than a module's."""
    go = shutil.which("go")
    if go is None:
        missing("Go is not installed")
    command = [go, "mod", "download", "-json", f"{path}@{version}"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS_MAX)
    module: dict[str, Any] = json.loads(answer.stdout or "{}")
    if "Dir" not in module:
        missing(f"{path} cannot be fetched: {module.get('Error') or answer.stderr}")
    assert module["Sum"] == checksum, f"{path} {version} is not what it was"
    return Path(module["Dir"])
