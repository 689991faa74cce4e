"""A line's layout is found by its shape: whatever its digits are, it is read as if it had been looked at alone."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.samples import generate
from topics import limits, log_formats
from topics.inputs import familiar_log, read_log
from topics.log_formats import LogFormat
from topics.log_lines import LogLine

FRAGMENTS = (
    *(
        "<34>",
        "<165>1 ",
        "<191>",
        "<999>",
        "<5>1234567: ",
        "2026-11-17T09:07:13.959596136Z ",
        "2026-11-17 09:06:18,592 ",
    ),
    *("Nov 17 09:28:07 ", "Sun Dec 04 04:47:44 2005 ", "Nov 17 09:28:07 2026 ", "09:28:07 ", "17/06/09 20:10:40 "),
    *("1117838570 ", "1117838570.123 ", "1534567890 ", "2005.06.03 ", "081109 203530 ", "148 ", "2026 ", "7 ", "- "),
    *("INFO ", "[ERROR] ", "warn: ", "[", "] ", "[1] ", "]", "{", "}", '"', ":", "|", ",", " ", "  ", "%s ", "%"),
    *("host-1 ", "R02-M1 ", "app[123]: ", "app1[4]:", "sshd: ", "su[", "x.log ", "I1117 ", "stdout F ", "stderr P:a1 "),
    *(
        "10.0.0.1 - - [17/Nov/2026:09:02:52 +0000] ",
        "- ID47 - ",
        "- - - - - ",
        '[ex@32473 i="3" s7="b 8"] ',
        '[x a="\\"1"]',
    ),
    *("took 15 ms", "é9", "٣", "\x1b[31m", "\0", "\x1c", "\xa0", "\ufeff", "\n", "\ud800"),
)
FORMATS: tuple[LogFormat, ...] = ("auto", "plain", "syslog", "cri", "docker", "ecs")


def alone(text: str, wanted: LogFormat, monkeypatch: pytest.MonkeyPatch) -> LogLine | None:
    """The line read by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(log_formats, "layout_of", lambda *_: None)
        return log_formats.of_text(text, wanted)


def other_digits(text: str, rng: random.Random) -> str:
    return re.sub(r"\d", lambda _: rng.choice("0123456789"), text, flags=re.ASCII)


def check(text: str, wanted: LogFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(text, wanted, monkeypatch)
    assert log_formats.of_text(text, wanted) == expected
    if text.isprintable():
        familiar = familiar_log(text.encode(), "auto")
        if familiar is not None:
            line, layout = familiar
            told = alone(text, "auto", monkeypatch)
            assert (
                LogLine(layout.text(line), layout.stable(line), layout.fields(line)) == told == read_log(text.encode())
            )


@settings(max_examples=300)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=9), st.sampled_from(FORMATS), st.randoms(use_true_random=False))
def test_the_shape_of_a_line_tells_how_it_is_read(parts: list[str], wanted: LogFormat, rng: random.Random) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        text = "".join(parts)
        check(text, wanted, monkeypatch)
        check(other_digits(text, rng), wanted, monkeypatch)


def test_so_it_is_with_lines_as_programs_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    lines = [str(s.payload["line"]) for s in generate(7) if s.stream == "logs" and s.payload]
    for line in lines:
        check(line, "auto", monkeypatch)
        check(other_digits(line, rng), "auto", monkeypatch)
    in_shape = [line for line in lines if log_formats.layout_of(line.encode()) is not None]
    assert len(in_shape) > 0.9 * len(lines)


def test_lines_that_differ_in_digits_have_one_layout() -> None:
    one, other, longer = (
        log_formats.layout_of(line)
        for line in (
            b"<14>Nov 17 09:28:07 web-1 CRON[14743]: job 12 done",
            b"<14>Nov 18 10:00:59 web-2 CRON[20000]: job 77 done",
            b"<14>Nov 18 10:00:59 web-2 CRON[300]: job 77 done",
        )
    )
    assert one is other is not None
    assert longer is not one


def test_a_priority_and_a_version_mean_something() -> None:
    lines = (b"<14>Nov 17 09:28:07 web-1 app: x", b"<11>Nov 17 09:28:07 web-1 app: x", b"<11>1 - web-1 app - - - x")
    assert len({log_formats.layout_of(line) for line in lines}) == 3


def test_a_long_line_has_no_layout_of_its_own() -> None:
    line = b"Nov 17 09:28:07 web-1 app: " + b"x" * limits.LINE_LAYOUT_BYTES_MAX
    assert log_formats.layout_of(line) is None
    assert isinstance(read_log(line), LogLine)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"  ",
        b"42",
        b"1" * 24,
        b'{"line": "Nov 17 09:28:07 web-1 app: x"}',
        b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
        b"\xff" * 30,
    ],
)
def test_what_is_no_bare_text_has_to_be_read(value: bytes) -> None:
    assert familiar_log(value) is None
