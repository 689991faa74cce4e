"""Fills a JSON Schema, whatever its shape, with values from a source."""

from collections.abc import Sequence
from typing import Any, Protocol

from local.standin.calls import Json
from local.standin.lexicon import is_catch_all
from local.standin.schemas import resolve

DEPTH_MAX = 12  # of a recursive schema


class Source(Protocol):
    """Where values come from. None means: nothing to say; the schema then gets null, or an empty value."""

    def choose(self, name: str, choices: Sequence[Any]) -> Any | None:
        """One of the choices for the property."""
        ...

    def scalar(self, name: str, kind: str, node: Json) -> str | float | bool | None:
        """A value for the property; `kind` is string, number, integer or boolean."""
        ...

    def elements(self, name: str, items: Json) -> "Sequence[Source]":
        """One source for each element of a list; `items` is the schema of its elements."""
        ...


def fill(node: Json, root: Json, source: Source, name: str = "", depth: int = 0) -> Any:
    """A value that fits the schema `node`. `root` is where its `$ref` point to."""
    node = resolve(node, root)
    if "const" in node:
        return node["const"]
    if "anyOf" in node:
        return _fill_any(node["anyOf"], root, source, name, depth)
    kinds = node.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    nullable = "null" in kinds
    if "enum" in node:
        return _fill_enum(node["enum"], nullable, source, name)
    kind = next((kind for kind in kinds if kind != "null"), "null")
    if kind == "null" or (depth >= DEPTH_MAX and nullable):
        return None
    if kind == "object":
        return {key: fill(child, root, source, key, depth + 1) for key, child in node.get("properties", {}).items()}
    if kind == "array":
        return _fill_list(node, root, source, name, depth)
    value = source.scalar(name, kind, node)
    if value is None:
        return None if nullable else _empty(kind, node)
    return _bounded(value, kind, node)


def _fill_any(options: Sequence[Json], root: Json, source: Source, name: str, depth: int) -> Any:
    """The first option that is not null, made nullable where null is one of them."""
    nodes = [resolve(option, root) for option in options]
    real = [node for node in nodes if node.get("type") != "null"]
    if not real or (depth >= DEPTH_MAX and len(real) < len(nodes)):
        return None
    first = real[0]
    if len(real) < len(nodes) and isinstance(first.get("type"), str):
        first = {**first, "type": [first["type"], "null"]}
    return fill(first, root, source, name, depth + 1)


def _fill_enum(values: Sequence[Any], nullable: bool, source: Source, name: str) -> Any:
    choices = [value for value in values if value is not None]
    chosen = source.choose(name, choices)
    if chosen is not None:
        return chosen
    if nullable or len(choices) < len(values):
        return None
    return next((value for value in choices if isinstance(value, str) and is_catch_all(value)), choices[0])


def _fill_list(node: Json, root: Json, source: Source, name: str, depth: int) -> list[Any]:
    items = resolve(node.get("items", {"type": "string"}), root)
    low, high = node.get("minItems", 0), node.get("maxItems", 1_000)
    sources = list(source.elements(name, items))[:high]
    sources += [source] * (low - len(sources))
    if depth >= DEPTH_MAX:
        sources = sources[:low]
    return [fill(items, root, element, name, depth + 1) for element in sources]


def _empty(kind: str, node: Json) -> Any:
    return {"string": "", "boolean": False}.get(kind, _bounded(0, kind, node))


def _bounded(value: Any, kind: str, node: Json) -> Any:
    """Within `minimum` and `maximum`, a whole number where one is asked for."""
    if kind not in ("number", "integer"):
        return value if kind == "boolean" else str(value)
    value = min(max(value, node.get("minimum", value)), node.get("maximum", value))
    return round(value) if kind == "integer" else value
