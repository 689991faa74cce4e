"""Texts to hashed words and pairs of words (and pieces of words), many texts at once in NumPy.

A word is a run of letters with their marks, and digits. Case is folded, and every digit is a 0, so that numbers of one
length are one word. Marks that carry meaning (`!`, `?`, `$` …) and the characters of scripts that are written without
spaces are words of their own. Pieces are four characters within a word, and its first and last three: they know a word
by its stem and in spite of a slip. A word's hash is a polynomial over its characters, which prefix sums give for all
words at once: https://en.wikipedia.org/wiki/Rolling_hash#Polynomial_rolling_hash
"""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topics.limits import LESSON_CHARS_MAX

COLUMN_BITS = 20  # a million columns: of 50,000 that are known, a new word hits one in 20 times
COLUMNS = 1 << COLUMN_BITS

_CHUNK_CHARS = 16_384  # of texts taken together: what is computed of them stays in a core's cache
_BUFFER_CHARS = max(_CHUNK_CHARS, LESSON_CHARS_MAX) + 1
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_PAIR = np.uint64(0xD1B54A32D192ED03)
_WORD, _BEGIN, _END, _INNER = (np.uint64(0x2545F4914F6CDD1D * kind % 2**64) for kind in (1, 3, 5, 7))
_MIX = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's

_ALONE_MARKS = "!?$%#@€£"
_ALONE_RANGES = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x0E01, 0x0E5B))  # kana, Han, Thai
_CODES = 0x10000


class Features(NamedTuple):
    """Of some texts, in their order: feature i of text t is at `starts[t] <= i < starts[t + 1]`."""

    starts: NDArray[np.int64]  # one more than texts
    columns: NDArray[np.int64]  # 0 to COLUMNS - 1; ascending within a text, each once
    counts: NDArray[np.float32]  # how often it occurs


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, in parts of about _CHUNK_CHARS characters, each text cut to LESSON_CHARS_MAX."""
    part: list[str] = []
    chars = 0
    for text in texts:
        text = text[:LESSON_CHARS_MAX]
        if part and chars + len(text) + 1 > _CHUNK_CHARS:
            yield part
            part, chars = [], 0
        part.append(text)
        chars += len(text) + 1
    if part:
        yield part


def features(texts: Sequence[str], *, pieces: bool) -> Features:
    """Of any number of texts, each cut to LESSON_CHARS_MAX characters; with pieces of words, or without."""
    parts = [of_chunk(part, pieces=pieces) for part in chunks(texts)]
    if not parts:
        return Features(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    return Features(
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )


def of_chunk(texts: Sequence[str], *, pieces: bool) -> Features:
    """Of texts as `chunks` gives them."""
    codes, limits = _codes(texts)
    is_word = codes != 0
    alone = _ALONE[codes]
    # A word begins where the character before is none, or where either stands alone.
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1] | alone[1:] | alone[:-1]
    ends = is_word.copy()
    ends[:-1] &= ~is_word[1:] | alone[:-1] | alone[1:]
    first = np.flatnonzero(begins)
    last = np.flatnonzero(ends) + 1
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * _POWERS[: len(codes)], out=sums[1:])
    words = _mixed((sums[last] - sums[first]) * _INVERSES[first] + _WORD)
    text_of = np.searchsorted(limits, first, side="right")
    same = text_of[1:] == text_of[:-1]
    found = [words, _mixed(words[:-1][same] * _PAIR + words[1:][same])]
    found_in = [text_of, text_of[1:][same]]
    if pieces:
        lengths = last - first
        three = lengths >= 3
        begin, end = first[three], last[three] - 3
        found.append(_mixed((sums[begin + 3] - sums[begin]) * _INVERSES[begin] + _BEGIN))
        found.append(_mixed((sums[end + 3] - sums[end]) * _INVERSES[end] + _END))
        inner = np.maximum(lengths - 3, 0)
        # Of each word the positions first, first + 1 …, last - 4
        at = np.repeat(first - np.cumsum(inner) + inner, inner) + np.arange(inner.sum())
        found.append(_mixed((sums[at + 4] - sums[at]) * _INVERSES[at] + _INNER))
        found_in += [text_of[three], text_of[three], np.repeat(text_of, inner)]
    return _counted(len(texts), np.concatenate(found_in), np.concatenate(found))


def _counted(texts: int, text_of: NDArray[np.int64], hashes: NDArray[np.uint64]) -> Features:
    """Each column of a text once, with its count."""
    keys = text_of << COLUMN_BITS | (hashes >> np.uint64(64 - COLUMN_BITS)).astype(np.int64)
    keys.sort()
    if not len(keys):
        return Features(np.zeros(texts + 1, np.int64), keys, np.zeros(0, np.float32))
    new = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    counts = np.diff(new, append=len(keys)).astype(np.float32)
    keys = keys[new]
    starts = np.searchsorted(keys, np.arange(texts + 1) << COLUMN_BITS)
    return Features(starts, keys & (COLUMNS - 1), counts)


def _codes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The characters of all texts with a 0 between, folded; and where each text ends."""
    joined = "\0".join(texts)
    limits = np.cumsum([len(text) + 1 for text in texts])
    if joined.isascii():
        folded = np.frombuffer(joined.encode("ascii").translate(_ASCII), np.uint8)
        return folded.astype(np.uint64), limits
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    return _FOLD[np.minimum(codes, _CODES - 1)].astype(np.uint64), limits


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """So that every bit of the hash matters to the highest ones."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX
    return hashes ^ (hashes >> np.uint64(27))


def _fold() -> NDArray[np.uint32]:
    """By code point: what it counts as, 0 for what is no part of a word."""
    table = np.zeros(_CODES, np.uint32)
    for code in range(_CODES):
        char = chr(code)
        if char.isdecimal():
            table[code] = ord("0")
        elif char.isalnum():
            lower = char.lower()
            table[code] = ord(lower) if len(lower) == 1 else code
        elif char in _ALONE_MARKS or unicodedata.category(char).startswith("M"):  # vowel signs, accents
            table[code] = code
    return table


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(_BUFFER_CHARS, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_FOLD = _fold()
_ASCII = bytes(_FOLD[:256].astype(np.uint8))
_ALONE = np.zeros(_CODES, np.bool_)
_ALONE[[ord(mark) for mark in _ALONE_MARKS]] = True
for _low, _high in _ALONE_RANGES:
    _ALONE[_low : _high + 1] = True
_POWERS = _powers(_BASE)
_INVERSES = _powers(pow(_BASE, -1, 2**64))
