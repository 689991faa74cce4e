"""One event as the logs of this world write it: syslog, nginx, klog, CRI, plain application lines, JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

Written = str | Mapping[str, Any]
"""A line of text, or an object where the format is JSON."""

SYSLOG_SEVERITY = {"info": 6, "warning": 4, "error": 3, "crit": 2}  # RFC 5424, 6.2.1
_OTEL_NUMBER = {"info": 9, "warning": 13, "error": 17, "crit": 21}  # OpenTelemetry, log data model
_KLOG_LETTER = {"info": "I", "warning": "W", "error": "E", "crit": "F"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a program says."""

    time: datetime
    host: str
    program: str
    pid: int
    facility: int
    level: str  # a key of SYSLOG_SEVERITY
    service: str
    message: str
    trace: str  # 32 hexadecimal digits


def pid_of(host: str, program: str) -> int:
    """The same for the whole story."""
    return 300 + crc32(f"{host}/{program}".encode()) % 32_000


def clock_of_access_logs(time: datetime) -> str:
    return f"[{time:%d/%b/%Y:%H:%M:%S} +0000]"


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nanoseconds(event: Event) -> str:
    """CRI and Docker write nine digits; ours are drawn from what the event is, to keep every run alike."""
    return (
        f"{event.time:%Y-%m-%dT%H:%M:%S}.{event.time.microsecond // 1000:03}{crc32(event.trace.encode()) % 10**6:06}Z"
    )


def _priority(event: Event) -> int:
    return event.facility * 8 + SYSLOG_SEVERITY[event.level]


def _rfc3164(event: Event) -> str:
    return (
        f"<{_priority(event)}>{event.time:%b} {event.time.day:2} {event.time:%H:%M:%S} {event.host} "
        f"{event.program}[{event.pid}]: {event.message}"
    )


def _rfc5424(event: Event) -> str:
    return (
        f"<{_priority(event)}>1 {_iso(event.time)} {event.host} {event.program} {event.pid} - "
        f'[origin@32473 service="{event.service}"] {event.message}'
    )


def _access(event: Event) -> str:
    return event.message


def _klog(event: Event) -> str:
    return f"{_KLOG_LETTER[event.level]}{event.time:%m%d %H:%M:%S.%f} {event.pid:7} {event.message}"


def _cri(event: Event) -> str:
    stream = "stdout" if event.level == "info" else "stderr"
    return f"{_nanoseconds(event)} {stream} F {event.message}"


def _plain(event: Event) -> str:
    return (
        f"{event.time:%Y-%m-%d %H:%M:%S},{event.time.microsecond // 1000:03} {event.level.upper():<5} "
        f"[{event.service}] {event.message}"
    )


def _docker(event: Event) -> Mapping[str, Any]:
    stream = "stdout" if event.level == "info" else "stderr"
    return {"log": event.message + "\n", "stream": stream, "time": _nanoseconds(event)}


def _ecs(event: Event) -> Mapping[str, Any]:
    return {
        "@timestamp": _iso(event.time),
        "log.level": event.level.upper(),
        "message": event.message,
        "ecs.version": "8.11.0",
        "service.name": event.service,
        "host.name": event.host,
        "process.thread.name": f"worker-{event.pid % 8}",
        "trace.id": event.trace,
    }


def _otel(event: Event) -> Mapping[str, Any]:
    return {
        "timeUnixNano": str(round(event.time.timestamp() * 1000) * 1_000_000),
        "severityNumber": _OTEL_NUMBER[event.level],
        "severityText": event.level.upper(),
        "body": {"stringValue": event.message},
        "attributes": [
            {"key": "service.name", "value": {"stringValue": event.service}},
            {"key": "host.name", "value": {"stringValue": event.host}},
        ],
        "traceId": event.trace,
    }


FORMATS: Mapping[str, Callable[[Event], Written]] = {
    "rfc3164": _rfc3164,
    "rfc5424": _rfc5424,
    "access": _access,
    "klog": _klog,
    "cri": _cri,
    "plain": _plain,
    "docker": _docker,
    "ecs": _ecs,
    "otel": _otel,
}
"""By name: how an event is written."""


def as_line(event: Event, written: Written) -> str:
    """The event as one line of text, as a person would print it."""
    if isinstance(written, str):
        return written
    return event.message if "log" in written else f"{event.level.upper()} {event.service}: {event.message}"
