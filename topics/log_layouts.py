"""Where the parts of a log line stand: the same for all lines that differ in digits only, and so found out once."""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

from topics.messages import FieldValue

Part = str | slice
"""Words of ours, or where words stand in the line."""

Field = tuple[str | Sequence[Part], FieldValue | slice]
"""Its name and value; either may stand in the line."""


class Layout:
    """What is read from a line, and from where in it: the texts and fields of a `LogLine`."""

    __slots__ = ("_fields", "_stable", "_stable_words", "_text", "_text_words")

    def __init__(self, text: Sequence[Part], stable: Sequence[Part], fields: Iterable[Field]) -> None:
        """Both texts have at least one part of the line."""
        self._text, self._text_words = _compiled(text)
        self._stable, self._stable_words = _compiled(stable)
        self._fields = [(name if isinstance(name, str) else _compiled(name), value) for name, value in fields]

    def text(self, line: str) -> str:
        return self._text % self._text_words(line)

    def stable(self, line: str) -> str:
        return self._stable % self._stable_words(line)

    def fields(self, line: str) -> dict[str, FieldValue]:
        return {
            name if isinstance(name, str) else name[0] % name[1](line): line[value]
            if isinstance(value, slice)
            else value
            for name, value in self._fields
        }


def _compiled(parts: Sequence[Part]) -> tuple[str, Callable[[str], tuple[str, ...]]]:
    """A form for the % operator, and what takes its words from a line: one word is no tuple, and % likes that too."""
    form = "".join("%s" if isinstance(part, slice) else part.replace("%", "%%") for part in parts)
    return form, itemgetter(*(part for part in parts if isinstance(part, slice)))
