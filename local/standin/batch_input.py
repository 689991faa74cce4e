"""The input of a Batch job: one request a line, looked through before the job begins."""

from dataclasses import dataclass, field
from typing import Any

import orjson

REQUESTS_MAX = 50_000
ERRORS_MAX = 100  # told of one file
CUSTOM_ID_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One request."""

    custom_id: str
    body: dict[str, Any]


@dataclass(slots=True)
class Input:
    """What a file asks for, or what is wrong with it, in the provider's words."""

    lines: list[Line] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def model(self) -> str:
        return str(self.lines[0].body["model"])

    def wrong(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        if len(self.errors) < ERRORS_MAX:
            self.errors.append({"code": code, "message": message, "line": line, "param": param})


def read(data: bytes, endpoint: str) -> Input:
    """Looks through a whole file. Never raises."""
    found = Input()
    texts = [(number, text) for number, text in enumerate(data.splitlines(), 1) if text.strip()]
    if not texts:
        found.wrong("empty_file", "The input file is empty.")
    if len(texts) > REQUESTS_MAX:
        found.wrong("too_many_tasks", f"The input file has {len(texts)} requests; the most is {REQUESTS_MAX}.")
        return found
    seen: set[str] = set()
    for number, text in texts:
        _read_line(found, seen, number, text, endpoint)
    return found


def _read_line(found: Input, seen: set[str], number: int, text: bytes, endpoint: str) -> None:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError:
        line = None
    if not isinstance(line, dict):
        found.wrong("invalid_json_line", "This line is not parseable as valid JSON.", number)
        return
    custom_id, body = line.get("custom_id"), line.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= CUSTOM_ID_CHARS_MAX:
        found.wrong("missing_required_parameter", "Missing required parameter: 'custom_id'.", number, "custom_id")
    elif custom_id in seen:
        found.wrong("duplicate_custom_id", f"The custom_id '{custom_id}' is not unique.", number, "custom_id")
    elif line.get("method") != "POST":
        found.wrong("invalid_method", "The HTTP method must be POST.", number, "method")
    elif line.get("url") != endpoint:
        found.wrong("url_mismatch", "The URL does not match the batch's endpoint.", number, "url")
    elif not isinstance(body, dict) or not isinstance(body.get("model"), str):
        found.wrong("missing_required_parameter", "Missing required parameter: 'body.model'.", number, "body.model")
    elif found.lines and body["model"] != found.model:
        found.wrong("model_mismatch", "All requests of a batch must be for the same model.", number, "body.model")
    else:
        seen.add(custom_id)
        found.lines.append(Line(custom_id, body))
