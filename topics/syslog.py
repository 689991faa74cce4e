"""Syslog messages with a priority in front: RFC 5424 and RFC 3164."""

import re

from topics import limits
from topics.log_layouts import Field, Layout, Part
from topics.log_lines import place

# RFC 5424, tables 1 and 2, in syslog's own keywords
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "console", "clock"),
    *(f"local{n}" for n in range(8)),
)

_RFC5424 = re.compile(r"<(\d{1,3})>1 (\S+) (?P<host>\S+) (?P<app>\S+) (?P<pid>\S+) (?P<msgid>\S+) (?P<nil>-|(?=\[))")
_RFC3164 = re.compile(
    r"<(\d{1,3})>"
    r"(?:\d+: )?"  # a sequence number, as Cisco's
    r"(?:[*.]?(?:[A-Z][a-z]{2}  ?\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\S+)(?: [A-Z]{3,4})?:? )?"
    r"(?:(?P<host>[^\s:\[\]]+) (?=[^\s:]+:))?"
    r"(?:(?P<app>[^\s:\[\]]+)(?:\[(?P<pid>[^\]\s]*)\])?: ?)?"
)
_ELEMENT = re.compile(r'\[([^\s=\]"]+)((?: [^\s=\]"]+="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER = re.compile(r' ([^\s=\]"]+)="((?:[^"\\\]]|\\.)*)"')
_ESCAPED = re.compile(r'\\(["\\\]])')


def layout(text: str) -> Layout | None:
    """Of a message that begins with `<priority>`; None where it is none (no priority up to 191)."""
    match = _RFC5424.match(text) or _RFC3164.match(text)
    if match is None or int(match[1]) > 191:
        return None
    names = ("host", "app", "pid", "msgid") if match.re is _RFC5424 else ("host", "app", "pid")
    words = {name: at for name in names if match[name] != "-" and (at := place(match, name))}  # "-" says nothing
    priority = int(match[1])
    severity, facility = SEVERITIES[priority & 7], FACILITIES[priority >> 3]
    fields: list[Field] = [("syslog.severity", severity), ("syslog.facility", facility)]
    fields += ((f"syslog.{name}", at) for name, at in words.items())
    start = match.end()
    if match.re is _RFC5424:
        while not match["nil"] and (element := _ELEMENT.match(text, start)):
            fields += (_parameter(element, found) for found in _PARAMETER.finditer(text, *element.span(2)))
            start = element.end()
        start = len(text) - len(text[start:].lstrip(" \ufeff"))
    return _layout(text, severity, words, fields[: limits.RECORD_FIELDS_MAX], start)


def by_value(text: str) -> bool:
    """Whether messages that differ in digits only, behind priority and version, may be read differently."""
    return _ESCAPED.search(text) is not None


def _parameter(element: re.Match[str], found: re.Match[str]) -> Field:
    name = ("syslog.", slice(*element.span(1)), ".", slice(*found.span(1)))
    if "\\" in found[2]:
        return name, _ESCAPED.sub(r"\1", found[2])[: limits.RECORD_FIELD_CHARS_MAX]
    start, end = found.span(2)
    return name, slice(start, min(end, start + limits.RECORD_FIELD_CHARS_MAX))


def _layout(text: str, severity: str, words: dict[str, slice], fields: list[Field], start: int) -> Layout:
    """The severity in words, because no model reads priorities; the time is left to the record."""
    message = text[start:].strip()
    start += text[start:].find(message)
    host, app, pid = words.get("host"), words.get("app"), words.get("pid")
    front: list[Part] = [severity, " ", host] if host else [severity]
    told: list[Part] = [": ", slice(start, start + len(message))]
    if app is None:
        return Layout([*front, *told], [*front, *told], fields)
    named = [*front, " ", app]
    return Layout([*named, "[", pid, "]", *told] if pid else [*named, *told], [*named, *told], fields)
