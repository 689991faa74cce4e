"""What an input record is: every shape that a log line, a mail or a dialogue may arrive in, found record by record.

The shapes mix freely in a topic: text as it is, JSON in its natural shape, the same inside a `payload` object,
Kafka Connect's schema envelope or a schema registry's framing, and for logs the formats of `topics.log_formats`.
"""

import base64
import binascii
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import orjson

from topics import framing, limits, log_formats
from topics.log_formats import LogFormat
from topics.log_layouts import Layout
from topics.log_lines import LogLine
from topics.messages import Rejected

Format = Literal["auto", "plain", "connect-json", "string", "syslog", "ecs", "otel", "docker", "cri"]
TEXT_FORMATS: Final = frozenset({"plain", "string"})  # all of the value is the message, whatever it looks like
LOG_FORMATS: Final = frozenset({"syslog", "ecs", "otel", "docker", "cri"})  # formats that only log lines have


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record without a value: whatever had its key is deleted."""


@dataclass(frozen=True, slots=True)
class RawMail:
    """A mail as it travels: RFC 5322 bytes, or bare text without headers. Not parsed, not cut."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MailParts:
    """A mail whose parts somebody else took apart. Empty where the sender gave none; `body` may be HTML."""

    sender: str
    to: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. `conversation` is None where only the record's key can tell."""

    conversation: str | None
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A whole dialogue in one record."""

    conversation: str | None
    turns: tuple[Turn, ...]


T = TypeVar("T")

_LOG_FORMAT: Final[Mapping[Format, LogFormat]] = {
    "auto": "auto",
    "plain": "plain",
    "connect-json": "auto",
    "string": "plain",
    "syslog": "syslog",
    "ecs": "ecs",
    "otel": "otel",
    "docker": "docker",
    "cri": "cri",
}
_NOT_JSON: Final = object()
_BRACKETS = {b"{": b"}", b"[": b"]", b'"': b'"'}  # what begins with the one must end with the other to be JSON
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SCALAR_BYTES_MAX = 24  # true, null or a number: longer values are not tried
_MAIL_HEADER = re.compile(
    rb"^(?:from|to|cc|subject|date|received|return-path|message-id|mime-version|content-type|delivered-to|reply-to"
    rb"|sender|list-id|x-[\w-]+)[ \t]*:|\AFrom \S+ ",
    re.IGNORECASE | re.MULTILINE,
)


def read_log(value: bytes | None, format: Format = "auto") -> LogLine | Tombstone | Rejected:
    """One log record: a line, or several that belong together."""
    return _read(value, format, _log_of_text, _log_of_object)


def familiar_log(value: bytes, format: Format = "auto") -> tuple[str, Layout] | None:
    """A log line of bare text with its layout: what `read_log` makes of it, and faster. None: `read_log` has to say."""
    if len(value) > limits.LINE_LAYOUT_BYTES_MAX:
        return None
    layout = _familiar(log_formats.shape_of(value), format)
    return None if layout is None else (value.decode().strip(), layout)


@functools.lru_cache(limits.LINE_LAYOUTS_MAX)
def _familiar(shape: bytes, format: Format) -> Layout | None:
    """None where lines of this shape may be JSON or empty, by whatever their digits are."""
    if format == "connect-json" or shape.startswith(_BYTE_ORDER_MARK):
        return None
    if format not in TEXT_FORMATS and (shape.startswith(framing.MAGIC) or _may_be_json(shape.lstrip())):
        return None
    return log_formats.layout_of_shape(shape, _LOG_FORMAT[format])


def read_mail(value: bytes | None, format: Format = "auto") -> RawMail | MailParts | Tombstone | Rejected:
    """One mail."""
    return _read(value, format, _mail_of_text, _mail_of_object)


def read_dialogue(value: bytes | None, format: Format = "auto") -> Turn | Dialogue | Tombstone | Rejected:
    """One turn or a whole dialogue. Text without a shape is a turn of the customer's."""
    return _read(value, format, _turn_of_text, _dialogue_of_object)


def has_mail_headers(data: bytes) -> bool:
    """Whether the text begins with mail headers; without them it is all body. Looks no further than a mail is read."""
    data = data[: limits.MAIL_PARSE_BYTES_MAX]
    end = data.find(b"\n\n")
    if end < 0:
        end = data.find(b"\r\n\r\n")
    return _MAIL_HEADER.search(data, 0, end + 1 if end >= 0 else len(data)) is not None


_EMPTY: Final = Rejected(
    "unknown_shape", "the record is empty: it has no text to decide about. Send the message's text, or no record."
)


def _read(
    value: bytes | None,
    format: Format,
    of_text: Callable[[str | bytes, Format], T | Rejected],
    of_object: Callable[[Mapping[str, Any], Format], T | Rejected | None],
) -> T | Tombstone | Rejected:
    """Unwraps what is around a message, at most ENVELOPES_MAX times, and reads it."""
    if value is None:
        return Tombstone()
    if len(value) > limits.INPUT_VALUE_BYTES_MAX:
        return Rejected(
            "too_large",
            f"the value has {len(value):,} bytes, the limit is {limits.INPUT_VALUE_BYTES_MAX:,} "
            "(INPUT_VALUE_BYTES_MAX). Send a reference instead of the content, or cut it before it is sent.",
        )
    if format in TEXT_FORMATS:
        return of_text(value, format) if value.strip() else _EMPTY
    if value.startswith(framing.MAGIC):
        framed = framing.json_object(value)
        if framed is None:
            return framing.unreadable(value)
        value = framed
    data = _json(value)
    if data is _NOT_JSON:
        if not value or value.isspace():
            return _EMPTY
        if format == "connect-json":
            return _no_json(value)
        return of_text(value, format)
    for _ in range(limits.ENVELOPES_MAX):
        if isinstance(data, str):
            inner = _json(data.encode()) if data[:1] in ("{", '"') else _NOT_JSON
            if inner is _NOT_JSON:
                return of_text(data, format) if data.strip() else _EMPTY
            data = inner
        elif isinstance(data, bytes):
            return of_text(data, format) if data.strip() else _EMPTY
        elif not isinstance(data, dict):
            break
        elif data.keys() == {"schema", "payload"}:
            data = _connect_payload(data)
            if data is None:
                return Tombstone()
        elif (found := of_object(data, format)) is not None:
            return found
        elif isinstance(data.get("payload"), dict | str):
            data = data["payload"]
        else:
            break
    return _unknown(data)


def _json(value: bytes) -> object:
    """The JSON in it, or _NOT_JSON. A line that only begins like JSON costs no exception."""
    value = value.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not _may_be_json(value):
        return _NOT_JSON
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return _NOT_JSON


def _may_be_json(value: bytes) -> bool:
    """By what it begins and ends with; nothing but space is before it."""
    last = _BRACKETS.get(value[:1])
    return len(value) <= _SCALAR_BYTES_MAX if last is None else value.rstrip().endswith(last)


def _connect_payload(envelope: Mapping[str, Any]) -> object:
    """What is in JsonConverter's envelope. Its schema says where bytes travel as base64."""
    schema, payload = envelope.get("schema"), envelope["payload"]
    if not isinstance(schema, dict):
        return payload
    if schema.get("type") == "bytes":
        return _base64(payload)
    if isinstance(payload, dict) and isinstance(schema.get("fields"), list):
        binary = {f.get("field") for f in schema["fields"] if isinstance(f, dict) and f.get("type") == "bytes"}
        return {name: _base64(value) if name in binary else value for name, value in payload.items()}
    return payload


def _base64(value: object) -> object:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except (binascii.Error, ValueError):
        return value


def _log_of_text(data: str | bytes, format: Format) -> LogLine | Rejected:
    text = _decoded(data)
    if isinstance(text, Rejected):
        return text
    return log_formats.of_text(text.removeprefix("\ufeff"), _LOG_FORMAT[format]) or _not_of(format)


def _log_of_object(data: Mapping[str, Any], format: Format) -> LogLine | Rejected | None:
    wanted = _LOG_FORMAT[format]
    if isinstance(line := data.get("line"), str):
        return log_formats.of_text(line, "syslog" if wanted == "syslog" else "auto") or _not_of(format)
    return log_formats.of_object(data, wanted)


def _mail_of_text(text: str | bytes, _: Format) -> RawMail | Rejected:
    data = text.encode() if isinstance(text, str) else text
    if has_mail_headers(data):
        return RawMail(data)
    decoded = _decoded(data)
    if isinstance(decoded, Rejected):
        return decoded
    if data.lstrip()[:1] == b"{":
        return _no_json(data)
    return RawMail(data)


def _mail_of_object(data: Mapping[str, Any], _: Format) -> RawMail | MailParts | Rejected | None:
    raw = data.get("raw")
    if isinstance(raw, str | bytes):
        return RawMail(raw.encode() if isinstance(raw, str) else raw) if raw.strip() else _EMPTY
    if "body" not in data and "subject" not in data:
        return None
    sender, to, subject, body = (_words(data.get(name)) for name in ("from", "to", "subject", "body"))
    if sender is None or to is None or subject is None or body is None:
        return None
    return MailParts(sender, to, subject, body) if subject.strip() or body.strip() else _EMPTY


def _words(value: object) -> str | None:
    """Text, nothing, or a list of texts, as a list of recipients; None for anything else."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else None


def _turn_of_text(data: str | bytes, _: Format) -> Turn | Rejected:
    text = _decoded(data)
    if isinstance(text, Rejected):
        return text
    text = text.removeprefix("\ufeff")
    return _no_json(text.encode()) if text.lstrip()[:1] == "{" else Turn(None, "customer", text)


def _dialogue_of_object(data: Mapping[str, Any], _: Format) -> Turn | Dialogue | Rejected | None:
    conversation = data.get("conversation_id")
    if conversation is not None and not isinstance(conversation, str | int):
        return None
    conversation = None if conversation is None else str(conversation)
    turns = data.get("turns")
    if not isinstance(turns, list):
        turn = _turn(conversation, data)
        return _EMPTY if turn and not turn.text.strip() else turn
    read = [_turn(conversation, turn) if isinstance(turn, dict) else None for turn in turns]
    if None in read:
        return None
    told = tuple(turn for turn in read if turn and turn.text.strip())
    return Dialogue(conversation, told) if told else _EMPTY


def _turn(conversation: str | None, data: Mapping[str, Any]) -> Turn | None:
    speaker, text = data.get("speaker"), data.get("text")
    return Turn(conversation, speaker, text) if isinstance(speaker, str) and isinstance(text, str) else None


def _decoded(data: str | bytes) -> str | Rejected:
    try:
        return data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        return Rejected(
            "undecodable",
            f"byte {error.start} of {len(data):,} (0x{error.object[error.start]:02x}) is not UTF-8: {error.reason}. "
            "Send UTF-8; only a mail with its headers may name another charset.",
        )


_SHAPES = (
    'Known shapes: text; {"line"} for logs; {"raw"} or {"from","to","subject","body"} for mail; '
    '{"turns":[{"speaker","text"}]} or {"conversation_id","speaker","text"} for dialogues; the same in "payload".'
)


def _no_json(value: bytes) -> Rejected:
    try:
        orjson.loads(value)
        error = "it is a bare value"
    except orjson.JSONDecodeError as decoding:
        error = str(decoding)
    return Rejected("unknown_shape", f"{_excerpt(value)} is no JSON document: {error}. {_SHAPES}")


def _not_of(format: Format) -> Rejected:
    if format in LOG_FORMATS:
        return Rejected(
            "unknown_shape",
            f"the line is not of format '{format}', which the stream asks for. "
            'Say format = "auto" for a topic of mixed formats.',
        )
    return _EMPTY


def _unknown(data: object) -> Rejected:
    match data:
        case dict():
            names = ", ".join(f'"{str(name)[:40]}"' for name in list(data)[:8])
            what = f"a JSON object with {names or 'no names'}" + (" …" if len(data) > 8 else "")
        case list():
            what = "a JSON array"
        case _:
            what = f"the JSON value {_excerpt(orjson.dumps(data, default=repr))}"
    return Rejected("unknown_shape", f"{what} is none of the shapes that the stream's kind has. {_SHAPES}")


def _excerpt(value: bytes) -> str:
    return f"`{value[:60].decode(errors='replace')}{'…' if len(value) > 60 else ''}`"
