"""Log lines to messages."""

from processors.items import Glimpse, Ignored, Item
from processors.normalise.origin import Origin, source_of
from processors.normalise.texts import memory_text
from processors.policy import Session, Stream
from processors.sessions import key_of
from topics import limits, log_lines
from topics.inputs import Tombstone, familiar_log, read_log
from topics.messages import Rejected
from topics.records import Record, message_id


class LogNormaliser:
    """One line, one message; nothing is remembered. Where lines are judged by session, `read` says which is whose."""

    def __init__(self, name: str, stream: Stream) -> None:
        self.session: Session | None = stream.session
        self.lookback = 0 if stream.session is None else limits.LOOKBACK_RECORDS_MAX
        self._key = None if stream.session is None else key_of(stream.session)
        self._name = name
        self._format = stream.format
        self._origin = Origin(stream)

    def glimpse(self, record: Record) -> Glimpse | None:
        if self.session is not None:
            return None
        familiar = None if record.value is None else familiar_log(record.value, self._format)
        if familiar is None:
            return None
        tenant, tier, traceparent = self._origin.asked(record) if record.headers else self._origin.silent
        if tier is not None:
            return None
        line, layout = familiar
        # At half the price of Glimpse(…)
        return tuple.__new__(Glimpse, (tenant, memory_text(layout.stable(line)), line, layout, traceparent, None))

    def read(self, record: Record) -> Item | Ignored | Rejected:
        line = read_log(record.value, self._format)
        if isinstance(line, Rejected):
            return line
        tenant, tier, traceparent = self._origin.asked(record)
        source = source_of(record)
        if isinstance(line, Tombstone):
            return Ignored("tombstone", source, self._name, tenant, traceparent=traceparent)
        text = line.text
        return Item(
            id=message_id(record),
            source=source,
            stream=self._name,
            tenant=tenant,
            kind="log",
            text=text[: limits.LOG_LINE_CHARS_MAX],
            full_text=text[: limits.ESCALATION_TEXT_CHARS_MAX],
            memory_text=memory_text(line.stable),
            truncated=len(text) > limits.LOG_LINE_CHARS_MAX,
            full_truncated=len(text) > limits.ESCALATION_TEXT_CHARS_MAX,
            template=log_lines.template(line.stable[: limits.LOG_LINE_CHARS_MAX]),
            session=None if self._key is None else self._key(text, line.fields),
            fields=line.fields,
            asked_tier=tier,
            traceparent=traceparent,
        )

    def recall(self, record: Record) -> None:
        pass

    def forget(self, topic: str, partition: int) -> None:
        pass
