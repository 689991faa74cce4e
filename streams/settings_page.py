"""`docs/settings.md` from the policy's own types: `python -m streams.settings_page > docs/settings.md`."""

import json
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, SecretStr
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


# What to do instead of each key of LATER, and of values that one may look for.
_INSTEAD: Mapping[str, str] = {
    "defaults.redact": "Mask texts before they reach the input topics, in the sender or in Kafka Connect",
    "streams.*.redact": "The same",
    "agents.http_allow": "Write what agents should know into `agents.runbooks`, or into the database of `agents.sql`",
    "agents.mcp": "The same",
    "agents.approval": "Nothing: agents' tools only read. What should be done stands in a Resolution's `actions`",
}
REFUSED: Mapping[tuple[str, str], str] = {
    ("agents.tools", '"http"'): "As for `agents.http_allow`",
    ("agents.tools", '"mcp:jira"'): "As for `agents.mcp`",
    ("tiers.flagship.limits.depth", "2"): "`1`: sub-tasks of a plan have none of their own",
    ("kafka.security.mechanism", '"GSSAPI"'): "`SCRAM-SHA-512`, or `OAUTHBEARER` with a token",
}


def page() -> str:
    """The whole page as Markdown."""
    parts = [_INTRO, "## sluice.toml\n"]
    for place, model in _tables(Policy, ""):
        parts.append(f"### `{place or 'top level'}`\n")
        if model.__doc__ and model is not Policy:
            parts.append(f"{_one_line(model.__doc__)}\n")
        rows = [_row(name, info) for name, info in model.model_fields.items() if not _nested(info.annotation)]
        if rows:
            parts.extend(("| key | value | default | meaning |\n|---|---|---|---|", *rows, ""))
        nested = [info.alias or name for name, info in model.model_fields.items() if _nested(info.annotation)]
        if nested:
            parts.append(f"Tables below it: {', '.join(f'`{name}`' for name in nested)}.\n")
    parts.append("## Not in this version\n\nThese are refused by name, never ignored.\n")
    parts.append("| key | what it would be | instead |\n|---|---|---|")
    parts.extend(f"| `{key.replace('*', 'NAME')}` | {what} | {_INSTEAD[key]} |" for key, what in LATER.items())
    parts.extend(f"| `{key}`: `{value}` |  | {instead} |" for (key, value), instead in REFUSED.items())
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
    if value is None or value in ((), {}, ""):
        return ""
    if _is_duration(info):
        return f"`{_duration(value)}`"
    return f"`{json.dumps(value)}`" if isinstance(value, bool | tuple) else f"`{value}`"


def _value(info: FieldInfo) -> str:
    """What may stand there, in words."""
    bounds = [
        f"{sign} {_duration(limit) if _is_duration(info) else f'{limit:g}'}"
        for bound in info.metadata
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if isinstance(limit := getattr(bound, name, None), int | float)
    ]
    text = "duration, as `2s`" if _is_duration(info) else _type(info.annotation)
    return f"{text}, {', '.join(bounds)}" if bounds else text


def _is_duration(info: FieldInfo) -> bool:
    """Whether it is the policy's `Seconds`, or may be: those have said what JSON Schema takes them for."""
    inner = (found for part in get_args(info.annotation) for found in getattr(part, "__metadata__", ()))
    said = (each.json_schema_extra for each in (info, *inner) if isinstance(each, FieldInfo))
    return any(isinstance(schema, dict) and schema.get("type") == "string" for schema in said)


def _duration(seconds: float) -> str:
    """As a policy would say it: `15m`, `2s`, `500ms`."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds % size == 0 and (seconds or unit == "s"):
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:g}ms"


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
    words |= {AwareDatetime: "date and time"}
    return words.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
