"""How an answer about one message is written: its key, the code of its label, and three digits for how sure it is.

`417B932` says label B of message 417, at 932 in a thousand. Three digits, one or two letters and three digits are a
token each in the vocabularies of current models (o200k and its kin cut digits in threes), where the same as an object
with names takes five times as many. Percent would cost the same and leave most answers of a sure model tied at 99. The
form is a regular expression, so a provider that enforces schemas enforces the labels too.
"""

import itertools
import re
import string
from collections.abc import Iterable, Iterator, Mapping

KEY_MIN, KEY_MAX = 100, 999  # one token each, and no text can count on its neighbours' being there
KEY_CHARS = 3
PERMILLE_MAX = 999


def label_codes(labels: Iterable[str]) -> Mapping[str, str]:
    """A code for each label, in their order: capital letters of its own name where they are free, as `A` for `alert`.

    One letter for up to 26 labels, more letters for more, all codes of one length.
    """
    names = tuple(labels)
    width = 1
    while len(string.ascii_uppercase) ** width < len(names):
        width += 1
    codes: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        code = next(code for code in _candidates(name, width) if code not in taken)
        taken.add(code)
        codes[name] = code
    return codes


def _candidates(name: str, width: int) -> Iterator[str]:
    words = re.findall(r"[A-Z]+", name.upper())
    initials = "".join(word[0] for word in words)
    if len(initials) >= width:
        yield initials[:width]
    for letters in itertools.combinations("".join(words), width):
        yield "".join(letters)
    for letters in itertools.product(string.ascii_uppercase, repeat=width):
        yield "".join(letters)


def write(key: str, code: str, permille: int) -> str:
    """The answer `permille` (0 to 999) sure of the label `code` about message `key`."""
    return f"{key}{code}{permille:03d}"


def pattern(codes: Iterable[str]) -> str:
    """What an answer with one of these codes matches, in what all dialects of regular expressions share."""
    return f"^[1-9][0-9]{{2}}({'|'.join(codes)})[0-9]{{3}}$"
