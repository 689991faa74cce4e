"""What a regular expression finds in a text whose digits are not known."""

import re

# Where one digit cannot be exchanged for `any digit` without losing matches, or is none: escapes by number, references,
# what must not follow, what gives nothing back, sets.
_FIXED = re.compile(r"\\[\dxuUN{]|\(\?(?:[!>(]|<!|P=)|[*+?}]\+|\[\^?\]?(?:\\.|[^\]\\])*?\d", re.DOTALL)
_DIGIT = re.compile(r"(\{\d*,?\d*\})|[0-9]")  # outside of {2,5}
_ANYTHING = re.compile("")


def with_any_digits(pattern: str) -> re.Pattern[str]:
    """A pattern that finds something in a text if `pattern` would after any exchange of digits for other digits, and
    perhaps where it would not. It cares for no digit's value, so that it finds the same after the exchange."""
    if _FIXED.search(pattern):
        return _ANYTHING
    try:
        return re.compile(_DIGIT.sub(lambda match: match[1] or r"\d", pattern))
    except re.error:
        return _ANYTHING
