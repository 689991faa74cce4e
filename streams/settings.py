"""Reads `sluice.toml` and the environment, once, at start. What is wrong is told with value, line, rule and remedy."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from processors.errors import ConfigurationError
from processors.placeholders import resolve
from processors.policy import LATER, NAME_PATTERN, Kafka, Misfit, Policy
from topics import limits

Path_ = tuple[str | int, ...]
_SHOWN_CHARS_MAX = 120
_Model = TypeVar("_Model", bound=BaseModel)


class Runtime(BaseSettings):
    """How a process runs, from the environment (`SLUICE_…`): what differs from place to place, not from policy."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_", frozen=True, use_attribute_docstrings=True)

    config: Path = Path("sluice.toml")
    """The policy file."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, else one JSON object a line."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    http_host: str = "127.0.0.1"
    """Where `/metrics`, `/live` and `/ready` are served."""
    http_port: int = Field(default=9464, ge=0, le=65535)
    """0: a free one, said in the log."""
    instance_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """A name that this worker keeps over restarts, as a StatefulSet's pod has: its partitions then wait for it as long
    as the session lasts (10 s), and no other worker is disturbed. No two workers of a stage may share one."""
    held_mib: int = Field(default=limits.HELD_BYTES_MAX // limits.MIB, ge=1)
    """MiB of messages that a process holds at most: values that wait for a model, and outputs that are not committed.
    One poll may exceed it. Memory in all: see docs/memory.md."""
    data_dir: Path = Path(".sluice/data")
    """Where the incidents worker keeps what it knows: a directory for each worker. Kafka has it too: what is lost is
    rebuilt."""
    producers: int = Field(default=limits.PRODUCERS_MAX, ge=1, le=64)
    """Transactional producers of a stage; its partitions share them where they are more. 1 for the least latency, 3
    for more messages a second: docs/latency.md."""
    shutdown_seconds: float = Field(default=limits.SHUTDOWN_SECONDS_MAX, gt=0, le=600)
    """From SIGTERM to exit; shorter than the pod's grace."""
    console_host: str = "127.0.0.1"
    """Where the console is served. Beyond loopback it wants `SLUICE_CONSOLE_TOKEN`."""
    console_port: int = Field(default=6066, ge=0, le=65535)
    """0: a free one, which is told."""
    console_token: SecretStr | None = None
    """What one logs in to the console with: 16 characters or more. Needed where it listens beyond loopback."""
    console_content: bool = False
    """Whether the console shows what messages say: texts, summaries, fields and keys. Without it they do not leave the
    process that serves the page."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a policy file."""

    line: int | None  # 1-based; None where the file does not name the place
    where: str  # as `streams.logs.labels.alert.means`
    what: str  # value, rule and remedy

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.where}: {self.what}" if self.where else f"{place}{self.what}"


class PolicyInvalid(ConfigurationError):
    """A policy file with problems; all of them, not the first alone."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


def runtime(config: Path | None) -> Runtime:
    """How this process runs; `config` goes before $SLUICE_CONFIG. Raises ConfigurationError with all that is wrong."""
    try:
        return Runtime() if config is None else Runtime(config=config)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(
                f"SLUICE_{'_'.join(map(str, item['loc'])).upper()} = {item['input']!r} does not do: {item['msg']}."
                for item in error.errors(include_url=False)
            )
        ) from None


def given(runtime: Runtime) -> Policy | None:
    """The policy that was named, else the one in sluice.toml; None where none is named and there is no such file."""
    named = "config" in runtime.model_fields_set
    return load(runtime.config) if named or runtime.config.exists() else None


def load(path: Path) -> Policy:
    """The policy in `path`. Raises PolicyInvalid with every problem found."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin files with a mark, which TOML has not
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: there is no such file. Write one (README, 'A policy of your own'), "
            "or name yours with --config or $SLUICE_CONFIG."
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(
            f"{path}: this is a folder, and a policy is a file. Name the file, as --config {path / 'sluice.toml'}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    policy = parse(text, path)
    agents = _from_folder(policy.agents, ["runbooks"], path.parent)
    connecting = {
        key: _from_folder(model, [name for name in type(model).model_fields if name.endswith("_file")], path.parent)
        for key, model in (("security", policy.kafka.security), ("schema_registry", policy.kafka.schema_registry))
    }
    kafka = policy.kafka.model_copy(update=connecting)
    return policy.model_copy(update={"agents": agents, "kafka": kafka})


def _from_folder(model: _Model, keys: Iterable[str], folder: Path) -> _Model:
    """With these paths as the file means them, wherever the command is started."""
    said = {key: getattr(model, key) for key in keys if getattr(model, key) is not None}
    return model.model_copy(update={key: str(folder / value) for key, value in said.items()})


def parse(text: str, path: Path) -> Policy:
    """The policy in `text`; `path` is for the messages alone."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        named = re.search(r"line (\d+)", str(error))
        line = int(named[1]) if named else text.count("\n") + 1
        raise PolicyInvalid(path, [Problem(line, "", f"this is not TOML: {error}. Mend it there.")]) from None
    lines = _lines(text)
    problems = [
        Problem(_line_of(at, lines), ".".join(at), f"{what} is not in this version. Remove the key.")
        for at, what in _later(data)
    ]
    for at, _ in _later(data):
        _remove(data, at)
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        problems += [_problem(item, lines) for item in _own(_causes(error.errors(include_url=False)), data)]
        raise PolicyInvalid(path, sorted(problems, key=lambda p: p.line or 0)) from None
    if problems:
        raise PolicyInvalid(path, problems)
    return policy


def bootstrap_servers(kafka: Kafka, env: Mapping[str, str] = os.environ) -> str:
    """The brokers' addresses. Raises ConfigurationError where neither the policy nor the environment names any."""
    return resolve(kafka.bootstrap_servers, env, "kafka.bootstrap_servers")


def _later(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys that are there and whose mechanism is not, each with what it would be."""
    for pattern, what in LATER.items():
        found: list[tuple[tuple[str, ...], Any]] = [((), data)]
        for part in pattern.split("."):
            found = [
                ((*at, key), value[key])
                for at, value in found
                if isinstance(value, dict)
                for key in (value if part == "*" else [part])
                if key in value
            ]
        yield from ((at, what) for at, _ in found)


def _remove(data: dict[str, Any], at: tuple[str, ...]) -> None:
    for part in at[:-1]:
        data = data[part]
    data.pop(at[-1], None)


def _causes(errors: Sequence[Any]) -> list[Any]:
    """Without lists and tables that are too short only because what is in them is wrong."""
    places = [tuple(error["loc"]) for error in errors]
    return [
        error
        for error, place in zip(errors, places, strict=True)
        if error["type"] != "too_short" or not any(len(at) > len(place) and at[: len(place)] == place for at in places)
    ]


def _own(errors: Sequence[Any], data: Mapping[str, Any]) -> list[Any]:
    """Without what streams have from [defaults], where it is told once."""
    inherited = {tuple(error["loc"])[1:] for error in errors if error["loc"][:1] == ("defaults",)}

    def is_told(place: tuple[str, ...]) -> bool:
        is_streams = place[:1] == ("streams",) and place[2:] in inherited
        return is_streams and place[2] not in data["streams"][place[1]]

    return [error for error in errors if not is_told(tuple(error["loc"]))]


def _problem(error: Any, lines: Mapping[tuple[str, ...], int]) -> Problem:
    """A pydantic error in the words of the file."""
    at: Path_ = tuple(part for part in error["loc"] if part != "[key]")
    value = error["input"]
    match error["type"]:
        case "extra_forbidden":
            what = f"there is no such key.{_did_you_mean(at)}"
        case "missing":
            what = f"this key is needed{_because(at)}"
        case "value_error":
            what = str(error["ctx"]["error"])
            if isinstance(error["ctx"]["error"], Misfit):
                at = (*at, *error["ctx"]["error"].at)
        case kind:
            what = f"{_short(value)} does not do: {_rule(kind, error)}"
    return Problem(_line_of(at, lines), ".".join(map(str, at)), what)


def _short(value: object) -> str:
    """A value in an error: enough of it to be found."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…"


def _rule(kind: str, error: Any) -> str:
    """What pydantic's rule wants, and what to write."""
    given = error.get("ctx", {})
    match kind:
        case "literal_error" | "enum":
            return f"write {given['expected']}."
        case "tuple_type" | "list_type":
            return "write a list, in [ ] with commas."
        case "dict_type" | "model_type" | "model_attributes_type":
            return "write a table, as { key = value }."
        case "string_type":
            return "write text, in quotes."
        case "int_type" | "int_parsing" | "float_type" | "float_parsing" | "int_from_float":
            return f"write a {'whole ' * kind.startswith('int')}number, without quotes."
        case "bool_type" | "bool_parsing":
            return "write true or false."
        case "too_short":
            return f"it needs at least {given['min_length']}, and has {given['actual_length']}. Add to it."
        case "greater_than":
            return f"it has to be more than {given['gt']:g}."
        case "greater_than_equal":
            return f"it has to be {given['ge']:g} or more."
        case "less_than_equal":
            return f"it has to be {given['le']:g} or less."
        case "string_pattern_mismatch" if given["pattern"] == NAME_PATTERN:
            return "a name has up to 64 letters, digits, '.', '_' and '-', and begins with a letter. Choose another."
        case "string_pattern_mismatch":
            return f"it has to look like {given['pattern']}. Choose another."
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}."


def _because(at: Path_) -> str:
    """The meaning of a key that is missing, from its place."""
    if at == ("streams",):
        return ": what is read, and how it is judged. `sluice init` writes one."
    if at[-1] == "means":
        return ": say in words what the label is; the model reads nothing else about it."
    return ". Add it."


def _did_you_mean(at: Path_) -> str:
    """The nearest known key, or all of them."""
    known = _keys_at(Policy, at[:-1])
    if not known:
        return " Remove it."
    near = difflib.get_close_matches(str(at[-1]), known, n=1)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" Known here: {', '.join(known)}."


def _keys_at(model: type[BaseModel], at: Path_) -> list[str]:
    """The keys that the policy language knows at a place."""
    for part in at:
        schema_field = model.model_fields.get(str(part))
        nested = _model_in(schema_field.annotation) if schema_field else model
        if nested is None:
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `dict[Name, Stream]` or `Budget | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if found := _model_in(part):
            return found
    return None


_TABLE = re.compile(r"^\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Where each table and key of a TOML text begins. Arrays of tables count from 0, as in the parsed data."""
    places: dict[tuple[str, ...], int] = {}
    counts: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = tuple(part.strip("\"'") for part in _PART.findall(header[1]))
            if line.lstrip().startswith("[["):
                index = counts[table] = counts.get(table, -1) + 1
                table = (*table, str(index))
            places.setdefault(table, number)
        elif key := _KEY.match(line):
            places.setdefault((*table, *(part.strip("\"'") for part in _PART.findall(key[1]))), number)
    return places


def _line_of(at: Path_, lines: Mapping[tuple[str, ...], int]) -> int | None:
    """The line of a place: of its key, else of the first below it, else of the nearest table around it."""
    path = tuple(str(part) for part in at)
    while path:
        if path in lines:
            return lines[path]
        if below := [line for place, line in lines.items() if place[: len(path)] == path]:
            return min(below)
        path = path[:-1]
    return None
