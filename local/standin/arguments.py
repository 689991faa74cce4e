"""What a model fills into a tool's arguments: words and identifiers of the message."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.standin.calls import Json
from local.standin.extracting import find_number, find_text
from local.standin.lexicon import best_choice, salient

_TABLE = re.compile(r"\b(\w+)\s*\(([^()]+)\)")
_NUMBERS = {"minutes": 60, "hours": 24, "days": 7, "limit": 5, "count": 5, "top": 5, "n": 5}
_SEARCH = frozenset(
    ("query", "q", "search", "text", "like", "words", "term", "terms", "keywords", "topic", "question", "input")
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """A source for one call of a tool about one text."""

    text: str
    about: str  # the tool's description

    def choose(self, name: str, choices: Sequence[Any]) -> Any | None:  # noqa: ARG002
        return best_choice(self.text, [choice for choice in choices if isinstance(choice, str)])

    def scalar(self, name: str, kind: str, node: Json) -> str | float | bool | None:
        if kind == "boolean":
            return None
        if kind in ("integer", "number"):
            usual = next((value for word, value in _NUMBERS.items() if word in re.split(r"[_\W]", name.lower())), None)
            return usual if usual is not None else find_number(name, self.text)
        hint = f"{name} {node.get('description', '')}"
        if re.search(r"\bSELECT\b|\bSQL\b", hint, re.I) or (re.search(r"\bSELECT\b", self.about) and name in _SEARCH):
            return self._select()
        found = find_text(name, self.text, node.get("pattern"))
        if found is not None:
            return found
        return " ".join(salient(self.text)) if _SEARCH & set(re.split(r"[_\W]", name.lower())) else None

    def elements(self, name: str, items: Json) -> "Sequence[Arguments]":  # noqa: ARG002
        return [Arguments(word, self.about) for word in salient(self.text, 2)]

    def _select(self) -> str:
        """A query on the first table that the tool names, by an identifier of the message where a column fits."""
        table = _TABLE.search(self.about)
        if table is None:
            return "SELECT name FROM sqlite_master WHERE type = 'table'"
        columns = [column.split()[0].strip('"`') for column in table[2].split(",") if column.strip()]
        for column in columns:
            if (value := find_text(column, self.text, None)) is not None:
                quoted = value.replace("'", "''")
                return f"SELECT * FROM {table[1]} WHERE {column} = '{quoted}' LIMIT 5"
        return f"SELECT * FROM {table[1]} LIMIT 5"
