"""Files to records for `sluice ingest`: JSON lines, plain lines, and mail as single files or an mbox."""

import asyncio
import gzip
import io
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson

from processors.errors import ConfigurationError
from topics.records import Headers

_NEVER_SENT = ("label", "labels")  # gold: whoever judges must not see it


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One record of a file, as it goes to Kafka."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int | None  # None: now
    place: str  # `file:line`, for messages to a person
    headers: Headers = ()


def read(path: Path) -> Iterator[FileRecord]:
    """The records of one file; `.gz` is unpacked.

    `.jsonl`: one object a line; `label` and `labels` are left out, `time` becomes the timestamp, the conversation
    becomes the key. `.eml`: the file is one mail. `.mbox`: one mail a message. Anything else: one line a record;
    blank lines say nothing and are passed over.
    Raises ConfigurationError naming file and line for what is not of its kind.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    try:
        with _open(path) as file:
            match suffix:
                case ".jsonl" | ".ndjson":
                    yield from _json_lines(file, path)
                case ".eml":
                    yield FileRecord(None, file.read(), None, f"{path}")
                case ".mbox":
                    yield from _mbox(file, path)
                case _:
                    for number, line in enumerate(file, start=1):
                        if line.strip():
                            yield FileRecord(None, line.rstrip(b"\r\n"), None, f"{path}:{number}")
    except (OSError, EOFError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None


async def read_all(paths: Sequence[Path]) -> AsyncIterator[FileRecord]:
    """The records of several files, one after the other; gives way to other tasks now and then."""
    for path in paths:
        for number, record in enumerate(read(path)):
            if number % 500 == 499:
                await asyncio.sleep(0)
            yield record


def _open(path: Path) -> IO[bytes]:
    return io.BufferedReader(gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _json_lines(file: IO[bytes], path: Path) -> Iterator[FileRecord]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(
                f"{place}: this line is not JSON: {error}. A .jsonl file has one object a line."
            ) from None
        if not isinstance(record, dict):
            raise ConfigurationError(f"{place}: this line is JSON but no object. A .jsonl file has one object a line.")
        for gold in _NEVER_SENT:
            record.pop(gold, None)
        yield FileRecord(_conversation(record), orjson.dumps(record), _timestamp_ms(record.get("time"), place), place)


def _conversation(record: dict[str, Any]) -> bytes | None:
    """The key of a dialogue's record: its conversation, or the record's own id where it holds a whole dialogue."""
    payload = record.get("payload", record)
    if not isinstance(payload, dict):
        return None
    conversation = payload.get("conversation_id") or (record.get("id") if "turns" in payload else None)
    return str(conversation).encode() if conversation is not None else None


def _timestamp_ms(time: object, place: str) -> int | None:
    """ISO 8601 to epoch milliseconds; without a zone it is UTC."""
    if time is None:
        return None
    try:
        moment = datetime.fromisoformat(str(time))
    except ValueError:
        raise ConfigurationError(
            f"{place}: time {time!r} is no ISO 8601 time. Write it as 2026-01-31T12:00:00Z, or leave it out."
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


_FROM_LINE = re.compile(rb"^From \S+ ")


def _mbox(file: IO[bytes], path: Path) -> Iterator[FileRecord]:
    """Messages begin at `From ` lines; `>From ` inside a body is unquoted."""
    lines: list[bytes] = []
    start = 1
    for number, line in enumerate(file, start=1):
        if _FROM_LINE.match(line):
            if lines:
                yield FileRecord(None, b"".join(lines), None, f"{path}:{start}")
            lines, start = [], number
        else:
            lines.append(line[1:] if line.startswith(b">From ") else line)
    if lines:
        yield FileRecord(None, b"".join(lines), None, f"{path}:{start}")
