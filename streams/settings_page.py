"""`docs/settings.md` from the policy's own types: `python -m streams.settings_page > docs/settings.md`."""

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from processors.policy import LATER, Policy
from streams.kafka_security import VARIABLES
from streams.registry_access import URL, USER_INFO
from streams.settings import Runtime

_INTRO = """\
# Settings

Made from the types in `processors/policy.py` and `streams/settings.py` by `python -m streams.settings_page`.
`sluice config check` reads your file and tells what is wrong with line, value, rule and remedy;
`sluice config schema` prints the JSON Schema for an editor. `${VAR}` and `${VAR:-default}` stand for the environment.
"""

_ELSEWHERE = (
    "| `KAFKA_BOOTSTRAP_SERVERS` | text | | `host:port`, several with commas |",
    *(f"| `{name}` | text | | Where the policy has no `kafka.security.{key}` |" for key, name in VARIABLES.items()),
    f"| `{URL}` | text | | Where the policy has no `kafka.schema_registry.url` |",
    f"| `{USER_INFO}` | `user:password` | | Where it has no `kafka.schema_registry.username` |",
    "| `OPENAI_API_KEY` | text | | The key of provider `openai`, unless `api_key_env` names another variable |",
    "| `OPENAI_BASE_URL` | text | the vendor's | Another OpenAI-compatible server, up to `/v1` |",
    "| `OPENAI_API` | `responses`, `chat` | `responses` | `chat` for servers without a Responses API |",
)


def page() -> str:
    """The whole page as Markdown."""
    parts = [_INTRO, "## sluice.toml\n"]
    for place, model in _tables(Policy, ""):
        parts.append(f"### `{place or 'top level'}`\n")
        if model.__doc__ and model is not Policy:
            parts.append(f"{_one_line(model.__doc__)}\n")
        parts.append("| key | value | default | meaning |\n|---|---|---|---|")
        parts.extend(_row(name, info) for name, info in model.model_fields.items() if not _nested(info.annotation))
        nested = [info.alias or name for name, info in model.model_fields.items() if _nested(info.annotation)]
        parts.append(f"\nTables below it: {', '.join(f'`{name}`' for name in nested)}.\n" if nested else "")
    parts.append(
        "## Not in this version\n\nThese keys of the language are refused by name until their mechanism is there.\n"
    )
    parts.extend(f"- `{key.replace('*', 'NAME')}`: {what}" for key, what in LATER.items())
    parts.append("\n## Environment\n\n| variable | value | default | meaning |\n|---|---|---|---|")
    parts.extend(_row(f"SLUICE_{name.upper()}", info) for name, info in Runtime.model_fields.items())
    parts.extend(_ELSEWHERE)
    return "\n".join(parts) + "\n"


def _tables(model: type[BaseModel], place: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of the language with its place, parents first, each type once."""
    seen: set[type[BaseModel]] = set()
    waiting = [(place, model)]
    while waiting:
        place, model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield place, model
        for name, info in model.model_fields.items():
            if found := _nested(info.annotation):
                inner, many = found
                step = {"dict": f"{name}.NAME", "tuple": f"{name}[]", "": name}[many]
                waiting.append((f"{place}.{step}".lstrip("."), inner))


def _nested(annotation: Any) -> tuple[type[BaseModel], str] | None:
    """The model inside an annotation, and whether it stands once, by name (`dict`) or in a row (`tuple`)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    many = {dict: "dict", tuple: "tuple"}.get(get_origin(annotation), "")
    for part in get_args(annotation):
        if found := _nested(part):
            return found[0], many or found[1]
    return None


def _row(name: str, info: FieldInfo) -> str:
    default = "" if info.is_required() else _default(info)
    return f"| `{info.alias or name}` | {_value(info)} | {default} | {_one_line(info.description or '')} |"


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    return "" if value is None or value in ((), {}) else f"`{value}`"


def _value(info: FieldInfo) -> str:
    """What may stand there, in words."""
    schema = info.json_schema_extra
    if isinstance(schema, dict) and schema.get("type") == "string":
        return "duration, as `2s`"
    bounds = [
        f"{sign} {getattr(bound, name):g}"
        for bound in info.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if isinstance(getattr(bound, name, None), int | float)
    ]
    text = _type(info.annotation)
    return f"{text}, {', '.join(bounds)}" if bounds else text


def _type(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(arg) for arg in args if arg is not type(None)))
    if origin is tuple:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"table of {_type(args[1])}"
    if hasattr(annotation, "__metadata__"):
        return _type(args[0])
    words = {str: "text", SecretStr: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
    return words.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
