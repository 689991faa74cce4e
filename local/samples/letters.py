"""Writes one mail from its template: greeting, signature, the older mail below, HTML, and the RFC 5322 form."""

import html
import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import format_datetime
from typing import Any, Literal

from local.samples.wording import Wording

_SUPPORT = "support@brightwick.example"
_LINK = re.compile(r"https://\S+")
_ADDRESS = re.compile(r"(?:(?P<name>[^<]*?)\s*<)?(?P<local>[^<>@]+)@(?P<domain>[^<>]+)>?")
_STYLE = "body{font-family:Georgia,serif;color:#222}p{margin:0 0 1em}a{color:#b5541c}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail, ready to be sent."""

    sender: str
    to: str  # the bare address
    subject: str
    text: str
    html: Literal["both", "only"] | None  # "only": without a text part
    time: datetime
    id: str
    from_list: bool
    answers: str | None  # the Message-ID that it answers
    order: str | None  # the order that it is about

    @property
    def whole_only(self) -> bool:
        """Whether sender, subject and text are not all of it."""
        return self.html is not None or self.from_list

    def parts(self) -> dict[str, str]:
        """The shape that knows no headers."""
        return {"from": self.sender, "to": self.to, "subject": self.subject, "body": self.text}

    def sent(self) -> bytes:
        """As it came over the wire: CRLF, seven bits."""
        return self._message("quoted-printable").as_bytes(policy=SMTP)

    def readable(self) -> str:
        """The same mail with its text unencoded."""
        return self._message("8bit").as_bytes(policy=default).decode("utf-8")

    def _message(self, encoding: str) -> EmailMessage:
        domain = self.sender.rpartition("@")[2].rstrip(">")
        headers = {
            "Received": f"from mx2.{domain} by mail-1.brightwick.example with ESMTPS; {format_datetime(self.time)}",
            "From": self.sender,
            "To": self.to,
            "Subject": self.subject,
            "Date": format_datetime(self.time),
            "Message-ID": f"<{self.id}@{domain}>",
        }
        if self.answers is not None:
            headers["In-Reply-To"] = self.answers
        if self.from_list:
            headers["List-Unsubscribe"] = f"<mailto:leave@{domain}>"
        message = EmailMessage(policy=default)
        for name, value in headers.items():
            message[name] = value
        if self.html == "only":
            message.set_content(_html(self.text), subtype="html", cte=encoding)
        else:
            message.set_content(self.text, cte=encoding)
        if self.html == "both":
            message.add_alternative(_html(self.text), subtype="html", cte=encoding)
            message.set_boundary(f"=-{self.id}-=")  # a random one would differ from run to run
        return message


class Letters:
    """Writes letters, each signed by somebody else."""

    def __init__(self, wording: Wording, greetings: Sequence[str], closings: Sequence[str], rng: random.Random) -> None:
        self._wording = wording
        self._greetings = greetings
        self._closings = closings
        self._rng = rng

    def write(self, mail: Mapping[str, Any], time: datetime, letter_id: str) -> Letter:
        """`mail`: a table of texts/emails.toml. Who has no `from` is a customer, or staff."""
        known: dict[str, str] = {}

        def fill(text: str) -> str:
            return self._wording.fill(text, known)

        body = fill(mail["body"].strip())
        if mail.get("staff"):
            sender = fill("{colleague} <{colleague}@brightwick.example>")
            name = fill("{colleague}")
            body += f"\n\n{name.split()[0]}\n-- \n{name}\nBrightwick, Ebbsworth"
        elif "from" in mail:
            sender = fill(mail["from"])
        else:
            sender = fill("{first} {last} <{first}.{last}@{mailhost}>")
            body = self._by_customer(body, known)
        if "earlier" in mail:
            body += "\n\n" + _quoted(fill(mail["earlier"]))
        return Letter(
            sender=_address(sender),
            to=_address(fill(mail.get("to", _SUPPORT))),
            subject=fill(mail["subject"]),
            text=body,
            html=mail.get("html"),
            time=time,
            id=letter_id,
            from_list=mail.get("list", False),
            answers=f"<{letter_id}.0@brightwick.example>" if "earlier" in mail else None,
            order=known.get("order"),
        )

    def _by_customer(self, body: str, known: dict[str, str]) -> str:
        greeting = self._rng.choice(self._greetings)
        closing = self._wording.fill(self._rng.choice(self._closings), known)
        opening = f"{greeting}\n\n{body}" if greeting else body[0].upper() + body[1:]
        return f"{opening}\n\n{closing}"


def _quoted(text: str) -> str:
    older = text.replace("\n", "\n> ")
    return f"On Mon, 16 Nov 2026 at 17:05, Brightwick Support <{_SUPPORT}> wrote:\n> {older}"


def _address(text: str) -> str:
    """`Name <a b@c d.example>` to an address as mail allows it: `Name <a.b@c-d.example>`."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no mail address")
    address = f"{_ascii(found['local']).replace(' ', '.')}@{_ascii(found['domain']).replace(' ', '-')}"
    return f"{found['name']} <{address}>" if found["name"] else address


def _ascii(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"\s+", " ", folded.replace("&", " ")).strip()


def _html(text: str) -> str:
    paragraphs = "\n".join(f"<p>{_paragraph(part)}</p>" for part in text.split("\n\n"))
    return f"<html><head><style>{_STYLE}</style></head><body>\n{paragraphs}\n</body></html>\n"


def _paragraph(text: str) -> str:
    return _LINK.sub(r'<a href="\g<0>">\g<0></a>', html.escape(text)).replace("\n", "<br>")
