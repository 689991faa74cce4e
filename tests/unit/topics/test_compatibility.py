"""Only optional fields may be added to a published schema."""

from copy import deepcopy
from typing import Any

import pytest

from topics.compatibility import breaking_changes

OLD: dict[str, Any] = {
    "$defs": {
        "Part": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "Tree": {"type": "object", "properties": {"below": {"items": {"$ref": "#/$defs/Tree"}, "type": "array"}}},
    },
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "level": {"enum": ["a", "b"], "type": "string"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "part": {"$ref": "#/$defs/Part"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "tree": {"$ref": "#/$defs/Tree"},
    },
    "required": ["id", "part"],
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    new = deepcopy(OLD)
    node = new
    for step in path[:-1]:
        node = node[step]
    if to is None:
        del node[path[-1]]
    else:
        node[path[-1]] = to
    return new


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed("properties", "added", to={"type": "string"}),
        changed("$defs", "Part", "properties", "added", to={"type": "string"}),
        changed("description", to="said better"),
        changed("properties", "id", to={"type": "string", "description": "said better"}),
    ],
)
def test_optional_fields_and_words_may_be_added(new: dict[str, Any]) -> None:
    assert breaking_changes(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (changed("properties", "level", to=None), "value.level is gone"),
        (changed("properties", "id", to={"type": "integer"}), "value.id: type was string, is integer"),
        (changed("properties", "level", "enum", to=["a"]), "value.level: enum"),
        (changed("properties", "level", "enum", to=["a", "b", "c"]), "value.level: enum"),
        (changed("properties", "maybe", "anyOf", to=[{"type": "string"}]), "value.maybe: it has other types"),
        (changed("required", to=["id", "part", "level"]), "value.level is required now"),
        (changed("required", to=["id"]), "value.part may be missing now"),
        (changed("$defs", "Part", "properties", "n", to={"type": "string"}), "value.part.n: type"),
        (changed("properties", "parts", "items", to={"type": "string"}), "value.parts[]"),
    ],
)
def test_everything_else_is_named(new: dict[str, Any], told: str) -> None:
    assert any(change.startswith(told) for change in breaking_changes(OLD, new)), breaking_changes(OLD, new)
