"""Mails to messages: subject, sender and the new text of the body, without what it quotes."""

from processors.items import Ignored, Item
from processors.normalise.mime import ParsedMail, parse, parsed_parts
from processors.normalise.origin import Origin, source_of
from processors.normalise.replies import new_text
from processors.normalise.texts import cut_middle, memory_text
from processors.policy import Session, Stream
from topics import limits
from topics.inputs import RawMail, Tombstone, read_mail
from topics.messages import Rejected
from topics.records import Record, message_id


class MailNormaliser:
    """One mail, one message; nothing is remembered."""

    lookback = 0
    session: Session | None = None

    def __init__(self, name: str, stream: Stream) -> None:
        self._name = name
        self._format = stream.format
        self._origin = Origin(stream)

    def glimpse(self, record: Record) -> None:
        """Without reading it all, nothing can be told."""

    def read(self, record: Record) -> Item | Ignored | Rejected:
        read = read_mail(record.value, self._format)
        if isinstance(read, Rejected):
            return read
        tenant, tier, traceparent = self._origin.asked(record)
        source = source_of(record)
        if isinstance(read, Tombstone):
            return Ignored("tombstone", source, self._name, tenant, traceparent=traceparent)
        mail = parse(read.data) if isinstance(read, RawMail) else parsed_parts(read)
        whole = _text_of(mail, new_text(mail.body, forwarded=mail.forwarded))
        if not whole:
            return Rejected(
                "unknown_shape", "the mail is empty: no sender, subject, text or attachment. Leave such records out."
            )
        text = cut_middle(whole, limits.MESSAGE_TEXT_CHARS_MAX)
        full_text = _text_of(mail, mail.body)
        return Item(
            id=message_id(record),
            source=source,
            stream=self._name,
            tenant=tenant,
            kind="email",
            text=text,
            full_text=cut_middle(full_text, limits.ESCALATION_TEXT_CHARS_MAX),
            memory_text=memory_text(whole),
            truncated=mail.truncated or len(whole) > limits.MESSAGE_TEXT_CHARS_MAX,
            full_truncated=mail.truncated or len(full_text) > limits.ESCALATION_TEXT_CHARS_MAX,
            template=None,
            session=None,
            fields=mail.fields,
            asked_tier=tier,
            traceparent=traceparent,
        )

    def recall(self, record: Record) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass


def _text_of(mail: ParsedMail, body: str) -> str:
    """What models see: of a reply its new text, and agents what it quotes besides.

    The sender's mailbox is left out: its domain tells, and the same mail stays the same.
    """
    name, domain = mail.sender_name, mail.sender_domain
    front = (
        ("From", f"{name} ({domain})" if name and domain else name or domain),
        ("Subject", mail.subject),
        ("Attachments", ", ".join(mail.attachments)[: limits.RECORD_FIELD_CHARS_MAX]),
    )
    lines = [f"{title}: {value}" for title, value in front if value]
    return "\n".join(lines) + ("\n\n" if lines and body else "") + body
