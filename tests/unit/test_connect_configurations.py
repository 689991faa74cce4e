"""The configurations for Kafka Connect are whole, hold no secret and are explained. The tried ones run in
tests/kafka/test_connect.py."""

import re
from pathlib import Path

import orjson
import pytest

from local.connect import configurations, demo, jars
from local.jars import locked
from processors.errors import ConfigurationError
from topics.catalog import OWNED, Names

DOCS = (Path(__file__).parents[2] / "docs" / "connect.md").read_text(encoding="utf-8")
FILES = sorted(configurations.FOLDER.rglob("*.json"))
SECRETS = re.compile(r"password|secret|key\.id|webhook", re.IGNORECASE)
SINKS = re.compile(r"Sink")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_is_as_connect_takes_it_and_explained(path: Path) -> None:
    described = orjson.loads(path.read_bytes())
    assert described.keys() == {"name", "config"}
    assert described["name"] == path.stem
    config = described["config"]
    assert all(isinstance(value, str) for value in config.values())
    assert f"| `{path.relative_to(configurations.FOLDER)}` |" in DOCS
    assert all(re.fullmatch(r"\$\{env:[A-Z0-9_]+\}", config[name]) for name in config if SECRETS.search(name))
    if SINKS.search(config["connector.class"]):
        assert config["consumer.override.isolation.level"] == "read_committed"
        assert config["topics"] in map(Names().topic, OWNED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_variable_that_a_configuration_asks_for_is_explained(path: Path) -> None:
    for name in re.findall(r"\$\{env:(\w+)\}", path.read_text()):
        family = "…" + name[name.rindex("_") :]
        assert f"`{name}" in DOCS or f"`{family}`" in DOCS or f"export {name}=" in DOCS, name


def test_those_that_are_tried_are_said_to_be_and_no_others() -> None:
    said = dict(re.findall(r"^\| `([\w/.-]+\.json)` \|.*\| (yes|no) \|$", DOCS, re.MULTILINE))
    tried = {str(path.relative_to(configurations.FOLDER)): path.parent.name != "untried" for path in FILES}
    assert {name: answer == "yes" for name, answer in said.items()} == tried
    assert {f"{name}.json" for name in demo.CONNECTORS} <= {name for name, yes in tried.items() if yes}


def test_one_that_is_not_there_is_named_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.json: there is no such file.* a clone"):
        configurations.file("nothing")


def test_the_locks_have_the_versions_that_are_named() -> None:
    assert set(jars.WORKER) <= {jar.coordinate for jar in locked(jars.WORKER_LOCK)}
    assert {jars.FILE, *jars.DEBEZIUM} == {jar.coordinate for jar in locked(jars.PLUGINS_LOCK)}
