"""Kafka's jars: locked by coordinates and SHA-256, fetched once for all projects of a user.

`python -m local.jars` resolves COORDINATES anew and writes the lock.
"""

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from processors.errors import SluiceError

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

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
    coordinate: str  # group:artifact:version; of an archive of jars with :classifier:packaging, as :plugin:tar.gz
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version, classifier, packaging = parts(self.coordinate)
        return "-".join(filter(None, (artifact, version, classifier))) + f".{packaging}"


def parts(coordinate: str) -> tuple[str, str, str, str, str]:
    """Group, artifact, version, classifier (empty for none) and packaging."""
    group, artifact, version, *kind = coordinate.split(":")
    classifier, packaging = kind or ("", "jar")
    return group, artifact, version, classifier, packaging


def locked(lock: Path | None = None) -> list[Jar]:
    """What the lock lists; Kafka's, where none is named."""
    lines = (line for line in (lock or LOCK).read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(*line.split()) for line in lines]


def fetch(
    say: Say, cache: Path | None = None, *, lock: Path | None = None, name: str = f"kafka-{KAFKA_VERSION}"
) -> Path:
    """The directory that holds the jars of the lock, and nothing else. Raises JarsUnavailable.

    It appears complete or not at all, so a download that was interrupted, or done twice at once, harms nobody.
    `lock`: another one than Kafka's, whose jars are `name`. An archive's jars are in the folder that it names.
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
            _place(path, stage, jar)
        try:
            stage.rename(home)
        except OSError:
            if not home.is_dir():  # else another process was faster
                raise
    return home


def _place(path: Path, stage: Path, jar: Jar) -> None:
    if not jar.file_name.endswith(".tar.gz"):
        path.rename(stage / jar.file_name)
        return
    with tarfile.open(path) as archive:
        # Python 3.11 before its fourth patch knows no filters; what the lock names is what its maker meant anyway.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(stage, [member for member in archive if member.name.endswith(".jar")])


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
    artifact = _artifact(context, jar.coordinate)
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


def _artifact(context: "MavenContext", coordinate: str) -> "Artifact":
    group, artifact, version, classifier, packaging = parts(coordinate)
    return context.project(group, artifact).at_version(version).artifact(classifier, packaging)


def lock(
    coordinates: Sequence[str] = COORDINATES,
    path: Path | None = None,
    *,
    alone: Iterable[str] = (),
    about: str = "Kafka",
) -> None:
    """Resolves `coordinates` with all that they need, and `alone` without, and writes the lock. By default Kafka's."""
    import jgo
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as work:
        os.environ["M2_REPO"] = work
        found = {
            f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}": artifact
            for artifact in (jgo.resolve("+".join(coordinates)) if coordinates else ())
        }
        context = MavenContext(repo_cache=Path(work))
        found |= {coordinate: _artifact(context, coordinate) for coordinate in alone}
        lines = [
            f"{coordinate} {hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()}"
            for coordinate, artifact in found.items()
        ]
    (path or LOCK).write_text(f"# Made by `make lock` for {about} {KAFKA_VERSION}.\n" + "\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    lock()
