"""The tool `sql`: reads, changes nothing, and ends in time."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from processors.agents.sql import Sql
from processors.agents.tool import Refused
from processors.errors import ConfigurationError
from tests.unit.agents.build import escalation
from topics import limits


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "ops data.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            CREATE TABLE hosts (name TEXT, rack INTEGER, note BLOB);
            CREATE VIEW racks AS SELECT DISTINCT rack FROM hosts;
            """
        )
        db.executemany("INSERT INTO hosts VALUES (?, ?, ?)", [(f"host-{n}", n % 4, b"\x00\xff") for n in range(200)])
        db.commit()
    return path


@pytest.fixture
def tool(database: Path) -> Sql:
    return Sql.open(f"sqlite:///{database}")


@pytest.fixture(autouse=True)
def unchanged(database: Path) -> Iterator[None]:
    before = database.read_bytes()
    yield
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


async def ask(tool: Sql, query: str) -> Any:
    return await tool.call(Sql.Arguments(query=query), escalation())


async def test_a_select_gives_rows_and_says_when_there_are_more(tool: Sql) -> None:
    few = await ask(tool, "SELECT name, rack FROM hosts WHERE rack = 1 ORDER BY name LIMIT 2")
    assert few == {"columns": ["name", "rack"], "rows": [["host-1", 1], ["host-101", 1]], "more": False}
    many = await ask(tool, "WITH all_hosts AS (SELECT * FROM hosts) SELECT count(*) OVER (), note FROM all_hosts")
    assert len(many["rows"]) == limits.TOOL_ROWS_MAX
    assert many["rows"][0] == [200, "2 bytes"]
    assert many["more"] is True


def test_the_model_is_told_the_tables(tool: Sql) -> None:
    assert "hosts(name TEXT, rack INTEGER, note BLOB); racks(rack INTEGER)" in tool.about


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM hosts",
        "UPDATE hosts SET rack = 1",
        "INSERT INTO hosts VALUES ('x', 1, NULL)",
        "DROP TABLE hosts",
        "CREATE TABLE mine (a)",
        "CREATE TEMP TABLE mine (a)",
        "SELECT 1; DELETE FROM hosts",
        "WITH x AS (SELECT 1) DELETE FROM hosts",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "SELECT * FROM pragma_journal_mode('wal')",
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "ATTACH ':memory:' AS other",
        "VACUUM INTO 'copy.db'",
        "VACUUM",
        "REINDEX",
        "ANALYZE",
        "BEGIN EXCLUSIVE",
        "SELECT load_extension('evil')",
        "EXPLAIN DELETE FROM hosts",
        "SELECT * FROM nowhere",
        "not sql at all",
        "",
        "-- only a comment",
    ],
)
async def test_all_but_one_select_is_refused(tool: Sql, query: str) -> None:
    with pytest.raises(Refused):
        await ask(tool, query)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_query_that_does_not_end_is_stopped(tool: Sql) -> None:
    threads = threading.active_count()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await ask(tool, ENDLESS)
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(loop.shutdown_default_executor(), 5)  # waits for the thread: the query is over
    assert threading.active_count() <= threads


async def test_a_query_cannot_fill_the_memory(tool: Sql) -> None:
    with pytest.raises(Refused, match="too big"):
        await ask(tool, f"SELECT zeroblob({limits.SQL_VALUE_BYTES_MAX + 1})")
    with pytest.raises(Refused, match="pattern too complex"):
        await ask(tool, f"SELECT 'a' LIKE '{'%a' * 2_000}'")


async def test_long_values_are_cut(tool: Sql) -> None:
    answer = await ask(tool, "SELECT printf('%.*c', 5000, 'x')")
    assert answer["rows"] == [["x" * limits.SQL_TEXT_CHARS_MAX]]


@pytest.mark.parametrize("url", ["postgresql://ops@db/ops", "mysql://x", "nonsense", ""])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///"):
        Sql.open(url)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, database: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.db"):
        Sql.open(f"sqlite:///{tmp_path}/no.db")
    database.with_name("text.txt").write_text("no database " * 100)
    with pytest.raises(ConfigurationError, match=r"text\.txt"):
        Sql.open(f"sqlite:///{tmp_path}/text.txt")
    database.with_name("text.txt").unlink()
