"""The local PostgreSQL: a real one, where the machine has it."""

import shutil
from pathlib import Path

import pytest

from local import postgres
from local.postgres import LocalPostgres, LocalPostgresError, PostgresMissing


def test_where_it_is_missing_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_PLACES", (f"{tmp_path}/*/bin",))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PostgresMissing, match="apt install postgresql"):
        LocalPostgres()


def test_the_latest_version_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9.6", "15", "17"):
        place = tmp_path / version / "bin"
        place.mkdir(parents=True)
        for program in ("initdb", "postgres"):
            (place / program).touch()
    (tmp_path / "17" / "bin" / "postgres").unlink()  # its client alone
    monkeypatch.setattr(postgres, "_PLACES", (f"{tmp_path}/*/bin",))
    monkeypatch.setattr(shutil, "which", lambda *_args, **_more: None)
    assert postgres.binaries() == tmp_path / "15" / "bin"


def test_it_answers_keeps_its_log_for_replication_and_leaves_nothing() -> None:
    try:
        server = LocalPostgres()
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    with server:
        server.query("CREATE TABLE t (a text, b int); INSERT INTO t VALUES ('x,\n\"ü\"', NULL)")
        assert server.query("SELECT * FROM t") == [('x,\n"ü"', "")]
        assert server.query("SELECT NULL") == [("",)]
        assert server.query("SHOW wal_level") == [("logical",)]
        with pytest.raises(LocalPostgresError, match='syntax error at or near "nonsense"'):
            server.query("nonsense")
        folder = server.folder
        assert folder.is_dir()
    assert not folder.exists()
