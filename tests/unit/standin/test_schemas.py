"""Strict mode's rules, and filling whatever schema keeps them."""

from collections.abc import Sequence
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.standin.answering import Answers
from local.standin.filling import fill
from local.standin.judging import Judged
from local.standin.reading import Message, Reading
from local.standin.schemas import broken_rule


def strict(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array", "items": {"type": "string"}}, "got 'type: \"array\"'"),
        ({"type": "object", "properties": {}}, "'additionalProperties' is required"),
        (strict(a={"type": "string"}) | {"required": []}, "Missing 'a'"),
        (strict(a={"type": "string"}) | {"required": ["a", "b"]}, "names 'b'"),
        (strict(a={"allOf": []}), "'allOf' is not permitted"),
        (strict(a={"oneOf": [{"type": "string"}]}), "'oneOf' is not permitted"),
        (strict(a={"description": "no type"}), "must have a 'type' key"),
        (strict(a={"type": "array"}), "array schema missing items"),
        (strict(a={"$ref": "#/$defs/Gone"}), "cannot be resolved"),
        (strict(a={"enum": list(range(1_001))}), "1001 enum values"),
        (strict(a=strict(b={"type": "object", "properties": {}})), "'additionalProperties' is required"),
    ],
)
def test_a_broken_rule_is_named(schema: dict[str, Any], said: str) -> None:
    assert said in str(broken_rule(schema))


def test_too_deep_a_schema_is_refused() -> None:
    schema = strict(leaf={"type": "string"})
    for _ in range(12):
        schema = strict(inner=schema)
    assert "levels of nesting" in str(broken_rule(schema))


NAMES = st.sampled_from(
    ["id", "label", "confidence", "priority", "summary", "order_id", "email", "cause", "urgent", "count", "actions",
     "evidence", "tool", "finding", "goal", "severity", "decision", "minutes", "x"]
)  # fmt: skip
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(["string", "boolean"]).map(lambda kind: {"type": kind}),
    st.sampled_from(["string", "boolean", "integer", "number"]).map(lambda kind: {"type": [kind, "null"]}),
    st.tuples(st.sampled_from(["integer", "number"]), st.integers(-9, 0), st.integers(1, 200)).map(
        lambda bounds: {"type": bounds[0], "minimum": bounds[1], "maximum": bounds[2]}
    ),
    st.lists(st.sampled_from(["alert", "disk", "other", "resolved", "escalate", "critical", "info"]), min_size=1).map(
        lambda values: {"type": "string", "enum": sorted(set(values))}
    ),
    st.just({"type": ["string", "null"], "enum": ["disk", "network", None]}),
    st.just({"const": "fixed"}),
    st.just({"$ref": "#/$defs/Shared"}),
    st.just({"anyOf": [{"$ref": "#/$defs/Shared"}, {"type": "null"}]}),
)
SHARED = strict(tool={"type": "string"}, finding={"type": ["string", "null"]})


def containers(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.dictionaries(NAMES, children, max_size=4).map(lambda properties: strict(**properties)),
        st.tuples(children, st.integers(0, 2)).map(
            lambda given: {"type": "array", "items": given[0], "minItems": given[1], "maxItems": 3}
        ),
        children.map(lambda child: {"anyOf": [child, {"type": "null"}]}),
    )


SCHEMAS = st.dictionaries(NAMES, st.recursive(SCALARS, containers, max_leaves=8), max_size=6).map(
    lambda properties: strict(**properties) | {"$defs": {"Shared": SHARED}}
)


def answers(texts: Sequence[str], shown: Sequence[Any] = ()) -> Answers:
    messages = [Message(f"m{index}", text) for index, text in enumerate(texts)]
    judged = [Judged(message, "alert", 0.9, False, message.text) for message in messages]
    reading = Reading(messages, len(messages) > 1, {}, {}, shown)
    return Answers(reading, messages[0], judged[0], 0, judged)


@settings(max_examples=200)
@given(SCHEMAS, st.text(max_size=80))
def test_every_strict_schema_is_filled_so_that_it_fits(schema: dict[str, Any], text: str) -> None:
    assert broken_rule(schema) is None
    jsonschema.validate(fill(schema, schema, answers([text, "disk sda1 of order AB123456 failed"])), schema)


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {
        **strict(name={"type": "string"}, child={"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
    }
    jsonschema.validate(fill(schema, schema, answers(["x"])), schema)


def test_fields_are_what_the_text_states_and_null_where_it_does_not() -> None:
    schema = strict(
        email={"type": ["string", "null"]},
        order_id={"type": ["string", "null"], "pattern": "[A-Z]{2}\\d{6}"},
        amount={"type": ["string", "null"]},
        cause={"type": ["string", "null"], "enum": ["disk", "network", None]},
        phone={"type": ["string", "null"]},
    )
    text = "Order AB123456 of mail@shop.example cost 30.50 EUR; the filesystem on sda1 is gone"
    assert fill(schema, schema, answers([text])) == {
        "email": "mail@shop.example",
        "order_id": "AB123456",
        "amount": "30.50 EUR",
        "cause": "disk",
        "phone": None,
    }
