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
    note: str

    def gold_of(self, record: Mapping[str, Any]) -> str | None:
        """The record's gold as a label of the policy; None where it has none. KeyError for a value not in `values`."""
        table, _, entry = self.gold.partition(".")
        found = record[table].get(entry) if entry else record[table]
        if found is None:
            return None
        word = str(found).lower() if isinstance(found, bool) else str(found)
        return self.values[word] if self.values else word

    def unit_of(self, record: Mapping[str, Any]) -> str:
        """What is counted once: the record, or the block that it is a line of."""
        return str(record["labels"]["block"] if self.unit == "block" else record["id"])


def load(policies: Path) -> dict[str, SourceSpec]:
    """Every source in `policies`/sources.toml by its name, in the file's order. The policy of NAME is NAME.toml."""
    file = policies / "sources.toml"
    if not file.exists():
        raise ConfigurationError(
            f"{file} is not there: it says how each source's gold is read. Run this in a checkout, or name yours "
            "with --policies."
        )
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    for name, table in tables.items():
        if lacking := [key for key in ("data", "gold", "note") if key not in table]:
            raise ConfigurationError(f"{file}: [{name}] lacks {', '.join(lacking)}. Its first lines say what they are.")
    return {
        name: SourceSpec(
            name=name,
            data=table["data"],
            gold=table["gold"],
            values=table.get("values", {}),
            positive=table.get("positive"),
            figure=table.get("figure", "f1" if "positive" in table else "accuracy"),
            unit=table.get("unit", "message"),
            note=table["note"],
        )
        for name, table in tables.items()
    }


def labelled(file: Path, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The file's records with their gold, in order."""
    with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as lines:
        for number, line in enumerate(lines):
            if number == limit:
                return
            yield orjson.loads(line)


def gold_file(file: Path, spec: SourceSpec, limit: int | None, target: Path) -> Path:
    """Writes gold in the policy's words, for the stand-in."""
    with target.open("wb") as out:
        for record in labelled(file, limit):
            out.write(orjson.dumps(record | {"label": spec.gold_of(record)}, option=orjson.OPT_APPEND_NEWLINE))
    return target
