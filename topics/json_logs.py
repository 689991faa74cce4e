"""Log records that are JSON objects: ECS and its like, and OpenTelemetry's, single or as an OTLP export."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from topics import limits
from topics.log_lines import LogLine
from topics.messages import FieldValue

_MESSAGE = ("message", "msg")
_LEVEL = ("log.level", "level", "severity", "lvl", "levelname")
_NAME = ("service.name", "log.logger", "logger")
_TRACE = ("error.stack_trace", "exception.stacktrace", "stack_trace")

# What differs each time an event is logged again, or describes the shipper: a field for rules, not shown to models.
_UNTOLD = frozenset(
    {"time", "timestamp", "ts", "process.pid", "pid", "trace_id", "span_id", "container.id", "severity_number"}
)
_UNTOLD_PREFIXES = (
    *("@", "trace.", "span.", "transaction.", "event.created", "event.ingested", "event.id", "process.thread."),
    *("ecs.", "agent.", "input.", "telemetry.", "log.file.", "log.offset", "log.origin."),
    *("cloud.", "host.os.", "host.ip", "host.mac", "kubernetes.labels.", "kubernetes.annotations.", "docker."),
)

# OpenTelemetry's severity numbers 1-24, four a level (logs data model, "Displaying Severity")
_OTEL_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")


def read_ecs(data: Mapping[str, Any]) -> LogLine | None:
    """An object with a text `message` (ECS, most loggers) or `msg`; None for any other."""
    message = next((data[name] for name in _MESSAGE if isinstance(data.get(name), str)), None)
    return None if message is None else line(message, flatten({k: v for k, v in data.items() if k not in _MESSAGE}))


def read_otel(data: Mapping[str, Any]) -> LogLine | None:
    """An OpenTelemetry log record, or an OTLP export of several, which are judged together; None for any other."""
    if isinstance(data.get("resourceLogs"), list):
        lines = [_otel_record(record, resource) for record, resource in _otlp(data)]
        if not lines:
            return None
        return LogLine(
            "\n".join(each.text for each in lines),
            "\n".join(each.stable for each in lines),
            max(lines, key=_otel_severity).fields,
        )
    record = {name[:1].lower() + name[1:]: value for name, value in data.items()}
    if "body" not in record or not record.keys() & {"severityText", "severityNumber", "timeUnixNano", "timestamp"}:
        return None
    return _otel_record(record, record.get("resource"))


def line(message: str, fields: dict[str, FieldValue]) -> LogLine:
    """Level, name and message, then every field that tells something, then the stack trace."""
    level, name, trace = (
        next((fields[name] for name in names if fields.get(name)), None) for names in (_LEVEL, _NAME, _TRACE)
    )
    if isinstance(level, str):
        fields.setdefault("log.level", level.lower())
    front = " ".join(str(word) for word in (level, name) if word)
    told = f"{front}: {message.strip()}" if front else message.strip()
    shown = {*_LEVEL, *_NAME, *_TRACE}
    others = " ".join(
        f"{name}={value}" for name, value in fields.items() if value is not None and name not in shown and _tells(name)
    )
    text = "\n".join(str(part) for part in (told, others, trace) if part)
    return LogLine(text, text, fields)


def _tells(name: str) -> bool:
    return name not in _UNTOLD and not name.startswith(_UNTOLD_PREFIXES)


def flatten(data: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Nested objects to dotted names, lists of plain values to one text; RECORD_FIELDS_MAX at most."""
    fields: dict[str, FieldValue] = {}
    for name, value in _leaves("", data, 0):
        if len(fields) == limits.RECORD_FIELDS_MAX:
            break
        fields[name] = value[: limits.RECORD_FIELD_CHARS_MAX] if isinstance(value, str) else value
    return fields


def _leaves(prefix: str, data: Mapping[str, Any], depth: int) -> Iterator[tuple[str, FieldValue]]:
    for name, value in data.items():
        if isinstance(value, dict):
            if depth < 8:
                yield from _leaves(f"{prefix}{name}.", value, depth + 1)
        elif isinstance(value, list):
            if value and all(isinstance(one, str | int | float) for one in value):
                yield prefix + name, ", ".join(map(str, value[: limits.RECORD_FIELDS_MAX]))
        else:
            yield prefix + name, value


def _otlp(data: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], object]]:
    """Every log record of an export, with its resource."""
    for of_resource in _objects(data.get("resourceLogs")):
        for of_scope in _objects(of_resource.get("scopeLogs")):
            for record in _objects(of_scope.get("logRecords")):
                yield record, of_resource.get("resource")


def _objects(data: object) -> Iterator[Mapping[str, Any]]:
    return (one for one in data if isinstance(one, dict)) if isinstance(data, list) else iter(())


def _otel_record(record: Mapping[str, Any], resource: object) -> LogLine:
    fields: dict[str, FieldValue] = {}
    for attributes in (resource.get("attributes") if isinstance(resource, dict) else None, record.get("attributes")):
        fields.update(flatten(_attributes(attributes)))
    number = record.get("severityNumber")
    if isinstance(number, int) and 1 <= number <= 24:
        fields["severity_number"] = number
    level = record.get("severityText")
    if not isinstance(level, str) or not level:
        level = _OTEL_LEVELS[(number - 1) // 4] if "severity_number" in fields and isinstance(number, int) else None
    if level:
        fields["log.level"] = level.lower()
    for name in ("traceId", "spanId"):
        if isinstance(record.get(name), str) and record[name]:
            fields["trace_id" if name == "traceId" else "span_id"] = record[name]
    body = _value(record.get("body"))
    if isinstance(body, dict):
        fields = flatten(body) | fields
        body = next((fields.pop(name) for name in _MESSAGE if name in fields), None)
    return line("" if body is None else str(body), fields)


def _otel_severity(one: LogLine) -> int:
    number = one.fields.get("severity_number")
    return number if isinstance(number, int) else 0


def _attributes(attributes: object) -> dict[str, Any]:
    """OTLP's list of {key, value: {stringValue: …}}, or a plain object."""
    if isinstance(attributes, dict):
        return attributes
    return {str(one["key"]): _value(one.get("value")) for one in _objects(attributes) if "key" in one}


def _value(value: object) -> Any:
    """OTLP's AnyValue to a plain one; integers travel as text there."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    match kind:
        case "stringValue" | "doubleValue" | "boolValue" | "bytesValue":
            return inner
        case "intValue":
            return int(inner) if re.fullmatch(r"-?\d{1,18}", str(inner), re.ASCII) else str(inner)
        case "kvlistValue" if isinstance(inner, dict):
            return _attributes(inner.get("values"))
        case "arrayValue" if isinstance(inner, dict) and isinstance(inner.get("values"), list):
            return [_value(one) for one in inner["values"]]
    return value
