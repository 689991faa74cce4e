"""Which format a log line has: a JSON object, a container's line around another line, syslog, or none of its own."""

import functools
import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from topics import json_logs, limits, log_lines, syslog
from topics.log_layouts import Layout
from topics.log_lines import LogLine

LogFormat = Literal["auto", "plain", "syslog", "ecs", "otel", "docker", "cri"]
_WITH_JSON = frozenset({"auto", "ecs", "otel", "docker"})
_WITH_CRI = frozenset({"auto", "cri"})

_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)
_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")  # ECMA-48
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


def of_text(text: str, wanted: LogFormat = "auto", nested: int = 0) -> LogLine | None:
    """A line of text; None where it is empty or not of the wanted format. `nested`: containers' lines around it."""
    if (layout := layout_of(text.encode(errors="surrogatepass"), wanted)) is not None:
        return _line(text.strip(), layout)
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "\0" in text:
        text = text.replace("\0", "")
    text = text.strip()
    if not text:
        return None
    if _looks_like_json(text, wanted) and nested < limits.ENVELOPES_MAX:
        try:
            line = of_object(orjson.loads(text), wanted, nested)
        except orjson.JSONDecodeError:
            line = None
        if line:
            return line
    if wanted in _WITH_CRI and (match := _CRI.match(text)):
        return _contained(match[3], {"stream": match[1]}, nested)
    layout = _layout(text, wanted)
    return None if layout is None else _line(text, layout)


def layout_of(data: bytes, wanted: LogFormat = "auto") -> Layout | None:
    """The layout of a line, to be applied to its text without the spaces around it; None where it has none of its own
    or where its digits tell how to read it. Lines that differ in other digits have one layout, found once."""
    return layout_of_shape(shape_of(data), wanted) if len(data) <= limits.LINE_LAYOUT_BYTES_MAX else None


def shape_of(data: bytes) -> bytes:
    """The line with zeros for those digits that may differ in lines of one layout."""
    shape = data.translate(_ZEROS)
    if shape.startswith(b"<"):
        end = data.find(b">") + 1  # syslog's priority and version are numbers that mean something
        if data.startswith(b"1 ", end):
            end += 2
        return data[:end] + shape[end:]
    return shape


@functools.lru_cache(limits.LINE_LAYOUTS_MAX)
def layout_of_shape(shape: bytes, wanted: LogFormat) -> Layout | None:
    """The shape is read as any line of it would be, or not at all."""
    try:
        text = shape.decode().strip()
    except UnicodeDecodeError:
        return None
    if not text or "\x1b" in text or "\0" in text or _looks_like_json(text, wanted) or log_lines.by_value(text):
        return None
    if text[0] == "<" and (shape[:1] != b"<" or syslog.by_value(text)):
        return None
    if wanted not in _WITH_CRI or (match := _CRI.match(text)) is None:
        return _layout(text, wanted)
    inner = match[3].lstrip()
    if inner[:1] in ("", "<") or _looks_like_json(inner, "auto") or _CRI.match(inner):
        return None
    return log_lines.layout(text, len(text) - len(inner), [("stream", match[1])])


def _looks_like_json(text: str, wanted: LogFormat) -> bool:
    return text[0] == "{" and text[-1] == "}" and wanted in _WITH_JSON


def _layout(text: str, wanted: LogFormat) -> Layout | None:
    """Of text that is neither JSON nor a container's."""
    if text[0] == "<" and wanted in ("auto", "syslog") and (layout := syslog.layout(text)):
        return layout
    if wanted in ("auto", "plain"):
        return log_lines.layout(text)
    if wanted == "syslog":  # files and old relays drop the priority
        layout = log_lines.layout(text)
        return layout if "syslog.app" in layout.fields(text) else None
    return None


def _line(text: str, layout: Layout) -> LogLine:
    return LogLine(layout.text(text), layout.stable(text), layout.fields(text))


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
