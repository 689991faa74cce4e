"""Samples to labelled JSONL files, one a stream."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import orjson

from local.samples.sample import Sample


def write(samples: Iterable[Sample], folder: Path) -> dict[Path, int]:
    """Writes `folder`/STREAM.jsonl and gives each file's number of records. What is no message is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[Path, int] = {}
    with ExitStack() as closing:
        files: dict[Path, BinaryIO] = {}
        for sample in samples:
            if sample.payload is None:
                continue
            path = folder / f"{sample.stream}.jsonl"
            if path not in files:
                files[path] = closing.enter_context(path.open("wb"))
            files[path].write(orjson.dumps(sample.record(), option=orjson.OPT_APPEND_NEWLINE))
            counts[path] = counts.get(path, 0) + 1
    return counts
