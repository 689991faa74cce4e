"""MIME to text: the parts of a mail that a person reads, whatever state it is in.

The message is taken apart with the standard library's compat32 policy, which copies bytes; the headers that are
wanted are decoded by its modern policy (`email.policy.default`), which costs about 0.2 ms a header that needs it.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from email.utils import parseaddr
from typing import Any

from processors.normalise.html import looks_like_html, text_of
from processors.normalise.texts import clean, cut_middle
from topics import limits
from topics.inputs import MailParts, has_mail_headers
from topics.messages import FieldValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMail:
    """A mail as text. Every text is cleaned; empty where the mail has none."""

    sender_name: str
    sender_domain: str  # lower case
    subject: str
    body: str
    attachments: tuple[str, ...]  # their names
    fields: Mapping[str, FieldValue]
    forwarded: bool
    truncated: bool  # whether anything was cut before it was read


_FIELDS = frozenset(
    ("from", "to", "cc", "reply-to", "subject", "date", "message-id", "list-id", "auto-submitted", "return-path")
)
_FORWARDED = re.compile(r"\s*(?:fwd?|wg|tr|rv|i|doorst|vs|vb|pd)\s*:", re.IGNORECASE)  # in the languages of `replies`
_DOMAIN = re.compile(r"@([\w.-]+)")
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]*")
_OWN_BYTES = ("utf-16", "utf-32", "utf-7", "iso-2022", "hz")  # charsets whose texts look like another one's
_TEXTS = ("text/plain", "text/html", "text/enriched")
_STUB_CHARS = 200  # a plain part below it may only say that the mail is HTML


def parse(data: bytes) -> ParsedMail:
    """A raw mail, cut to MAIL_PARSE_BYTES_MAX. Never raises: what cannot be taken apart is read as plain text."""
    data = data.lstrip(b"\xef\xbb\xbf\r\n\0 \t")
    truncated = len(data) > limits.MAIL_PARSE_BYTES_MAX
    data = data[: limits.MAIL_PARSE_BYTES_MAX]
    if not has_mail_headers(data):
        return _mail({}, _body(_decoded(data, None)), (), truncated)
    try:
        message = message_from_bytes(data)
        headers: dict[str, str] = {}
        for name, value in message.raw_items():  # `get` would hide 8-bit bytes
            if (name := name.lower()) in _FIELDS and name not in headers and (header := _header(value)):
                headers[name] = header
        parts = _Parts()
        parts.read(message)
        return _mail(headers, "\n\n".join(filter(None, parts.texts)), tuple(parts.attachments), truncated or parts.cut)
    except Exception:  # noqa: BLE001 - the library raises whatever it trips over, as on thousands of nested parts
        return _mail({}, clean(_decoded(data, None)[: limits.HTML_CHARS_MAX]), (), truncated)


def parsed_parts(parts: MailParts) -> ParsedMail:
    """A mail that came as JSON."""
    given = (("from", parts.sender), ("to", parts.to), ("subject", parts.subject))
    headers = {name: text for name, value in given if (text := _one_line(value))}
    return _mail(headers, _body(parts.body), (), len(parts.body) > limits.HTML_CHARS_MAX)


def _mail(headers: Mapping[str, str], body: str, attachments: tuple[str, ...], truncated: bool) -> ParsedMail:
    name, domain = _sender(headers.get("from", ""))
    fields: dict[str, FieldValue] = {name: value[: limits.RECORD_FIELD_CHARS_MAX] for name, value in headers.items()}
    fields |= {"from.domain": domain, "has_attachments": bool(attachments)}
    if attachments:
        fields["attachments"] = ", ".join(attachments)[: limits.RECORD_FIELD_CHARS_MAX]
    subject = headers.get("subject", "")[: limits.RECORD_FIELD_CHARS_MAX]
    return ParsedMail(
        sender_name=name,
        sender_domain=domain,
        subject=subject,
        body=body,
        attachments=attachments,
        fields=fields,
        forwarded=_FORWARDED.match(subject) is not None,
        truncated=truncated,
    )


def _sender(header: str) -> tuple[str, str]:
    """Display name and domain, of whatever is there. What stands in the last <> counts, however much a name looks
    like an address; `parseaddr` does not see to that for names without quotes."""
    name, bracket, address = header.rpartition("<")
    if not bracket:
        name, address = parseaddr(header)
    domains = _DOMAIN.findall(address)
    if not domains and not name:
        name = header
    return name.strip("\"'<> ")[:200], (domains[-1].lower() if domains else "")[:253]


def _header(raw: object) -> str:
    """A header as a person reads it: unfolded, its encoded words and 8-bit bytes decoded."""
    if raw is None:
        return ""
    text = str(raw)[: limits.MAIL_HEADER_CHARS_MAX]
    if not text.isascii():
        text = _decoded(text.encode("utf-8", "surrogateescape"), None)
    if "=?" in text:
        with contextlib.suppress(Exception):  # the library raises on some broken encoded words; they stay as they are
            text = str(policy.default.header_factory("subject", _FOLD.sub(" ", text)))
    return _one_line(text)


def _one_line(text: str) -> str:
    return clean(text[: limits.MAIL_HEADER_CHARS_MAX]).replace("\n", " ")


class _Parts:
    """What a walk through a mail's parts has found; at most MAIL_PARTS_MAX are looked at."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.attachments: list[str] = []
        self.cut = False
        self._left = limits.MAIL_PARTS_MAX

    def read(self, part: Message) -> None:
        self._left -= 1
        if self._left < 0:
            self.cut = True
            return
        children = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(children, list):
            if _kind(part) == "multipart/alternative":
                self._read_alternatives(_messages(children))
            else:
                for child in _messages(children):
                    self.read(child)
        elif _is_text(part):
            self.texts.append(self._text(part))
        else:
            self.attachments.append(_header(part.get_filename()) or _kind(part))

    def _read_alternatives(self, children: list[Message]) -> None:
        """The plain one, unless it is but a stub beside a longer one in HTML."""
        plain = next((child for child in children if _kind(child) == "text/plain" and _is_text(child)), None)
        said = "" if plain is None else self._text(plain)
        if len(said) < _STUB_CHARS:
            before = len(self.texts)
            for child in children:
                if child is not plain:
                    self.read(child)
            rich = "\n\n".join(filter(None, self.texts[before:]))
            del self.texts[before:]
            said = max(said, rich, key=len)
        self.texts.append(said)

    def _text(self, part: Message) -> str:
        payload = part.get_payload(decode=True)
        text = _decoded(payload if isinstance(payload, bytes) else b"", part.get_content_charset())
        self.cut |= len(text) > limits.HTML_CHARS_MAX
        return _body(text, html=_kind(part) == "text/html")


def _messages(children: list[Any]) -> list[Message]:
    return [child for child in children if isinstance(child, Message)]


def _kind(part: Message) -> str:
    """Its content type, also where the semicolon behind it was forgotten."""
    return part.get_content_type().partition(" ")[0]


def _is_text(part: Message) -> bool:
    """Whether a person sees it on opening the mail. A multipart that has no parts is its own text."""
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return False
    return _kind(part) in _TEXTS or part.get_content_maintype() == "multipart"


def _body(text: str, *, html: bool = False) -> str:
    if html or looks_like_html(text):
        return clean(text_of(text))
    return clean(cut_middle(text, limits.HTML_CHARS_MAX))


def _decoded(data: bytes, charset: str | None) -> str:
    """Bytes to text. Valid UTF-8 is UTF-8 whatever the mail says, as nothing else looks like it; Latin-1 is its
    superset Windows-1252, as in browsers; what fits nothing has its odd bytes replaced."""
    charset = (charset or "").lower()
    if charset.startswith(_OWN_BYTES):
        with contextlib.suppress(LookupError, UnicodeError):
            return data.decode(charset)
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode()
    if charset not in ("", "ascii", "us-ascii", "iso-8859-1", "latin-1", "latin1", "utf-8"):
        with contextlib.suppress(LookupError, UnicodeError):
            return data.decode(charset, "replace")
    return data.decode("utf-8" if charset == "utf-8" else "cp1252", "replace")
