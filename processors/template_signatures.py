"""A log line's signature: equal for lines that differ in their parameters only.

It is the template that a Decision shows (every word with a digit is `<*>`), but for a word before a hyphen that may be
part of the mask, and besides what the template does not show and the outcome may hang on: the number behind `status=`,
`exit code` or `HTTP`, and the words in a masked word, as in `job-7-failed`.
"""

import functools
import re
from typing import NamedTuple

from processors.cache import Cache
from processors.template_words import carries_outcome, is_status, status_places
from topics import limits
from topics.log_layouts import Layout

STATUSES = "\0"  # stands before the statuses that a line tells, and in no line that has a signature
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
# UUIDs, digests, addresses: hexadecimal from the beginning of a word to its end, with a digit. It begins with a set of
# letters, which the search skips to at once, and so looks back for the word's beginning from behind its first letter.
_HEXADECIMAL = re.compile(
    rb"[0a-fA-F](?<![^\W_].)(?!(?<=[bB])ad|(?<=[dD])ead)x?(?=[a-fA-F-]*0)[0a-fA-F-]{5,}(?![^\W_])", re.DOTALL
)
_WORD_WITH_DIGIT = re.compile(r"\b[^\W\d]*+-?\d(?:[\w.:-]*\w)?")  # as log_lines.template masks it
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")


class _Place(NamedTuple):
    """Where a line tells a status."""

    word: int
    part: int  # of the masked parts of that word
    parts: int


class _Form(NamedTuple):
    """What lines that differ in parameters have in common, but for the statuses that they tell."""

    signature: str | None
    statuses: tuple[_Place, ...]


_NONE = _Form(None, ())


class Signatures:
    """Not one for several threads. Bounded by SIGNATURE_SHAPES_MAX lines, twice, and LINE_LAYOUTS_MAX layouts."""

    def __init__(self) -> None:
        form = functools.lru_cache(limits.SIGNATURE_SHAPES_MAX)(_form)
        self._form = functools.lru_cache(limits.SIGNATURE_SHAPES_MAX)(lambda shape: form(_shorter(shape)))
        self._by_layout: Cache[Layout, _Form] = Cache(limits.LINE_LAYOUTS_MAX)

    def of(self, stable: str, layout: Layout | None = None) -> str | None:
        """Of the line without its timestamps. None for a line that says nothing but its parameters, or that is longer
        than SIGNATURE_CHARS_MAX. `layout`: the line's own, where it has one: all lines of a layout have one form."""
        form = None if layout is None else self._by_layout.get(layout)
        if form is None:
            form = self._form_of(stable)
            if layout is not None:
                self._by_layout.put(layout, form)
        signature, statuses = form
        if not statuses:
            return signature
        words = stable.split(" ")
        told = [_status(words[at], part, parts) for at, part, parts in statuses]
        return f"{signature}{STATUSES}{' '.join(told)}"

    def _form_of(self, stable: str) -> _Form:
        if len(stable) > limits.SIGNATURE_CHARS_MAX:
            return _NONE
        return self._form(stable.encode("utf-8", "replace").translate(_ZEROS))


def _shorter(shape: bytes) -> bytes:
    """The same for lines whose numbers and identifiers are of other lengths, so that they are looked up as one."""
    shape = _HEXADECIMAL.sub(b"0", shape).replace(b"0000", b"0")
    return shape.replace(b"00", b"0").replace(b"00", b"0").replace(b"00", b"0")


def _form(shape: bytes) -> _Form:
    words = shape.decode().split(" ")
    masked = [_WORD_WITH_DIGIT.sub(_masked, word) if "0" in word else word for word in words]
    signature = " ".join(masked)
    if not _LETTER.search(signature) or STATUSES in signature:
        return _NONE
    places, found, before = set(status_places(signature)), [], 0
    for at, word in enumerate(masked if places else ()):
        parts = word.count("<*>")
        found += [_Place(at, part, parts) for part in range(parts) if before + part in places]
        before += parts
    return _Form(signature, tuple(found))


def _masked(match: re.Match[str]) -> str:
    return _DIGITS.sub("0", match[0]) if carries_outcome(match[0]) else "<*>"


@functools.lru_cache(limits.SIGNATURE_WORDS_MAX)
def _status(word: str, part: int, parts: int) -> str:
    """The number itself; of what looks like none, the mask; the whole word where it is not clear which it is."""
    masked = [found for found in _WORD_WITH_DIGIT.findall(word) if not carries_outcome(found)]
    if len(masked) != parts:
        return word
    return masked[part] if is_status(masked[part]) else "<*>"
