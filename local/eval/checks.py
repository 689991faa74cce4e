"""What is wrong with a labelled source: told before anything starts, by the names of the user's own files."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from local.eval.sources import SourceSpec, labelled
from processors.errors import ConfigurationError
from processors.policy import Policy, Stream
from streams import settings, sources

FORMAT = "docs/cost.md, 'Labelled files of your own'"
_UNKNOWN_MAX = 5  # told at once: a typo is one or two, and of a wrong column a few say enough
_PAYLOADS: Mapping[str, Mapping[str, str]] = {
    "log": {"line": "disk full on web-03"},
    "email": {"subject": "Invoice", "body": "Is it paid?"},
    "dialogue": {"conversation_id": "c-1", "speaker": "customer", "text": "My card is gone"},
}


def checked(data: Path, policies: Path, spec: SourceSpec, limit: int | None) -> Policy:
    """The source's policy with its stream alone, on the first of its topics. Raises ConfigurationError where the
    policy is not there or leaves open which stream is meant, and where the file cannot be scored by it."""
    policy = _policy(policies, spec)
    [stream] = policy.streams.values()
    if spec.positive is not None and spec.positive not in stream.labels:
        raise ConfigurationError(
            f"{policies}/sources.toml: [{spec.name}] has positive = '{spec.positive}', which is no label of its "
            f"policy: use one of {', '.join(stream.labels)}."
        )
    _check(data / spec.data, spec, stream, limit)
    return policy


def _policy(policies: Path, spec: SourceSpec) -> Policy:
    file = policies / f"{spec.name}.toml"
    if not file.exists():
        raise ConfigurationError(
            f"{file} is not there: it is the policy of [{spec.name}] in sources.toml. Write it (README, 'A policy of "
            "your own')."
        )
    policy = settings.load(file)
    names = list(policy.streams)
    if spec.stream is None and len(names) > 1:
        raise ConfigurationError(
            f"{file} has the streams {', '.join(names)}, and a file is judged by one: name it under [{spec.name}] in "
            f'sources.toml, as stream = "{names[0]}".'
        )
    name = spec.stream or names[0]
    if name not in policy.streams:
        raise ConfigurationError(
            f"{policies}/sources.toml: [{spec.name}] has stream = '{name}', which {file} has not: use one of "
            f"{', '.join(names)}."
        )
    stream = policy.streams[name]
    alone = stream.model_copy(update={"topics": stream.topics[:1]})
    return policy.model_copy(update={"streams": {name: alone}})


def _check(file: Path, spec: SourceSpec, stream: Stream, limit: int | None) -> None:
    """Raises ConfigurationError for a line that lacks something, a gold that is no label, and where nothing has any."""
    lines = scored = 0
    unknown: dict[str, str] = {}  # the file's word, and the first line that has it
    for place, record in _placed(file, limit):
        lines += 1
        if lacking := spec.lacking(record):
            raise ConfigurationError(f"{place}: this line lacks `{lacking}`. {_looks(spec, stream)}")
        word = spec.word_of(record)
        if word is None:
            continue
        scored += 1
        if (spec.values.get(word) if spec.values else word) not in stream.labels:
            unknown.setdefault(word, place)
    if unknown:
        raise ConfigurationError(_unknown(unknown, spec, stream.labels))
    if not scored:
        what = f"none of its {lines:,} lines has a value in `{spec.gold}`" if lines else "the file is empty"
        raise ConfigurationError(f"{file}: {what}, so there is nothing to score. {_looks(spec, stream)}")


def _placed(file: Path, limit: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its `file:line`. What cannot be sent is found here too: it is read as it will be sent."""
    for sent, record in zip(islice(sources.read(file), limit), labelled(file, limit), strict=True):
        yield sent.place, record


def _unknown(unknown: Mapping[str, str], spec: SourceSpec, labels: Collection[str]) -> str:
    told = ", ".join(f"'{word}' (first at {place})" for word, place in islice(unknown.items(), _UNKNOWN_MAX))
    more = len(unknown) - _UNKNOWN_MAX
    told += f" and {more:,} more" if more > 0 else ""
    return (
        f"`{spec.gold}` has what is no label of the policy of [{spec.name}]: {told}. Its labels are "
        f"{', '.join(labels)}: correct the file, or say in sources.toml which label is meant, with `values`, one entry "
        "for each value of the file."
    )


def _looks(spec: SourceSpec, stream: Stream) -> str:
    """A line as it should be, with what this source reads of it."""
    table, _, entry = spec.gold.partition(".")
    gold = next(iter(spec.values or stream.labels))
    line: dict[str, Any] = {"payload": _PAYLOADS[stream.kind], table: {entry: gold} if entry else gold}
    if spec.unit == "block":
        line["labels"] = line.get("labels", {}) | {"block": "b-1"}
    return f"A line looks like {orjson.dumps(line).decode()} ({FORMAT})."
