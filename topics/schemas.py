"""JSON Schemas of what Sluice writes, and one AsyncAPI document of all its topics.

`python -m topics.schemas` writes them to `docs/schemas/`; a test compares the files with the types.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic.json_schema import GenerateJsonSchema

from topics import dead_letters, parked
from topics.catalog import (
    AUDITS,
    DEAD_LETTERS,
    ESCALATIONS_FLAGSHIP,
    ESCALATIONS_MINI,
    FEEDBACK,
    LESSONS,
    NOTIFY_DEAD_LETTERS,
    PARKED,
    PUBLISHED,
    Names,
    Topic,
)
from topics.codec import adapter

SCHEMA_VERSION = 1  # grows when a field changes its meaning; added optional fields do not count
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_EVENT_HEADERS: Mapping[str, Schema] = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "description": "Message id and event, the same however often it is written"},
    "ce_source": {"type": "string", "description": "The stage that wrote it, as `/sluice/triage`"},
    "ce_type": {"type": "string", "description": "As `sluice.decision.v1`"},
    "ce_time": {"type": "string", "format": "date-time"},
    "content-type": {"type": "string", "const": "application/json"},
    "traceparent": {"type": "string", "description": "W3C trace context of the input record, where it had one"},
}


class _Plain(GenerateJsonSchema):
    """Without titles that only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


_READ_BACK = (ESCALATIONS_MINI, ESCALATIONS_FLAGSHIP, PARKED, AUDITS, LESSONS, FEEDBACK)
# Topics that carry other topics' records: the message's name, and the headers that are added
_AS_READ = {
    DEAD_LETTERS: ("DeadLetter", dead_letters.HEADERS),
    NOTIFY_DEAD_LETTERS: ("NotifyDeadLetter", dead_letters.HEADERS),
    PARKED: ("Parked", parked.HEADERS),
}


def json_schema(topic: Topic) -> Schema:
    """The JSON Schema (2020-12) of a topic's values. ValueError for a topic that carries somebody else's bytes."""
    if topic.value is None:
        raise ValueError(f"topic '{topic.name}' has no schema: its values are other topics' records, byte for byte")
    return {
        "$schema": DIALECT,
        "$id": f"urn:sluice:{topic.name}:v{SCHEMA_VERSION}",
        **_schema_of(topic.value, "#/$defs/{model}"),
    }


def asyncapi(names: Names, version: str) -> Schema:
    """An AsyncAPI 3.0 document of every topic that Sluice owns, under the names' prefix. `version` is Sluice's."""
    schemas: Schema = {}
    for topic in PUBLISHED:
        if topic.value is not None:
            schema = _schema_of(topic.value, "#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[topic.value.__name__] = schema
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sluice",
            "version": version,
            "description": "What Sluice writes to Kafka. Only optional fields are ever added to a value; "
            "read with isolation.level=read_committed.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic, names) for topic in PUBLISHED},
        "operations": {
            f"{action}.{topic.name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "messages": [{"$ref": f"#/channels/{topic.name}/messages/{_message_name(topic)}"}],
            }
            for topic in PUBLISHED
            for action in (("send", "receive") if topic in _READ_BACK else ("send",))
        },
        "components": {
            "messages": {_message_name(topic): _message(topic) for topic in PUBLISHED},
            "schemas": schemas,
        },
    }


def published() -> dict[str, Schema]:
    """Every published document by its file name."""
    documents = {f"{topic.name}.json": json_schema(topic) for topic in PUBLISHED if topic.value is not None}
    return documents | {"asyncapi.json": asyncapi(Names(), f"{SCHEMA_VERSION}.0.0")}


def write(folder: Path) -> None:
    """Writes every published document."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in published().items():
        (folder / name).write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def _schema_of(value: type, ref_template: str) -> Schema:
    return adapter(value).json_schema(mode="serialization", ref_template=ref_template, schema_generator=_Plain)


def _channel(topic: Topic, names: Names) -> Schema:
    kafka: Schema = {
        "topic": names.topic(topic),
        "topicConfiguration": {
            "cleanup.policy": topic.cleanup.split(","),
            "retention.ms": topic.retention_ms,
            "max.message.bytes": topic.max_message_bytes,
        },
        "bindingVersion": "0.5.0",
    }
    if topic.partitions is not None:
        kafka["partitions"] = topic.partitions
    name = _message_name(topic)
    return {
        "address": names.topic(topic),
        "description": topic.about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": kafka},
    }


def _message(topic: Topic) -> Schema:
    headers, required = dict(_EVENT_HEADERS), [name for name in _EVENT_HEADERS if name != "traceparent"]
    if topic.value is None:
        headers = {name: {"type": "string", "description": about} for name, about in _AS_READ[topic][1].items()}
        required = list(headers)
    message: Schema = {
        "name": _message_name(topic),
        "summary": topic.about,
        "headers": {"type": "object", "properties": headers, "required": required},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }
    if topic.value is None:  # any bytes, which no schema describes
        return message | {"contentType": "application/octet-stream"}
    return message | {
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{topic.value.__name__}"},
    }


def _message_name(topic: Topic) -> str:
    return _AS_READ[topic][0] if topic.value is None else topic.value.__name__


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas"))
