"""Where a record comes from, and what its sender asks for in headers."""

from typing import NamedTuple

from processors.policy import Stream
from topics.messages import AgentTier, Source
from topics.records import Record, key_text

ESCALATE_HEADER = "sluice-escalate"
TRACE_HEADER = "traceparent"
_TENANT_CHARS_MAX = 128  # a longer name is no tenant


class Asked(NamedTuple):
    """What the headers say."""

    tenant: str
    tier: AgentTier | None
    traceparent: bytes | None


class Origin:
    """Reads a stream's headers."""

    def __init__(self, stream: Stream) -> None:
        self._tenant_header = stream.tenant.header
        self.silent = Asked(stream.tenant.default, None, None)  # of a record without headers

    def asked(self, record: Record) -> Asked:
        """The tenant, else the default; the tier asked for, where it is one; the trace. The last header of a name
        counts."""
        if not record.headers:
            return self.silent
        tenant, tier, traceparent = self.silent
        for name, value in record.headers:
            if value is None:  # Kafka allows it, whatever the type says
                continue
            if name == self._tenant_header:
                tenant = _tenant(value) or self.silent.tenant
            elif name == ESCALATE_HEADER:
                word = value.strip().lower()
                tier = "mini" if word == b"mini" else "flagship" if word == b"flagship" else None
            elif name == TRACE_HEADER:
                traceparent = value
        return Asked(tenant, tier, traceparent)


def source_of(record: Record) -> Source:
    """The record's coordinates; its key as text."""
    return Source(record.topic, record.partition, record.offset, key_text(record), record.timestamp)


def _tenant(value: bytes) -> str | None:
    name = value.decode(errors="replace").strip()
    return name if 0 < len(name) <= _TENANT_CHARS_MAX else None
