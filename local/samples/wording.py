"""Fills the templates of `texts/`: names of the world, numbers and choices in braces."""

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

# {name}, {name2}, {3-20} or {this|that}; other braces, as those of JSON in a log line, stay as they are.
_SLOT = re.compile(r'\{([a-z_]+\d*|\d+-\d+|[^{}"|]*(?:\|[^{}"|]*)+)\}')
_NUMBERS = re.compile(r"(\d+)-(\d+)")
_HEX = re.compile(r"hex(\d+)")
_DEPTH_MAX = 6  # slots within slots


def read(name: str) -> dict[str, Any]:
    """A file of `texts/`."""
    return tomllib.loads(resources.files("local.samples").joinpath("texts", f"{name}.toml").read_text("utf-8"))


class Wording:
    """Draws from the world's lists. Deterministic: all chance comes from `rng`."""

    def __init__(self, world: Mapping[str, Sequence[str]], rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def fill(self, text: str, known: dict[str, str]) -> str:
        """`text` without slots. `known` says what names mean in this message, and learns those drawn here.

        Raises KeyError for a name that is neither known nor in the world.
        """
        for _ in range(_DEPTH_MAX):
            filled = _SLOT.sub(lambda slot: self._value(slot[1], known), text)  # the innermost come first
            if filled == text:
                return text
            text = filled
        raise ValueError(f"slots are nested more than {_DEPTH_MAX} deep in: {text}")

    def _value(self, slot: str, known: dict[str, str]) -> str:
        if "|" in slot:
            return self._rng.choice(slot.split("|"))
        if numbers := _NUMBERS.fullmatch(slot):
            return str(self._rng.randint(int(numbers[1]), int(numbers[2])))
        if digits := _HEX.fullmatch(slot):
            return "".join(self._rng.choices("0123456789abcdef", k=int(digits[1])))
        if slot not in known:
            known[slot] = self._another(slot.rstrip("0123456789"), known)
        return known[slot]

    def _another(self, name: str, known: dict[str, str]) -> str:
        """One of the world's, and not one that the text has under the same name with another number."""
        taken = {value for key, value in known.items() if key.rstrip("0123456789") == name}
        left = [value for value in self._world[name] if value not in taken]
        return self.fill(self._rng.choice(left), known)
