"""Kafka's jars are those of the lock or none. The repository is a directory that stands in for the download."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from local import jars
from local.jars import Jar

CONTENT = b"bytes of a jar"
JAR = Jar("org.example:kafka:1.0", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jars.lock"
    path.write_text(f"# a comment\n{JAR.coordinate} {JAR.sha256}\n")
    monkeypatch.setattr(jars, "LOCK", path)


def downloads(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Makes every download yield `content`; gives the list that the coordinates asked for are added to."""
    from jgo.maven import Artifact

    asked: list[str] = []

    def resolve(artifact: Artifact) -> Path:
        asked.append(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}")
        path = artifact.cached_path
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    monkeypatch.setattr(Artifact, "resolve", resolve)
    return asked


@pytest.mark.usefixtures("lock")
def test_jars_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = downloads(monkeypatch, CONTENT)
    said: list[str] = []
    home = jars.fetch(said.append, tmp_path / "cache")
    assert [path.name for path in home.iterdir()] == ["kafka-1.0.jar"]
    assert jars.fetch(said.append, tmp_path / "cache") == home
    assert asked == [JAR.coordinate]
    assert len(said) == 1


@pytest.mark.usefixtures("lock")
def test_a_jar_that_is_not_the_locked_one_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = downloads(monkeypatch, b"something else")
    with pytest.raises(jars.JarsUnavailable, match=r"org.example:kafka:1.0 .* SHA-256 .* the lock says"):
        jars.fetch(lambda _: None, tmp_path / "cache")
    assert len(asked) == 3  # bounded
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.usefixtures("lock")
def test_a_place_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(jars.JarsUnavailable, match=r"file/cache.* XDG_CACHE_HOME"):
        jars.fetch(lambda _: None, tmp_path / "file" / "cache")


def test_the_jars_of_an_archive_are_in_the_folder_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("connector/one.jar", "connector/README.md"):
            archive.addfile(tarfile.TarInfo(name))
    plugin = Jar("org.example:connector:1.0:plugin:tar.gz", hashlib.sha256(packed.getvalue()).hexdigest())
    path = tmp_path / "plugins.lock"
    path.write_text(f"{plugin.coordinate} {plugin.sha256}\n")
    asked = downloads(monkeypatch, packed.getvalue())

    home = jars.fetch(lambda _: None, tmp_path / "cache", lock=path, name="plugins")

    assert [str(jar.relative_to(home)) for jar in home.rglob("*.*")] == ["connector/one.jar"]
    assert plugin.file_name == "connector-1.0-plugin.tar.gz"
    assert asked == ["org.example:connector:1.0"]


def test_the_lock_has_the_version_that_is_named() -> None:
    locked = {jar.coordinate for jar in jars.locked()}
    assert set(jars.COORDINATES) <= locked
