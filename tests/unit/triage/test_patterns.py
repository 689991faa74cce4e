"""Rules on lines whose digits are not looked at: none that could hold is left out."""

import contextlib
import random
import re

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import PatternTooSlow
from processors.patterns import searching, with_any_digits

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
        search = searching(pattern)
    except (re.error, regex.error, OverflowError):
        return
    relaxed = with_any_digits(pattern)
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
    assert (with_any_digits(pattern)(text) is not None) is found


HOSTILE = ("a" * 4_000 + "!", "a \t" * 1_300 + "!", "1" * 4_000, "error user failed " * 200, "=" * 4_000)


def test_a_search_without_an_end_ends_with_its_pattern_and_a_remedy() -> None:
    with pytest.raises(
        PatternTooSlow, match=r"'\(a\+\)\+\$' was searched for 0.1 s in one message .* as in \(a\+ \)\+"
    ):
        searching("(a+)+$")("a" * 4_000 + "!")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "pattern", [r"^(\s*\w+\s*)*$", "(a|aa)*$", "(=*)*b", r"(\w|\d)*x", "error.*user.*failed.*db", "a?" * 30 + "a" * 30]
)
def test_every_search_ends(pattern: str, text: str) -> None:
    """Python's own takes minutes and more for some of them; what hangs here ends with the test's time."""
    with contextlib.suppress(PatternTooSlow):
        searching(pattern)(text)


@pytest.mark.parametrize(
    "pattern",
    ["disk (?:failure|failed)", r"\bfatal\b", r"user (\d+)", r"error.*user.*failed", r"^\S+ \S+ sshd", r"a+b*"],
)
@pytest.mark.parametrize("whole", [False, True])
def test_it_finds_what_python_finds(pattern: str, whole: bool) -> None:
    known = re.compile(pattern)
    python = known.fullmatch if whole else known.search
    texts = ["disk failed", "a fatal end", "user 42", "error: user bob failed to", "a b sshd", "aab", "", "Ünïcode 4٤"]
    for text in texts:
        expected, found = python(text), searching(pattern, whole=whole)(text)
        assert (found and (found.span(), found.groups())) == (expected and (expected.span(), expected.groups()))
