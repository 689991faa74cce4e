"""A real PostgreSQL on this machine, from the system's package: for what Kafka Connect reads from and writes to.

    with LocalPostgres() as postgres:
        ... postgres.jdbc_url, postgres.query("SELECT 1") ...

It listens on the loopback interface only, wants a password that is new every time, keeps its log of changes as logical
replication needs it, ends with this process however that ends (local/guard.py), and leaves nothing behind.
"""

import csv
import io
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from local.guard import Guarded
from local.kafka import HOST, free_port
from processors.errors import ConfigurationError, SluiceError

PACKAGE = "postgresql"  # Debian's and Ubuntu's
USER = "sluice"  # its superuser
DATABASE = "postgres"  # there from the beginning
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")  # Debian's and Red Hat's, which are not on PATH
_ACCOUNTS = ("postgres", "nobody")  # of the system: the server refuses to run as root
_SETTINGS = {
    "wal_level": "logical",  # Debezium reads it
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_wal_senders": "8",
    "max_replication_slots": "8",
    "fsync": "off",  # it does not outlive a crash of the machine
}
_START_SECONDS_MAX = 30.0
_QUERY_SECONDS_MAX = 30.0
_LOOK_AGAIN_SECONDS = 0.05
_GRACE_SECONDS = 5.0
_LOG_TAIL_LINES = 15


class PostgresMissing(ConfigurationError):
    """There is no PostgreSQL server here."""


class LocalPostgresError(SluiceError):
    """The local PostgreSQL did not start, or refused a statement. The message has its own words."""


def binaries() -> Path:
    """The directory of the server's programs. Raises PostgresMissing."""
    found = [place for pattern in _PLACES for place in Path("/").glob(pattern.lstrip("/"))]
    found += [Path(initdb).parent] if (initdb := shutil.which("initdb")) else []
    complete = [place for place in found if (place / "initdb").is_file() and (place / "postgres").is_file()]
    if not complete:
        raise PostgresMissing(
            f"No PostgreSQL server in {', '.join(_PLACES)} or on PATH: install one (Debian, Ubuntu: apt install"
            f" {PACKAGE}; macOS: brew install {PACKAGE}). Its service need not run."
        )
    return max(complete, key=_version)


def _version(place: Path) -> float:
    with suppress(ValueError):
        return float(place.parent.name.removeprefix("pgsql-"))
    return 0.0


class LocalPostgres:
    """One server with an empty database. Start and stop block for a second or two."""

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(16)
        self._bin = binaries()
        self._dir: Path | None = None
        self._process: Guarded | None = None

    @property
    def jdbc_url(self) -> str:
        return f"jdbc:postgresql://{HOST}:{self.port}/{DATABASE}"

    @property
    def folder(self) -> Path:
        """Where its data is, once started."""
        if self._dir is None:
            raise LocalPostgresError("the local PostgreSQL has no folder yet: start it first")
        return self._dir

    def start(self) -> None:
        """Returns when it answers. Raises LocalPostgresError, stopped again."""
        try:
            self._dir = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
            data, log, password = self._dir / "data", self._dir / "postgres.log", self._dir / "password"
            password.write_text(self.password)
            if account := _account():
                for path in (self._dir, password):
                    shutil.chown(path, account.pw_name)
            given = ["-D", str(data), "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
            made = self._run([str(self._bin / "initdb"), *given, "--no-sync", "--locale=C.UTF-8"])
            password.unlink()
            if made.returncode:
                raise LocalPostgresError(f"initdb failed: {made.stdout}{made.stderr}")
            settings = [word for pair in _SETTINGS.items() for word in ("-c", "=".join(pair))]
            command = [str(self._bin / "postgres"), "-D", str(data), "-p", str(self.port), *settings]
            self._process = Guarded([*_as_account(), *command], log=log, grace_s=_GRACE_SECONDS, remove=self._dir)
            self._await_answer(log)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server and deletes its data. May be called at any time."""
        if self._process:
            if self._process.running:
                os.kill(self._process.pid, signal.SIGINT)  # does not wait for its clients to leave, as SIGTERM does
            self._process.close()
        if self._dir:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def query(self, sql: str) -> list[tuple[str, ...]]:
        """The rows of the last statement in PostgreSQL's text form, NULL empty. Raises LocalPostgresError."""
        options = ["-h", HOST, "-p", str(self.port), "-U", USER, "-d", DATABASE, "-X", "-q", "--csv", "-t"]
        done = subprocess.run(
            [self._bin / "psql", *options, "-v", "ON_ERROR_STOP=1", "-f", "-"],
            input=sql,
            capture_output=True,
            text=True,
            timeout=_QUERY_SECONDS_MAX,
            env=os.environ | {"PGPASSWORD": self.password, "PGCLIENTENCODING": "UTF8"},
        )
        if done.returncode:
            raise LocalPostgresError(f"PostgreSQL refused a statement: {done.stderr.strip()}")
        return [tuple(row) or ("",) for row in csv.reader(io.StringIO(done.stdout, newline=""))]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*_as_account(), *command], capture_output=True, text=True, cwd="/")

    def _await_answer(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS_MAX
        ready = [str(self._bin / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        while time.monotonic() < deadline:
            assert self._process is not None
            if not self._process.running:
                break
            if self._run(ready).returncode == 0:
                return
            time.sleep(_LOOK_AGAIN_SECONDS)
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
        raise LocalPostgresError(f"the local PostgreSQL did not start. The end of its log:\n  {tail}")


def _account() -> pwd.struct_passwd | None:
    """The system account that the server runs as; None: as whoever runs this."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(accounts[name] for name in _ACCOUNTS if name in accounts)


def _as_account() -> list[str]:
    """What goes before a command that must not run as root."""
    account = _account()
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if account else []
