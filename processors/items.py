"""A message after normalising: what rules look at, memory is keyed by and models are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from topics import log_lines
from topics.log_layouts import Layout
from topics.messages import AgentTier, FieldValue, Kind, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One message, ready to be decided."""

    id: str  # topic/partition/offset
    source: Source
    stream: str
    tenant: str
    kind: Kind
    text: str  # what models are shown; at most MESSAGE_TEXT_CHARS_MAX characters
    full_text: str  # for agents: at most ESCALATION_TEXT_CHARS_MAX characters
    memory_text: str  # the whole normalised text that exact memory is keyed by (a digest where it was cut)
    truncated: bool  # whether `text` lacks anything
    full_truncated: bool = False  # whether `full_text` does
    template: str | None  # logs: parameters masked
    session: str | None  # dialogues: the conversation
    fields: Mapping[str, FieldValue]  # the record's own fields under their own names, e.g. "syslog.severity", "subject"
    asked_tier: AgentTier | None  # header sluice-escalate
    traceparent: bytes | None  # header traceparent, carried through
    made_of: tuple[str, ...] = ()  # other messages whose text is in it: a dialogue's earlier turns


@dataclass(frozen=True, slots=True)
class Ignored:
    """A record that gets a Decision `ignored`: a tombstone, a turn that is not the customer's."""

    why: str
    source: Source
    stream: str
    tenant: str
    session: str | None = None
    traceparent: bytes | None = None


class Glimpse(NamedTuple):
    """Of a log line what tells whether it is known; an Item costs several times as much. What both have is the same."""

    tenant: str
    memory_text: str
    line: str
    layout: Layout
    traceparent: bytes | None
    session: None = None

    @property
    def kind(self) -> Kind:
        return "log"

    @property
    def text(self) -> str:
        return self.layout.text(self.line)

    @property
    def template(self) -> str:
        return log_lines.template(self.layout.stable(self.line))

    @property
    def fields(self) -> Mapping[str, FieldValue]:
        return self.layout.fields(self.line)
