"""Texts made fit: cleaned, cut to size, and known to exact memory."""

import hashlib
import re

from topics import limits

# Control characters but tab and newline; invisible ones that mails are padded with; surrogates, which no JSON holds
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ud800-\udfff]"
)
_C1 = re.compile("[\x80-\x9f]")  # Windows-1252 read as Latin-1
_SPACES = re.compile(r"[ \t\xa0\u2000-\u200a\u202f\u3000]{2,}|[\t\xa0\u2000-\u200a\u202f]")
_LINE_ENDS = re.compile(r" *\n *")
_BLANK_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """Prose without what nobody sees: one kind of line end, single spaces, at most one empty line in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _UNSEEN.sub("", text)
    text = _C1.sub(lambda match: match[0].encode("latin-1").decode("cp1252", "ignore"), text)
    text = _SPACES.sub(" ", text)
    text = _LINE_ENDS.sub("\n", text)
    return _BLANK_LINES.sub("\n\n", text).strip()


def cut_middle(text: str, chars_max: int) -> str:
    """At most so many characters: two thirds from the beginning and one from the end, where signatures and asks are."""
    if len(text) <= chars_max:
        return text
    left_out = f"\n[… {len(text) - chars_max:,} characters left out …]\n"
    room = chars_max - len(left_out)
    head = room * 2 // 3
    return text[:head] + left_out + text[len(text) - (room - head) :]


def memory_text(text: str) -> str:
    """The text itself, or where it is long its beginning and 128-bit digest: equal texts, equal keys, bounded memory.
    What has a digest is longer than any other: nobody can write a text that passes for the digest of another."""
    if len(text) <= limits.MEMORY_TEXT_CHARS_MAX:
        return text
    digest = hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
    return text[: limits.MEMORY_TEXT_CHARS_MAX] + digest
