"""A log line: what is shown of it, what stays the same when it is logged again, and its fields."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from topics import limits
from topics.log_layouts import Field, Layout, Part
from topics.messages import FieldValue


class LogLine(NamedTuple):
    """One line of any format, read."""

    text: str  # as models and rules see it
    stable: str  # without timestamps and process ids in front: equal for the same event logged again
    fields: Mapping[str, FieldValue]  # in their own words, e.g. "syslog.app", "log.level"


_LEVEL = r"TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|SEVERE|FATAL|ALERT|EMERG|PANIC"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_ISO_DAY = r"\d{4}[-./]\d\d[-./]\d\d"
_ISO = rf"{_ISO_DAY}(?:[T _-]\d\d[:.]\d\d[:.]\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d)(?!\d))?)?"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DATE = rf"{_MONTH}  ?\d{{1,2}} {_CLOCK}"
_BSD = rf"(?:{_WEEKDAY} {_DATE}(?: \d{{4}}(?!\d))?|{_DATE}(?: (?:19|20)\d\d(?!\d))?)"  # ctime's year comes last

# A bare number is a time only where a date or a level proves it; else it may be an order or a count.
_STAMP = (
    rf"(?:{_ISO}|{_BSD}|{_CLOCK}"
    rf"|\d\d/\d\d/\d{{2,4}} {_CLOCK}"
    rf"|\d{{10}}(?:\.\d{{3,9}}|(?= {_ISO_DAY}))"  # seconds since the epoch: BGL, squid
    rf"|\d{{6}} \d{{6}}(?= \d+ (?:{_LEVEL})\b))"  # yymmdd hhmmss: HDFS
)
_STAMPS = rf"(?:\[?{_STAMP}\]?:?[\s,|]+(?:- )?)"

# stamps, then perhaps one name (host, node, file) with further stamps behind it, a process id and a level
_PREFIX = re.compile(
    rf"(?:{_STAMPS}+(?:(?P<node>\S++) {_STAMPS}+)?|(?=\S*[\d.])(?P<file>[^\s\d]\S*+) {_STAMPS}+)"
    rf"(?:\d+ +(?=\[?(?i:{_LEVEL})\b))?"
    rf"(?=\[?(?P<level>(?i:{_LEVEL}))\b|)"
)
_ACCESS = re.compile(
    r"(\S++ \S++ \S++ )\[\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?: [+-]\d{4})?\] "
)  # common log format
_TAG = re.compile(r"(?:(\S++) )?([^\s\[\]:]++)(?:\[(\d+)\])?: ?")  # host app[pid]:
_MASKED = re.compile(r"\b[^\W\d]*+-?\d(?:[\w.:-]*\w)?")


# What is read by the value of digits, and not only by their place: the year of a date that has no weekday.
_YEAR = re.compile(rf"{_DATE} \d{{4}}(?!\d)")
_ENDS_WITH_WEEKDAY = re.compile(rf"(?:^|\s)\[?{_WEEKDAY} $")


def layout(text: str, start: int = 0, around: Sequence[Field] = ()) -> Layout:
    """Of a line without a format of its own, as programs and the old syslog files write it. It begins at `start`;
    `around` are fields of what it is wrapped in."""
    whole = slice(start, None)
    match = _PREFIX.match(text, start)
    if match is None:
        access = _ACCESS.match(text, start)
        parts = [slice(start, access.end(1)), slice(access.end(), None)] if access else [whole]
        return Layout([whole], parts, around)
    fields: list[Field] = list(around)
    stable: list[Part] = [slice(match.end(), None)]
    if level := match["level"]:
        fields.append(("log.level", level.lower()))
    elif tag := _TAG.match(text, match.end()):
        host, app, pid = place(tag, 1), slice(*tag.span(2)), place(tag, 3)
        if host or pid:
            fields.append(("syslog.app", app))
        if host:
            fields.append(("syslog.host", host))
        if pid:
            fields.append(("syslog.pid", pid))
            stable = [host, " "] if host else []
            stable += [app, ": ", slice(tag.end(), None)]
    if name := place(match, "node") or place(match, "file"):
        stable = [name, " ", *stable]
    elif match.end() == len(text):
        stable = [whole]
    return Layout([whole], stable, fields)


def by_value(text: str) -> bool:
    """Whether lines that differ in digits only may be read differently."""
    return any(not _ENDS_WITH_WEEKDAY.search(text[: year.start()]) for year in _YEAR.finditer(text))


def place(match: re.Match[str], group: int | str) -> slice | None:
    """Where the group's text stands; None where it has none."""
    start, end = match.span(group)
    return slice(start, end) if end > start else None


def template(stable: str) -> str:
    """The line with its parameters masked: every word that holds a digit becomes `<*>`."""
    return _template(stable.encode(errors="replace").translate(_ZEROS))


_ZEROS = bytes.maketrans(b"123456789", b"000000000")


@functools.lru_cache(limits.LINE_SHAPES_MAX)
def _template(shape: bytes) -> str:
    """Which digits they are does not matter, so that lines of one shape are masked once."""
    return _MASKED.sub("<*>", shape.decode())
