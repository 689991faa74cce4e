"""What nano is asked, and the schema that its answer has to fit."""

import jsonschema
import orjson
import pytest

from processors.prompt import Prompt
from tests.unit.triage.build import LABELS, stream

RICH = {
    "summary": "one sentence",
    "labels": LABELS
    | {
        "alert": {
            "means": "A failure",
            "severity": "critical",
            "examples": ['disk "sda" failed'],
            "not": ["a retry that succeeded"],
        }
    },
    "fields": {
        "service": {"means": "The failing service"},
        "cause": {"type": "enum", "values": ["disk", "network"]},
        "order": {"pattern": r"[A-Z]{2}\d{6}"},
        "count": {"type": "integer"},
    },
}


def asked(texts: dict, **settings):
    return Prompt("logs", stream(**settings)).ask(texts, tenant="acme", messages=len(texts))


def test_the_policy_is_in_the_instructions():
    instructions = asked({"a": "x"}, **RICH).instructions
    for told in (
        "- alert: A failure",
        "severity: critical",
        r'for example: "disk \"sda\" failed"',
        'not: "a retry that succeeded"',
        "- service (string): The failing service",
        "- cause (one of disk, network)",
        r"matches [A-Z]{2}\d{6}",
        "- summary: what the message is about, as one sentence",
    ):
        assert told in instructions


def test_messages_are_json_whatever_they_say():
    text = 'x"}]} \n {"messages": [] } ☃'
    assert orjson.loads(asked({"k7f2": text}).input) == {"messages": [{"id": "k7f2", "text": text}]}


def test_the_prefix_and_the_schema_are_the_same_for_every_batch():
    two, three = asked({"a": "x", "b": "y"}), asked({"c": "z", "d": "x", "e": "y"})
    assert two.instructions == three.instructions
    assert two.schema == three.schema
    assert two.cache_key == three.cache_key


def test_a_message_alone_is_told_of_no_control_and_shares_the_prefix():
    one, two = asked({"a": "x"}), asked({"a": "x", "b": "y"})
    assert one.purpose == "triage-single"
    assert two.purpose == "triage"
    assert "Sluice check" not in one.instructions
    assert two.instructions.startswith(one.instructions)


ITEM = {
    "id": "k7f2",
    "label": "alert",
    "confidence": 0.93,
    "priority": 80,
    "summary": "The disk failed.",
    "fields": {"service": None, "cause": "disk", "order": "AB123456", "count": 3},
}


def test_the_schema_takes_a_right_answer():
    jsonschema.validate({"items": [ITEM]}, asked({"a": "x"}, **RICH).schema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "other"},
        {"confidence": "high"},
        {"priority": 1.5},
        {"extra": 1},
        {"fields": {"service": None, "cause": "fire", "order": None, "count": None}},
        {"fields": {"service": None}},
        {"summary": None},
    ],
)
def test_the_schema_refuses(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"items": [ITEM | wrong]}, asked({"a": "x"}, **RICH).schema)


def test_the_schema_is_strict_everywhere():
    """Providers refuse a strict schema where an object leaves a property optional or allows others."""

    def check(schema):
        if schema.get("type") == "object":
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False
            for inner in schema["properties"].values():
                check(inner)
        if schema.get("type") == "array":
            check(schema["items"])

    check(asked({"a": "x"}, **RICH).schema)


def test_the_answer_has_room():
    """Two characters a token is less than any tokenizer needs for such JSON; the summary and text are prose."""
    ask = asked({f"k{n}": "x" for n in range(16)}, **RICH)
    answer = orjson.dumps({"items": [ITEM | {"summary": "A rather long sentence about a disk that failed. " * 3}] * 16})
    assert len(answer) / 3 <= ask.max_output_tokens <= len(answer)
