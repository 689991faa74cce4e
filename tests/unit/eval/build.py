"""A labelled source of our own making, small enough to be compared in a second."""

from pathlib import Path

from local.eval.sources import SourceSpec, load
from local.samples import generate, jsonl
from processors.policy import Policy
from streams import settings

POLICY = """
[streams.shop]
kind = "log"
topics = ["shop"]
[streams.shop.labels.routine]
means = "Normal operation; no one needs to look"
[streams.shop.labels.warning]
means = "Something to look at today"
[streams.shop.labels.outage]
means = "Customers cannot use something"
severity = "critical"
escalate = "mini"
[streams.shop.labels.security]
means = "Somebody tries to get in"
"""
SOURCES = """
["logs.shop"]
data = "logs.jsonl"
gold = "label"
positive = "outage"
note = "Our own samples."
"""


def source(folder: Path) -> tuple[Path, SourceSpec, Policy]:
    """The file of a source, how its gold is read, and its policy."""
    jsonl.write(generate(7, 600), folder)
    (folder / "logs.shop.toml").write_text(POLICY)
    (folder / "sources.toml").write_text(SOURCES)
    return folder / "logs.jsonl", load(folder)["logs.shop"], settings.load(folder / "logs.shop.toml")
