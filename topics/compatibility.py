"""Whether a schema may follow another: only optional fields may have been added."""

from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = frozenset({"title", "description", "default", "examples", "$schema", "$id", "$defs"})  # do not bind a value


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What a reader or writer of the old schema would trip over, one line each; empty where there is nothing.

    Strict: a field that is gone, that is required now or no longer, or that has another type or other choices.
    """
    return list(_changes(old, new, old, new, "value", frozenset()))


def _changes(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_root: Mapping[str, Any],
    new_root: Mapping[str, Any],
    place: str,
    seen: frozenset[str],
) -> Iterator[str]:
    if (ref := old.get("$ref")) is not None:
        if ref in seen:  # a type inside itself: compared already
            return
        seen |= {ref}
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name not in after:
            yield f"{place}.{name} is gone"
        else:
            yield from _changes(before[name], after[name], old_root, new_root, f"{place}.{name}", seen)
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{place}.{name} is required now: what was written before may lack it"
    for name in sorted((set(old.get("required", ())) - set(new.get("required", ()))) & set(after)):
        yield f"{place}.{name} may be missing now: readers count on it"
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _changes(old[key], new[key], old_root, new_root, f"{place}[]", seen)
        elif old.get(key) != new.get(key):
            yield f"{place}: {key} changed"
    old_choices, new_choices = old.get("anyOf", []), new.get("anyOf", [])
    if len(old_choices) != len(new_choices):
        yield f"{place}: it has other types than before"
    else:
        for one, other in zip(old_choices, new_choices, strict=True):
            yield from _changes(one, other, old_root, new_root, place, seen)
    compared = {"properties", "required", "items", "additionalProperties", "anyOf", *_WORDS}
    for key in sorted((old.keys() | new.keys()) - compared):
        if old.get(key) != new.get(key):
            yield f"{place}: {key} was {old.get(key)}, is {new.get(key)}"


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference into the same document names."""
    ref = schema.get("$ref")
    if not isinstance(ref, str):
        return schema
    target: Any = root
    for step in ref.removeprefix("#/").split("/"):
        target = target[step]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
