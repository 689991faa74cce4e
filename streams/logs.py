"""Structured logs: one JSON object a line for machines, plain lines for a person at a terminal."""

import logging
import sys
import time
from typing import Literal

import orjson

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """`{"time","level","logger","message", …extra}`; what is passed as `extra=` becomes fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """`12:34:56 WARNING sluice.engine message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{key}={value}" for key, value in record.__dict__.items() if key not in _STANDARD)
        text = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:7} {record.name} {record.getMessage()}"
        text = f"{text} {extra}" if extra else text
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up(log_format: Literal["auto", "text", "json"], level: str) -> None:
    """Logs of ours at `level` to standard error; of libraries from WARNING on.

    aiokafka calls what it retries by itself an error, and raises what it gives up on: it is heard at DEBUG only.
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    formatter: logging.Formatter = JsonFormatter() if as_json else TextFormatter()
    if as_json:
        formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("sluice", "streams", "processors", "local"):
        logging.getLogger(ours).setLevel(level)
    logging.getLogger("aiokafka").setLevel(logging.WARNING if level == "DEBUG" else logging.CRITICAL)
    # Faust's, the second by our class: they tell of each step, and warn of each timer that is late under load.
    for faust in ("mode", "streams.faust_app"):
        logging.getLogger(faust).setLevel(logging.ERROR)
