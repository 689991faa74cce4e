"""The one job of every program here, and how a program is told about it. Imports nothing of Sluice."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

CALL_SECONDS = 0.2  # of a simulated model call, which only waits
CONCURRENCY = 500  # calls at once, in all of a process


@dataclass(frozen=True, slots=True)
class Task:
    """A program's arguments, in this order."""

    mode: str  # which of its ways the program is to work in
    brokers: str
    input: str
    output: str  # also the name of its consumer group
    memory: Path  # in a directory that a program may use for its state
    partitions: int

    @classmethod
    def told(cls) -> Self:
        mode, brokers, input_, output, memory, partitions = sys.argv[1:]
        return cls(mode, brokers, input_, output, Path(memory), int(partitions))

    def arguments(self) -> list[str]:
        return [self.mode, self.brokers, self.input, self.output, str(self.memory), str(self.partitions)]


class Memory:
    """Answers by the text that they are an answer to. Shared by all programs as a file: JSON, verdict by text."""

    def __init__(self, path: Path) -> None:
        verdicts: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
        self._verdicts = {text.encode(): verdict for text, verdict in verdicts.items()}

    def decide(
        self, topic: str, partition: int, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None
    ) -> bytes:
        """The decision of one record, about 400 bytes of JSON. KeyError for a text that is not in memory."""
        return orjson.dumps(
            {
                "id": f"{topic}/{partition}/{offset}",
                "source": {
                    "topic": topic,
                    "partition": partition,
                    "offset": offset,
                    "key": None if key is None else key.decode(),
                    "timestamp_ms": timestamp_ms,
                },
                **self._verdicts[value or b""],
            }
        )
