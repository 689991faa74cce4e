"""OpenAI's rules for strict JSON Schemas, and looking up `$ref`."""

from collections.abc import Iterator
from typing import Any

from local.standin.calls import Json

ENUM_VALUES_MAX = 1_000
PROPERTIES_MAX = 5_000
DEPTH_MAX = 10
_REFUSED = ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties")


def broken_rule(schema: Json) -> str | None:
    """The first rule of strict mode that the schema breaks, in OpenAI's words; None where it keeps them all."""
    if schema.get("type") != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    if "anyOf" in schema:
        return "In context=(), 'anyOf' is not permitted at the root."
    properties = enum_values = 0
    for path, node in _nodes(schema, ()):
        where = f"In context={path}"
        if len([part for part in path if part == "properties"]) > DEPTH_MAX:
            return f"{where}, schema exceeds {DEPTH_MAX} levels of nesting."
        if problem := _broken_here(node, schema):
            return f"{where}, {problem}"
        properties += len(node.get("properties", ()))
        enum_values += len(node.get("enum", ()))
    if properties > PROPERTIES_MAX:
        return f"schema has {properties} properties, the maximum is {PROPERTIES_MAX}."
    if enum_values > ENUM_VALUES_MAX:
        return f"schema has {enum_values} enum values, the maximum is {ENUM_VALUES_MAX}."
    return None


def _broken_here(node: Json, root: Json) -> str | None:
    for keyword in _REFUSED:
        if keyword in node:
            return f"'{keyword}' is not permitted."
    if "$ref" in node:
        try:
            resolve(node, root)
        except KeyError:
            return f"reference '{node['$ref']}' cannot be resolved."
        return None
    if not {"type", "anyOf", "enum", "const"} & node.keys():
        return "schema must have a 'type' key."
    if "properties" in node or node.get("type") == "object":
        if node.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false."
        keys, required = node.get("properties", {}).keys(), node.get("required", ())
        if missing := [key for key in keys if key not in required]:
            return (
                "'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'."
            )
        if extra := [key for key in required if key not in keys]:
            return f"'required' names '{extra[0]}', which is not in properties."
    if node.get("type") == "array" and "items" not in node:
        return "array schema missing items."
    return None


def _nodes(node: Json, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every schema in the schema, with where it stands."""
    yield path, node
    for group in ("properties", "$defs", "definitions"):
        for name, child in node.get(group, {}).items():
            yield from _nodes(child, (*path, group, name))
    if isinstance(items := node.get("items"), dict):
        yield from _nodes(items, (*path, "items"))
    for index, child in enumerate(node.get("anyOf", ())):
        yield from _nodes(child, (*path, "anyOf", str(index)))


def resolve(node: Json, root: Json) -> Json:
    """The schema behind `$ref` (`#`, `#/$defs/Name`), with the keywords beside it. KeyError where there is none."""
    seen: list[str] = []
    while "$ref" in node:
        reference = node["$ref"]
        if reference in seen or not reference.startswith("#"):
            raise KeyError(reference)
        seen.append(reference)
        target: Any = root
        for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
