"""A policy's regular expressions: searches that end, and what they find in a text whose digits are not known."""

import functools
import re
from collections.abc import Callable

import regex

from processors.errors import PatternTooSlow
from topics.limits import PATTERN_SECONDS_MAX

Search = Callable[[str], re.Match[str] | regex.Match[str] | None]

# Where one digit cannot be exchanged for `any digit` without losing matches, or is none: escapes by number, references,
# what must not follow, what gives nothing back, sets.
_FIXED = re.compile(r"\\[\dxuUN{]|\(\?(?:[!>(]|<!|P=)|[*+?}]\+|\[\^?\]?(?:\\.|[^\]\\])*?\d", re.DOTALL)
_DIGIT = re.compile(r"(\{\d*,?\d*\})|[0-9]")  # outside of {2,5}
_ANYTHING = re.compile("").search
_REPEATS = re.compile(r"(?<!\()[*+?{]")


def searching(pattern: str, *, whole: bool = False) -> Search:
    """The first match in a text (`whole`: of all of it), or None; raises PatternTooSlow.

    Of one repetition the time grows with the square of the text at most, which is cut. With more, or with choices, it
    may grow without end, as in `(a+)+$` and `(a|aa)*$`, and nothing else would run meanwhile: these are searched with
    a clock beside them, by a library that has one (5 us a search). Raises re.error or regex.error where `pattern` is
    none.
    """
    compiled = re.compile(pattern)
    repeats = len(_REPEATS.findall(pattern))
    if repeats == 0 or (repeats == 1 and "|" not in pattern):
        return compiled.fullmatch if whole else compiled.search
    timed = regex.compile(pattern)
    return functools.partial(_in_time, timed.fullmatch if whole else timed.search, pattern)


def _in_time(search: Callable[..., regex.Match[str] | None], pattern: str, text: str) -> regex.Match[str] | None:
    try:
        return search(text, timeout=PATTERN_SECONDS_MAX)
    except TimeoutError:
        raise PatternTooSlow(
            f"'{pattern}' was searched for {PATTERN_SECONDS_MAX:g} s in one message without an end: where a repetition"
            " is in another, or follows it, let each begin with what the one before cannot match, as in (a+ )+"
        ) from None


def with_any_digits(pattern: str) -> Search:
    """A search that finds something in a text if `pattern` would after any exchange of digits for other digits, and
    perhaps where it would not. It cares for no digit's value, so that it finds the same after the exchange."""
    if _FIXED.search(pattern):
        return _ANYTHING
    try:
        return searching(_DIGIT.sub(lambda match: match[1] or r"\d", pattern))
    except (re.error, regex.error):
        return _ANYTHING
