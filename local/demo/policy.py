"""The demo's policy, and the small database that its agents may look into."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from processors.policy import Policy
from streams import settings

FOLDER = Path(__file__).parent
FILE = FOLDER / "sluice.toml"


def load() -> Policy:
    """The policy of `sluice.toml` beside this file, its runbooks beside it too."""
    return settings.load(FILE)


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """A SQLite database made from `ops.sql` in `folder`; gives its URL for OPS_DB_URL."""
    path = folder / "ops.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / "ops.sql").read_text(encoding="utf-8"))
        connection.commit()
    yield f"sqlite:///{path}"
