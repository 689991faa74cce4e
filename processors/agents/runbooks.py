"""The tool `runbooks`: sections of a team's Markdown files that fit a question, found by words."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from processors.errors import ConfigurationError
from topics import limits
from topics.messages import Escalation

_WORD = re.compile(r"[^\W_]{2,}")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_TITLE_WEIGHT = 3  # a word in a title says what the section is about


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading, up to the next."""

    file: str
    title: str
    text: str

    def words(self) -> Counter[str]:
        """Each word and its weight."""
        weights = Counter(dict.fromkeys(_words(self.text), 1))
        for word in _words(f"{Path(self.file).stem} {self.title}"):
            weights[word] = _TITLE_WEIGHT
        return weights


class Runbooks:
    """Read once, at start. A section's score is the sum of the rarities of the question's words in it."""

    name = "runbooks"
    about = "Sections of the team's runbooks that fit a question: what a failure means and what to do about it."

    class Arguments(BaseModel):
        query: str = Field(description="What to look for, in a few words: the failing thing, the error")

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = [(section, section.words()) for section in sections]
        self._holding = Counter(word for _, words in self._sections for word in words)

    @classmethod
    def read(cls, folder: str) -> Self:
        """The Markdown files in a folder and those below it. Raises ConfigurationError where there is none."""
        root = Path(folder)
        if not root.is_dir():
            raise ConfigurationError(
                f'agents.runbooks = "{folder}": there is no such folder. Name one of Markdown files, or remove the key'
            )
        files = sorted(path for path in root.rglob("*.md") if path.is_file())
        if len(files) > limits.RUNBOOK_FILES_MAX:
            raise ConfigurationError(
                f'agents.runbooks = "{folder}": {len(files)} Markdown files, at most {limits.RUNBOOK_FILES_MAX} are '
                "read. Name the folder that has the runbooks alone"
            )
        return cls([section for path in files for section in _sections(str(path.relative_to(root)), _text(path))])

    async def call(self, arguments: Arguments, escalation: Escalation) -> object:  # noqa: ARG002
        wanted = set(_words(arguments.query))
        scored = [(self._score(wanted, words), section) for section, words in self._sections]
        best = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        return [
            {"file": section.file, "title": section.title, "text": section.text}
            for _, section in best[: limits.RUNBOOK_SECTIONS_MAX]
        ]

    def _score(self, wanted: set[str], words: Counter[str]) -> float:
        return sum(
            words[word] * math.log(1 + len(self._sections) / self._holding[word]) for word in wanted & words.keys()
        )


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(limits.RUNBOOK_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(f"agents.runbooks: {path} cannot be read: {error}") from None


def _sections(file: str, text: str) -> Iterator[Section]:
    """A file cut at its headings; what stands before the first has the file's name for a title."""
    pieces = _HEADING.split(text)  # text, then title and text in turn
    for title, body in zip([Path(file).stem, *pieces[1::2]], pieces[0::2], strict=True):
        if body.strip():
            yield Section(
                file, title, body.strip()[: limits.TOOL_OUTPUT_CHARS_MAX // limits.RUNBOOK_SECTIONS_MAX - 200]
            )
