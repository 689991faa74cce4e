"""The published schemas say what is written, and the files in docs/schemas are they."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.unit.topics.values import ANY
from topics import codec, schemas
from topics.catalog import DEAD_LETTERS, NOTIFY_DEAD_LETTERS, PARKED, PUBLISHED, Names, Topic
from topics.compatibility import breaking_changes

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"
WITH_VALUES = [topic for topic in PUBLISHED if topic.value is not None]


@pytest.mark.parametrize("name", sorted(schemas.published()))
def test_the_files_are_what_the_types_say(name: str) -> None:
    committed = orjson.loads((FOLDER / name).read_bytes())
    generated = schemas.published()[name]
    if name != "asyncapi.json":
        assert breaking_changes(committed, generated) == [], "only optional fields may be added: make another type"
    assert committed == orjson.loads(orjson.dumps(generated)), "run `python -m topics.schemas`"


def test_no_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == schemas.published().keys()


@pytest.mark.parametrize("topic", WITH_VALUES, ids=lambda topic: topic.name)
def test_a_schema_is_valid_and_describes_itself(topic: Topic) -> None:
    schema = schemas.json_schema(topic)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:sluice:{topic.name}:v1"
    assert schema["description"]
    assert schema["title"] == topic.value.__name__


VALIDATORS = {
    value: Draft202012Validator(schemas.json_schema(topic)) for topic in WITH_VALUES if (value := topic.value)
}


@settings(max_examples=60)
@given(st.one_of(*ANY.values()))
def test_what_is_written_fits_its_schema(value: object) -> None:
    VALIDATORS[type(value)].validate(orjson.loads(codec.encode(value)))


def test_what_does_not_fit_is_refused() -> None:
    assert not VALIDATORS[WITH_VALUES[0].value].is_valid({"id": "a/0/1"})  # type: ignore[index]


def test_somebody_elses_bytes_have_no_schema() -> None:
    with pytest.raises(ValueError, match="dead-letters"):
        schemas.json_schema(DEAD_LETTERS)


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def resolved(document: Any, ref: str) -> Any:
    assert ref.startswith("#/"), ref
    for step in ref[2:].split("/"):
        document = document[step]
    return document


DOCUMENT = schemas.asyncapi(Names("acme."), "1.2.3")


def test_asyncapi_has_the_parts_of_version_3() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT.keys() <= {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert DOCUMENT["info"]["title"]
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolved(DOCUMENT, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
            assert resolved(DOCUMENT, message["$ref"]) in channel["messages"].values()


def test_every_reference_of_asyncapi_resolves() -> None:
    found = list(refs(DOCUMENT))
    assert found
    for ref in found:
        assert resolved(DOCUMENT, ref) is not None


@pytest.mark.parametrize("topic", PUBLISHED, ids=lambda topic: topic.name)
def test_every_topic_is_a_channel_with_its_name_key_and_configuration(topic: Topic) -> None:
    channel = DOCUMENT["channels"][topic.name]
    assert channel["address"] == f"acme.{topic.name}"
    configuration = channel["bindings"]["kafka"]["topicConfiguration"]
    assert configuration["retention.ms"] == topic.retention_ms
    assert configuration["cleanup.policy"] == topic.cleanup.split(",")
    (message,) = (resolved(DOCUMENT, one["$ref"]) for one in channel["messages"].values())
    assert message["bindings"]["kafka"]["key"]["description"] == topic.key
    headers = message["headers"]["properties"]
    assert ("sluice.reason" in headers) == (topic in (DEAD_LETTERS, NOTIFY_DEAD_LETTERS))
    assert ("sluice.parked.until" in headers) == (topic is PARKED)
    assert ("ce_id" in headers) == (topic.value is not None)
    assert ("payload" in message) == (topic.value is not None)


def test_components_hold_each_type_once_and_whole() -> None:
    for topic in WITH_VALUES:
        assert topic.value is not None
        component = DOCUMENT["components"]["schemas"][topic.value.__name__]
        assert component["properties"].keys() == schemas.json_schema(topic)["properties"].keys()
        Draft202012Validator.check_schema(component)


def test_writing_makes_the_files(tmp_path: Path) -> None:
    schemas.write(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == schemas.published().keys()
