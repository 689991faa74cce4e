"""Syslog messages with a priority in front: RFC 5424 and RFC 3164."""

import re

from topics import limits
from topics.log_lines import LogLine
from topics.messages import FieldValue

# RFC 5424, tables 1 and 2, in syslog's own keywords
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "console", "clock"),
    *(f"local{n}" for n in range(8)),
)

_RFC5424 = re.compile(r"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|(?=\[))")
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


def read(text: str) -> LogLine | None:
    """A message that begins with `<priority>`; None where it is none (no priority up to 191)."""
    match = _RFC5424.match(text)
    if match:
        return _rfc5424(text, match)
    match = _RFC3164.match(text)
    if match is None or int(match[1]) > 191:
        return None
    fields = _priority(int(match[1]))
    _set(fields, host=match["host"], app=match["app"], pid=match["pid"])
    return _line(fields, text[match.end() :])


def _rfc5424(text: str, match: re.Match[str]) -> LogLine | None:
    priority, _, host, app, pid, msgid, nil = match.groups()
    if int(priority) > 191:
        return None
    fields = _priority(int(priority))
    _set(fields, host=host, app=app, pid=pid, msgid=msgid)
    position = match.end()
    while not nil and (element := _ELEMENT.match(text, position)):
        position = element.end()
        for name, value in _PARAMETER.findall(element[2]):
            if len(fields) < limits.RECORD_FIELDS_MAX:
                fields[f"syslog.{element[1]}.{name}"] = _ESCAPED.sub(r"\1", value)[: limits.RECORD_FIELD_CHARS_MAX]
    return _line(fields, text[position:].lstrip(" \ufeff"))


def _priority(priority: int) -> dict[str, FieldValue]:
    return {"syslog.severity": SEVERITIES[priority & 7], "syslog.facility": FACILITIES[priority >> 3]}


def _set(fields: dict[str, FieldValue], **values: str | None) -> None:
    """What the message says; `-` is syslog's word for nothing."""
    for name, value in values.items():
        if value and value != "-":
            fields[f"syslog.{name}"] = value


def _line(fields: dict[str, FieldValue], message: str) -> LogLine:
    """The severity in words, because no model reads priorities; the time is left to the record."""
    host, app, pid = (fields.get(f"syslog.{name}") for name in ("host", "app", "pid"))
    front = " ".join(str(word) for word in (fields["syslog.severity"], host) if word)
    message = message.strip()
    return LogLine(
        f"{front} {app or ''}{f'[{pid}]' if pid else ''}: {message}" if app else f"{front}: {message}",
        f"{front} {app}: {message}" if app else f"{front}: {message}",
        fields,
    )
