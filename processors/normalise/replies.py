"""The new text of a mail: without the replies it quotes and without a short signature."""

import re
from collections.abc import Mapping

from mailparser_reply import EmailMessage

from topics import limits

# What quoted replies and signatures show, by language; the library looks for a language only where it shows,
# because each costs about 0.2 ms a mail.
_SIGNS: Mapping[str, tuple[str, ...]] = {
    "en": ("wrote:", "From:", "Original Message", "egards", "Thank", "Best,", "All the best", "Sent from",
           "Get Outlook", "\n--\n", "____"),
    "de": ("schrieb", "Von:", "Gesendet", "Gruß", "Grüße", "Gruss"),
    "fr": ("écrit", "De :", "Envoyé", "ordialement"),
    "es": ("escribió:", "Enviado", "Asunto:", "Saludos"),
    "it": ("ha scritto:", "Inviato", "Oggetto:", "aluti"),
    "nl": ("schreef:", "Verzonden", "Onderwerp:", "groet"),
    "pl": ("napisał", "Wysłano", "Temat:", "ozdrawiam"),
    "sv": ("skrev", "Skickat", "Ämne:", "älsning"),
    "da": ("skrev", "Sendt fra", "Emne:", "hilsen"),
    "cs": ("napsal(a):", "Odesláno", "Předmět:", "pozdravem"),
}  # fmt: skip
_SIGNATURE_LINES_MAX = 10  # what the library takes for a signature and is longer is the message itself,
_SIGN_OFF_CHARS_MAX = 40  # and so is what goes on in the same line: "Thanks, but the refund never came"
_QUOTED = re.compile(r"^>.*\n?", re.MULTILINE)


def new_text(body: str, *, forwarded: bool) -> str:
    """What the sender wrote. The body as it is for a forwarded mail, and where nothing would be left.

    `body` is cleaned text: no runs of spaces or of empty lines.
    """
    if forwarded:
        return body
    if _QUOTED.search(body):  # what is quoted is marked, and the answers may stand between
        text = _QUOTED.sub("", body)
    else:
        languages = [language for language, signs in _SIGNS.items() if any(sign in body for sign in signs)]
        text = _without_replies(body, languages) if languages else body
    return text.strip() or body


def _without_replies(body: str, languages: list[str]) -> str:
    """Finds the end of the reply in a view of the body with short lines, as the library is quadratic in their length,
    and gives the whole lines before it."""
    lines = body[: limits.MESSAGE_TEXT_CHARS_MAX].split("\n")
    view = "\n".join(line[: limits.REPLY_LINE_CHARS_MAX] for line in lines)
    try:
        replies = EmailMessage(view, languages, keep_hyphen_lists=True).read().replies
    except Exception:  # noqa: BLE001 - whatever the library trips over, the mail is decided with all of its text
        return body
    reply = replies[0]
    read = reply.content.count("\n") + 1
    kept = read if len(replies) > 1 else len(body)  # nothing quoted: what is beyond the view belongs to it
    signature = reply.signatures.split("\n") if reply.signatures else []
    if (
        signature
        and len(signature) <= _SIGNATURE_LINES_MAX
        and len(signature[0]) <= _SIGN_OFF_CHARS_MAX
        and reply.content.endswith(reply.signatures)
        and len(body) <= limits.MESSAGE_TEXT_CHARS_MAX
    ):
        kept = read - len(signature)
    return "\n".join(body.split("\n")[:kept])
