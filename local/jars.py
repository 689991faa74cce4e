"""Kafka's jars: locked by coordinates and SHA-256, fetched once for all projects of a user.

`python -m local.jars` resolves COORDINATES anew and writes the lock.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processors.errors import SluiceError

KAFKA_VERSION = "4.3.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",  # unnamed, an older one would be resolved
    f"org.apache.kafka:kafka-server-common:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-core:2.25.3",  # the broker loads its classes, though slf4j-simple writes the log
    "org.slf4j:slf4j-simple:1.7.36",  # one file, no configuration
)
LOCK = Path(__file__).with_name("kafka-jars.lock")
_ATTEMPTS_MAX = 3  # of one download
_DOWNLOADS_AT_ONCE = 4
_SILENCE_SECONDS_MAX = 30  # of the repository, before a download counts as failed

Say = Callable[[str], None]
"""Is told, in a sentence, about work that takes a while."""


class JarsUnavailable(SluiceError):
    """Kafka's jars could not be fetched, or are not those of the lock."""


@dataclass(frozen=True, slots=True)
class Jar:
    coordinate: str  # group:artifact:version
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def locked(lock: Path | None = None) -> list[Jar]:
    """What the lock lists; Kafka's, where none is named."""
    lines = (line for line in (lock or LOCK).read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(*line.split()) for line in lines]


def fetch(
    say: Say, cache: Path | None = None, *, lock: Path | None = None, name: str = f"kafka-{KAFKA_VERSION}"
) -> Path:
    """The directory that holds the jars of the lock, and nothing else. Raises JarsUnavailable.

    It appears complete or not at all, so a download that was interrupted, or done twice at once, harms nobody.
    `lock`: another one than Kafka's, whose jars are `name`.
    """
    cache = cache or cache_dir()
    jars = locked(lock)
    digest = hashlib.sha256((lock or LOCK).read_bytes()).hexdigest()[:8]
    home = cache / f"{name}-{digest}"
    if home.is_dir():
        return home
    say(f"fetching {name}: {len(jars)} jars, once; they are kept in {cache}")
    with _workplace(cache) as work, ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        stage = work / "jars"
        stage.mkdir()
        for jar, path in zip(jars, pool.map(lambda jar: _download(jar, work / "repository"), jars), strict=True):
            path.rename(stage / jar.file_name)
        try:
            stage.rename(home)
        except OSError:
            if not home.is_dir():  # else another process was faster
                raise
    return home


def cache_dir() -> Path:
    """Where a user's caches live."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sluice"


@contextmanager
def _workplace(cache: Path) -> Iterator[Path]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as work:
            yield Path(work)
    except OSError as error:
        raise JarsUnavailable(
            f"Kafka's jars cannot be kept in {cache}: {error}. The directory must be writable and have 100 MB free;"
            " XDG_CACHE_HOME names another place."
        ) from error


def _download(jar: Jar, repository: Path) -> Path:
    """Fetches one jar into a Maven layout and checks it against the lock."""
    import requests
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    mirrors = {"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories
    context = MavenContext(repo_cache=repository, remote_repos=mirrors, timeout=_SILENCE_SECONDS_MAX)
    artifact = context.create_dependency(jar.coordinate).artifact
    failure = ""
    for _ in range(_ATTEMPTS_MAX):
        try:
            path = artifact.resolve()
        except (RuntimeError, requests.RequestException) as error:
            failure = str(error)
        else:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found == jar.sha256:
                return path
            failure = f"its SHA-256 is {found}, the lock says {jar.sha256}"
        if artifact.cached_path:
            artifact.cached_path.unlink(missing_ok=True)  # a broken download would be taken for the real thing
    raise JarsUnavailable(
        f"{jar.coordinate} could not be fetched in {_ATTEMPTS_MAX} attempts: {failure}. The local Kafka needs its jars"
        " from Maven Central once; where only a mirror may be used, name it in ~/.config/jgo.conf:"
        " [repositories] central = URL."
    )


def lock() -> None:
    """Resolves COORDINATES with all that they need and writes LOCK."""
    import jgo

    with tempfile.TemporaryDirectory() as work:
        os.environ["M2_REPO"] = work
        lines = [
            f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            f" {hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()}"
            for artifact in jgo.resolve("+".join(COORDINATES))
        ]
    LOCK.write_text(f"# Made by `make lock` for Kafka {KAFKA_VERSION}.\n" + "\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    lock()
