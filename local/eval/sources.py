"""Labelled sources: where their data is, and how their gold is read."""

import gzip
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from processors.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One source, as `policies/sources.toml` describes it."""

    name: str
    data: str  # a file name in the data folder
    gold: str  # "label", or "labels.ENTRY"
    values: Mapping[str, str]  # gold to the policy's label; empty: they are the same words
    positive: str | None  # the label whose F1 is told; None: accuracy
    figure: Literal["f1", "accuracy"]  # what its quality is held to
    unit: Literal["message", "block"]
    stream: str | None = None  # of the policy, where it has several
    note: str = ""

    def lacking(self, record: Mapping[str, Any]) -> str | None:
        """What the record has to have and has not. A label that is null is there: the record has no gold."""
        if not isinstance(record.get("payload"), dict | str):
            return "payload"
        labels = record.get("labels")
        if self.gold == "label" and "label" not in record:
            return "label"
        if self.gold != "label" and not isinstance(labels, dict):
            return "labels"
        if self.unit == "block" and not (isinstance(labels, dict) and "block" in labels):
            return "labels.block"
        return None

    def word_of(self, record: Mapping[str, Any]) -> str | None:
        """The record's gold in the file's own words; None where it has none."""
        table, _, entry = self.gold.partition(".")
        found = record[table].get(entry) if entry else record[table]
        if found is None:
            return None
        return str(found).lower() if isinstance(found, bool) else str(found)

    def gold_of(self, record: Mapping[str, Any]) -> str | None:
        """The record's gold as a label of the policy; None where it has none. KeyError for a value not in `values`."""
        word = self.word_of(record)
        return self.values[word] if word is not None and self.values else word

    def unit_of(self, record: Mapping[str, Any]) -> str:
        """What is counted once: the record, or the block that it is a line of."""
        return str(record["labels"]["block"] if self.unit == "block" else record["id"])


def load(policies: Path) -> dict[str, SourceSpec]:
    """Every source in `policies`/sources.toml by its name, in the file's order. The policy of NAME is NAME.toml."""
    file = policies / "sources.toml"
    if not file.exists():
        raise ConfigurationError(
            f"{file} is not there: it says how each source's gold is read. Name the folder that has it, and a policy "
            "for each source, with --policies (docs/cost.md, 'Labelled files of your own'); the project's own, "
            "bench/policies, is in its checkout."
        )
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    for name, table in tables.items():
        _check(f"{file}: [{name}]", table)
    return {
        name: SourceSpec(
            name=name,
            data=table["data"],
            gold=table["gold"],
            values=table.get("values", {}),
            positive=table.get("positive"),
            figure=table.get("figure", "f1" if "positive" in table else "accuracy"),
            unit=table.get("unit", "message"),
            stream=table.get("stream"),
            note=table.get("note", ""),
        )
        for name, table in tables.items()
    }


def _check(place: str, table: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for what would be read otherwise than it is meant."""
    if lacking := [key for key in ("data", "gold") if key not in table]:
        raise ConfigurationError(
            f'{place} lacks {", ".join(lacking)}. It needs data, a file name in DATA, and gold, "label" or '
            '"labels.ENTRY": where a line has what it is to be decided as.'
        )
    data, gold = str(table["data"]), str(table["gold"])
    if not data.removesuffix(".gz").endswith((".jsonl", ".ndjson")):  # another would be sent line by line, with gold
        raise ConfigurationError(
            f"{place} has data = '{data}': labelled files are .jsonl or .ndjson, also as .gz. Rename it."
        )
    if gold != "label" and not gold.startswith("labels."):  # elsewhere it would be sent to the models
        raise ConfigurationError(
            f"{place} has gold = '{gold}': `label` and `labels` alone are kept from the models. Write \"label\" or "
            '"labels.ENTRY", and the lines so.'
        )


def labelled(file: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The file's records with their gold, in order: as many as `sluice ingest` sends. One without an id has its
    number."""
    with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as lines:
        for number, line in enumerate(line for line in lines if line.strip()):
            if number == limit:
                return
            yield {"id": str(number)} | orjson.loads(line)


def gold_file(file: Path, spec: SourceSpec, limit: int | None, target: Path) -> Path:
    """Writes gold in the policy's words, for the stand-in."""
    with target.open("wb") as out:
        for record in labelled(file, limit):
            out.write(orjson.dumps(record | {"label": spec.gold_of(record)}, option=orjson.OPT_APPEND_NEWLINE))
    return target
