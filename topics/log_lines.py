"""A log line: what is shown of it, what stays the same when it is logged again, and its fields."""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from topics import limits
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
_BSD = rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?{_MONTH}  ?\d{{1,2}} {_CLOCK}(?: (?:19|20)\d\d(?!\d))?"

# A bare number is a time only where a date or a level proves it; else it may be an order or a count.
_STAMP = (
    rf"(?:{_ISO}|{_BSD}|{_CLOCK}"
    rf"|\d\d/\d\d/\d{{2,4}} {_CLOCK}"
    rf"|1\d{{9}}(?:\.\d{{3,9}}|(?= {_ISO_DAY}))"  # seconds since the epoch: BGL, squid
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


def read(text: str) -> LogLine:
    """A line without a format of its own, as programs and the old syslog files write it."""
    match = _PREFIX.match(text)
    if match is None:
        access = _ACCESS.match(text)
        return LogLine(text, access[1] + text[access.end() :] if access else text, {})
    fields: dict[str, FieldValue] = {}
    node, file, level = match.groups()
    rest = text[match.end() :]
    if level:
        fields["log.level"] = level.lower()
    elif tag := _TAG.match(rest):
        host, app, pid = tag.groups()
        if host or pid:
            fields["syslog.app"] = app
            if host:
                fields["syslog.host"] = host
            if pid:
                fields["syslog.pid"] = pid
                rest = f"{host + ' ' if host else ''}{app}: {rest[tag.end() :]}"
    if name := node or file:
        rest = f"{name} {rest}"
    return LogLine(text, rest or text, fields)


def template(stable: str) -> str:
    """The line with its parameters masked: every word that holds a digit becomes `<*>`."""
    return _template(stable.encode(errors="replace").translate(_ZEROS))


_ZEROS = bytes.maketrans(b"123456789", b"000000000")


@functools.lru_cache(limits.LINE_SHAPES_MAX)
def _template(shape: bytes) -> str:
    """Which digits they are does not matter, so that lines of one shape are masked once."""
    return _MASKED.sub("<*>", shape.decode())
