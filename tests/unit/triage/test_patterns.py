"""Rules on lines whose digits are not looked at: none that could hold is left out."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.patterns import with_any_digits

FRAGMENTS = (
    *("4", "20", "a", " ", ".", "x+", r"\d", r"\w", r"\b", r"\.", r"\[", r"\]", r"\\", r"\{", "^", "$", "|", "é"),
    *(
        "[45]",
        "[0-3]",
        "[^5]",
        "[^]5]",
        r"[^\]5]",
        r"[^\d]",
        "[a-z]",
        "[!-~]",
        "[^x]",
        "{2}",
        "{1,2}",
        "{,2}",
        "{2",
        "5}",
    ),
    *("(4|5a)", "(?:12)?", "(?=4)", "(?!4)", "(?<=4)", "(?<!4)", "(?>4*)", "(?i:A)", "(?P<n>4)", "(?P=n)", r"(4)\1"),
    *("*", "+", "?", "*?", "++", "*+", r"\x34", r"\64", r"\u0034", r"\N{DIGIT FOUR}", "(?x:4 # 5\n)", "(4)?(?(1)5|6)"),
)
TEXTS = st.text(alphabet="0123456789ax .[]{}\\é٤", max_size=12)


def other_digits(text: str, rng: random.Random) -> str:
    return re.sub(r"\d", lambda _: rng.choice("0123456789"), text, flags=re.ASCII)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=5).map("".join), TEXTS, st.randoms(use_true_random=False))
@pytest.mark.filterwarnings("ignore::FutureWarning")  # "[[" may mean something else one day
def test_it_finds_whatever_may_be_found(pattern: str, text: str, rng: random.Random) -> None:
    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError):
        return
    relaxed = with_any_digits(pattern).search
    other = other_digits(text, rng)
    assert (relaxed(text) is None) is (relaxed(other) is None)
    if search(text) or search(other):
        assert relaxed(text)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ('"GET /healthz [^"]*" 200 ', '"GET /healthz HTTP/1.1" 503 ', True),
        ('"GET /healthz [^"]*" 200 ', '"GET /basket HTTP/1.1" 503 ', False),
        (r"port \d{4,5}\b", "port 22 is open", False),
        (r"error 4\d\d", "error 777", True),
        (r"error 4\d\d", "error seven", False),
        ("[45]xx", "nothing of the kind", True),  # a set of digits: not understood, so anything may be
    ],
)
def test_digits_do_not_matter_and_all_else_does(pattern: str, text: str, found: bool) -> None:
    assert (with_any_digits(pattern).search(text) is not None) is found
