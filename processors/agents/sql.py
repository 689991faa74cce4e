"""The tool `sql`: read-only queries on a configured SQLite database, bounded in time, rows and memory.

It sees the whole database, whatever tenant the message is of: configure one that all tenants' agents may read.
"""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, Field

from processors.agents.tool import Refused
from processors.errors import ConfigurationError
from topics import limits
from topics.messages import Escalation

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer"}  # they reach code outside the database


class Sql:
    """A connection a query, in a thread of its own: opened read-only, and an authorizer refuses all but SELECT."""

    name = "sql"

    class Arguments(BaseModel):
        query: str = Field(description="One SELECT in SQLite's dialect")

    def __init__(self, uri: str, schema: str) -> None:
        self._uri = uri
        self.about = (
            f"Reads the operations database with one SELECT; at most {limits.TOOL_ROWS_MAX} rows come back. "
            f"Tables: {schema}"
        )

    @classmethod
    def open(cls, url: str) -> Self:
        """`sqlite:///relative`, `sqlite:////absolute`. Raises ConfigurationError where it cannot be read."""
        parts = urlsplit(url)
        if parts.scheme != "sqlite":
            raise ConfigurationError(
                f"agents.sql: a database of kind '{parts.scheme or url}' cannot be read in this version. "
                "Use sqlite:///path, or leave 'sql' out of agents.tools"
            )
        path = Path(unquote(parts.path.removeprefix("/")))
        uri = f"file:{quote(path.as_posix(), safe='/:')}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as db:
                schema = _schema(db)
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"agents.sql: '{path}' cannot be read as a SQLite database ({error}). "
                "Check the path: sqlite:///relative or sqlite:////absolute"
            ) from None
        return cls(uri, schema)

    async def call(self, arguments: Arguments, escalation: Escalation) -> object:  # noqa: ARG002
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._query, arguments.query, stop)
        finally:
            stop.set()  # a query whose time is over ends within SQL_STEPS of SQLite's machine

    def _query(self, query: str, stop: threading.Event) -> object:
        try:
            with closing(sqlite3.connect(self._uri, uri=True, timeout=1.0)) as db:
                _restrict(db, stop)
                cursor = db.execute(query)
                if cursor.description is None:
                    raise Refused("only SELECT is allowed")
                rows = cursor.fetchmany(limits.TOOL_ROWS_MAX + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise Refused(f"{error}. One SELECT is allowed, on the tables named") from None
        return {
            "columns": [column[0] for column in cursor.description],
            "rows": [[_shown(value) for value in row] for row in rows[: limits.TOOL_ROWS_MAX]],
            "more": len(rows) > limits.TOOL_ROWS_MAX,
        }


def _restrict(db: sqlite3.Connection, stop: threading.Event) -> None:
    db.execute("PRAGMA query_only = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.SQL_VALUE_BYTES_MAX)
    db.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, limits.SQL_PATTERN_BYTES_MAX)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    db.set_authorizer(_authorize)
    db.set_progress_handler(stop.is_set, limits.SQL_STEPS)


def _authorize(action: int, _table: str | None, function: str | None, _database: str | None, _by: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and function not in _FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _shown(value: object) -> object:
    """A value as JSON takes it; long ones are cut."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return value[: limits.SQL_TEXT_CHARS_MAX]
    return value


def _schema(db: sqlite3.Connection) -> str:
    """Tables and views with their columns, as `orders(id INTEGER, state TEXT)`; cut where there are very many."""
    tables: dict[str, list[str]] = {}
    for table, column, kind in db.execute(
        "SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY m.name, c.cid"
    ):
        tables.setdefault(table, []).append(f"{column} {kind}".strip())
    return "; ".join(f"{table}({', '.join(columns)})" for table, columns in tables.items())[
        : limits.TOOL_QUERY_CHARS_MAX
    ]
