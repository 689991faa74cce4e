"""Which format a log line has: a JSON object, a container's line around another line, syslog, or none of its own."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from topics import json_logs, limits, log_lines, syslog
from topics.log_lines import LogLine

LogFormat = Literal["auto", "plain", "syslog", "ecs", "otel", "docker", "cri"]

_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")  # ECMA-48


def of_text(text: str, wanted: LogFormat = "auto", nested: int = 0) -> LogLine | None:
    """A line of text; None where it is empty or not of the wanted format. `nested`: containers' lines around it."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "\0" in text:
        text = text.replace("\0", "")
    text = text.strip()
    if not text:
        return None
    if wanted == "plain":
        return log_lines.read(text)
    first = text[0]
    if first == "<" and wanted in ("auto", "syslog") and (line := syslog.read(text)):
        return line
    if first == "{" and text[-1] == "}" and nested < limits.ENVELOPES_MAX and wanted not in ("syslog", "cri"):
        try:
            line = of_object(orjson.loads(text), wanted, nested)
        except orjson.JSONDecodeError:
            line = None
        if line:
            return line
    if first.isdigit() and wanted in ("auto", "cri") and (match := _CRI.match(text)):
        return _contained(match[3], {"stream": match[1]}, nested)
    if wanted == "auto":
        return log_lines.read(text)
    if wanted == "syslog":  # files and old relays drop the priority
        line = log_lines.read(text)
        return line if "syslog.app" in line.fields else None
    return None


def of_object(data: Mapping[str, Any], wanted: LogFormat = "auto", nested: int = 0) -> LogLine | None:
    """A log record that is a JSON object; None where it is empty or not of the wanted format."""
    line = None
    if wanted in ("auto", "docker") and isinstance(data.get("log"), str):
        line = _contained(data["log"], {k: v for k, v in data.items() if k not in ("log", "time")}, nested)
    if line is None and wanted in ("auto", "otel"):
        line = json_logs.read_otel(data)
    if line is None and wanted in ("auto", "ecs"):
        line = json_logs.read_ecs(data)
    return line if line and line.text else None


def _contained(text: str, around: Mapping[str, Any], nested: int) -> LogLine | None:
    """What a program wrote, inside its container runtime's line: the inner format is found anew."""
    line = of_text(text, "auto", nested + 1)
    return line and line._replace(fields=json_logs.flatten(around) | dict(line.fields))
