"""Features of whole batches are those that a plain reading of one text after the other gives."""

import random
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.student.features import COLUMNS, Features, features
from topics.limits import LESSON_CHARS_MAX

# The hash is part of what a student is: with other numbers those on a topic would be wrong.
BASE, PAIR, MIX, SALT = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xBF58476D1CE4E5B9, 0x2545F4914F6CDD1D
MARKS = "!?$%#@€£"
ALONE = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x0E01, 0x0E5B))
TEXTS = st.text(max_size=60) | st.text(alphabet="aé9 !\nß\u0301\u093f漢字か\ud800😀-Ж", max_size=60)


@given(st.lists(TEXTS, max_size=8), st.booleans())
@example(["", "", "a"], False)
@example(["!", "a!b", "", " "], True)
def test_a_batch_has_the_features_of_its_texts(texts: list[str], pieces: bool) -> None:
    found = features(texts, pieces=pieces)
    assert len(found.starts) == len(texts) + 1
    for number, text in enumerate(texts):
        assert counts(found, number) == plain(text, pieces)


@pytest.mark.parametrize("pieces", [False, True])
def test_long_batches_are_cut_into_parts_and_long_texts_at_their_limit(pieces: bool) -> None:
    rng = random.Random(5)
    texts = [
        "".join(rng.choices("abcdefghij 12!", k=rng.choice([0, 3, 700, LESSON_CHARS_MAX + 500]))) for _ in range(60)
    ]
    texts.append("İ" * LESSON_CHARS_MAX)  # grows when its case is folded by the book
    found = features(texts, pieces=pieces)
    for number, text in enumerate(texts):
        assert counts(found, number) == plain(text[:LESSON_CHARS_MAX], pieces)


def test_case_and_the_value_of_digits_do_not_matter() -> None:
    one, two, other = "Disk FULL on node17", "disk full on NODE42", "disk full on node171"
    found = features([one, two, other], pieces=False)
    assert counts(found, 0) == counts(found, 1) != counts(found, 2)


def test_marks_and_scripts_without_spaces_are_words_character_by_character() -> None:
    assert words_of("win $$ now!") == ["win", "$", "$", "now", "!"]
    found = features(["win $$ now!", "漢字か"], pieces=False)
    assert sum(counts(found, 0).values()) == 5 + 4
    assert sum(counts(found, 1).values()) == 3 + 2


def test_vowel_signs_are_part_of_their_word() -> None:
    assert sum(counts(features(["हिन्दी भाषा"], pieces=False), 0).values()) == 2 + 1


def test_of_no_texts_and_of_empty_ones() -> None:
    assert len(features([], pieces=True).starts) == 1
    found = features(["", " .,\n"], pieces=True)
    assert found.starts.tolist() == [0, 0, 0]
    assert len(found.columns) == 0


def test_columns_ascend_within_a_text() -> None:
    found = features(["the quick brown fox jumps over the lazy dog", "and again"], pieces=True)
    for start, end in zip(found.starts[:-1], found.starts[1:], strict=True):
        assert (np.diff(found.columns[start:end]) > 0).all()


def counts(found: Features, number: int) -> Counter[int]:
    part = slice(found.starts[number], found.starts[number + 1])
    return Counter(dict(zip(found.columns[part].tolist(), found.counts[part].astype(int).tolist(), strict=True)))


def plain(text: str, pieces: bool) -> Counter[int]:
    words = words_of(text)
    hashes = [hashed(word, 1) for word in words]
    found = [*hashes, *(mixed(a * PAIR + b) for a, b in pairwise(hashes))]
    if pieces:
        for word in words:
            if len(word) >= 3:
                found += [hashed(word[:3], 3), hashed(word[-3:], 5)]
            found += [hashed(word[at : at + 4], 7) for at in range(len(word) - 3)]
    return Counter(hash_ * COLUMNS >> 64 for hash_ in found)


def words_of(text: str) -> list[str]:
    words, open_ = [], False
    for char in text:
        if folded := folded_of(char):
            alone = char in MARKS or any(low <= ord(char) <= high for low, high in ALONE)
            if open_ and not alone:
                words[-1] += folded
            else:
                words.append(folded)
            open_ = not alone
        else:
            open_ = False
    return words


def folded_of(char: str) -> str:
    """Empty for what is no part of a word; characters beyond the basic plane are none."""
    if ord(char) > 0xFFFF:
        return ""
    if char.isdecimal():
        return "0"
    if char.isalnum():
        return char.lower() if len(char.lower()) == 1 else char
    return char if char in MARKS or unicodedata.category(char) in ("Mn", "Mc", "Me") else ""


def hashed(word: str, kind: int) -> int:
    return mixed(sum(ord(char) * pow(BASE, at, 2**64) for at, char in enumerate(word)) + SALT * kind)


def mixed(value: int) -> int:
    value %= 2**64
    value = (value ^ value >> 30) * MIX % 2**64
    return value ^ value >> 27
