"""The values that Sluice writes to Kafka, as frozen types. Only optional fields are ever added to them.

Money is in micro-dollars (1 USD = 1,000,000), durations in milliseconds, times in epoch milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Kind = Literal["log", "email", "dialogue"]
Tier = Literal["nano", "mini", "flagship"]
AgentTier = Literal["mini", "flagship"]
Lane = Literal["realtime", "flex", "batch"]
Severity = Literal["critical", "error", "warning", "info"]
Means = Literal["rule", "memory", "student", "nano", "mini", "flagship"]
EscalationReason = Literal["label", "confidence", "rule", "requested", "unresolved", "value"]
FieldValue = str | float | int | bool | None

IGNORED = "ignored"  # the label of a record that is not judged: a tombstone, a turn that is not the customer's


@dataclass(frozen=True, slots=True)
class Source:
    """The input record that a message comes from."""

    topic: str
    partition: int
    offset: int
    key: Annotated[str | None, Field(description="The record's key as text; undecodable bytes are replaced")]
    timestamp_ms: Annotated[int, Field(description="The record's timestamp, epoch milliseconds")]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the provider billed them. `cached` is part of `input`."""

    input: float = 0
    cached: float = 0
    output: float = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.input + other.input, self.cached + other.cached, self.output + other.output)

    def share(self, parts: int) -> "Tokens":
        """One message's share of a call that decided `parts` messages."""
        return Tokens(*(round(n / parts, 2) for n in (self.input, self.cached, self.output)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What triage decided about one input record."""

    id: Annotated[str, Field(description="Message id: topic/partition/offset of the input record")]
    source: Source
    stream: str
    tenant: str
    label: Annotated[str, Field(description="A label of the stream's policy, or `ignored`")]
    severity: Severity | None
    confidence: Annotated[float | None, Field(ge=0, le=1)]
    priority: Annotated[int, Field(ge=0, le=100, description="Order of work, 100 first")]
    fields: Annotated[Mapping[str, FieldValue], Field(description="Extracted fields of the policy")]
    summary: str | None
    template: Annotated[str | None, Field(description="Log lines: the line with its parameters masked")]
    session: Annotated[str | None, Field(description="The conversation or log session it belongs to")]
    decided_by: Means
    model: Annotated[str | None, Field(description="The model that answered; null where none was asked")]
    policy_version: str
    escalated_to: AgentTier | None
    batch_size: Annotated[int, Field(ge=0, description="Messages in the model call; 0 where none was made")]
    tokens: Annotated[Tokens, Field(description="This message's share of the call")]
    cost_usd_micros: Annotated[float, Field(ge=0, description="This message's share of the call, micro-dollars")]
    latency_ms: Annotated[float, Field(ge=0, description="From taking the record to the decision")]
    degraded: bool = False
    unproven: bool = False
    lane: Annotated[Lane | None, Field(description="By which the answer was bought; null where no model was asked")] = (
        None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one tier made of a message."""

    tier: Means
    label: str
    severity: Severity | None
    confidence: Annotated[float | None, Field(ge=0, le=1)]
    priority: Annotated[int, Field(ge=0, le=100)]
    fields: Mapping[str, FieldValue]
    summary: str | None
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """A message that climbs to an agent, with every verdict so far."""

    id: Annotated[str, Field(description="Message id of the input record")]
    source: Source
    stream: str
    tenant: str
    kind: Kind
    to: AgentTier
    reason: EscalationReason
    detail: Annotated[str, Field(description="The reason in words, e.g. `confidence 0.52 < 0.70`")]
    text: Annotated[str, Field(description="The message as models see it")]
    truncated: Annotated[bool, Field(description="Whether `text` was cut to the size limit")]
    template: str | None
    session: str | None
    verdicts: Annotated[tuple[Verdict, ...], Field(min_length=1, description="Oldest first")]
    policy_version: str
    escalated_at_ms: int
    deadline_ms: Annotated[int | None, Field(description="When the sender needs the answer, epoch milliseconds")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something an agent found out, and with which tool."""

    tool: str
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubTask:
    """One step of a flagship's plan and what became of it."""

    goal: str
    status: Literal["done", "failed", "bounded"]
    result: str


Bound = Literal["turns", "seconds", "tokens", "usd", "budget", "invalid_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How an agent ended an escalation."""

    id: Annotated[str, Field(description="Message id of the input record")]
    source: Source
    stream: str
    tenant: str
    tier: AgentTier
    status: Annotated[
        Literal["resolved", "bounded"], Field(description="`bounded`: a limit ended the run; `bound` names it")
    ]
    bound: Bound | None
    label: str
    severity: Severity | None
    priority: Annotated[int, Field(ge=0, le=100)]
    confidence: Annotated[float | None, Field(ge=0, le=1)]
    summary: str
    evidence: tuple[Evidence, ...]
    actions: Annotated[tuple[str, ...], Field(description="Recommended next steps, in order")]
    plan: Annotated[tuple[SubTask, ...], Field(description="Flagship's sub-tasks; empty for mini")]
    verdicts: Annotated[tuple[Verdict, ...], Field(description="Of the tiers below, oldest first")]
    model: str
    turns: int
    tool_calls: int
    tokens: Tokens
    cost_usd_micros: Annotated[int, Field(ge=0)]
    latency_ms: Annotated[float, Field(ge=0, description="From taking the escalation to the resolution")]
    trace: Annotated[str, Field(description="W3C trace id, 32 hex digits")]
    policy_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What counts toward an alert, or an agent's word on it; written in the transaction of what it comes from."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="Of the labels: the alert it belongs to")]
    says: Annotated[
        Literal["decided", "lines", "reviewed"],
        Field(
            description="`decided`: `count` decisions with this label. `lines`: `count` log lines of one template in a "
            "second, for bursts; a crash may lose some. `reviewed`: what an agent made of one; counts nothing"
        ),
    ]
    count: Annotated[int, Field(ge=0)]
    at_ms: Annotated[int, Field(description="Event time: the latest input record's timestamp, epoch milliseconds")]
    id: Annotated[str, Field(description="Message id of the latest input record")]
    labels: Annotated[
        Mapping[str, str], Field(description="The alert's: alertname, severity, stream, tenant, what it is grouped by")
    ]
    summary: Annotated[str | None, Field(description="In words: the model's, else a log line's template")]
    tier: Annotated[AgentTier | None, Field(description="Who reviewed it")] = None
    label: Annotated[str | None, Field(description="What the reviewer made of it")] = None
    severity: Annotated[Severity | None, Field(description="What the reviewer made of it")] = None
    actions: Annotated[tuple[str, ...], Field(description="The reviewer's next steps, in order")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One incident from its first sight to its end, in Alertmanager's words where it has them (API v2)."""

    id: Annotated[str, Field(description="fingerprint-startsAt in epoch milliseconds: the same for its whole life")]
    status: Literal["firing", "resolved"]
    revision: Annotated[int, Field(ge=1, description="Grows with every change that is told")]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    labels: Annotated[Mapping[str, str], Field(description="Fixed for its life; severity is triage's")]
    annotations: Annotated[Mapping[str, str], Field(description="summary, description, runbook_url; they improve")]
    startsAt: Annotated[str, Field(description="RFC 3339: the first message that counted")]
    endsAt: Annotated[str | None, Field(description="RFC 3339: null while it fires")]
    generatorURL: Annotated[str | None, Field(description="Sluice's console, where it has an address")]
    count: Annotated[int, Field(ge=1, description="Messages so far")]
    evidence: Annotated[tuple[str, ...], Field(description="Message ids, latest last, a few of them")]
    reviewed_by: Annotated[AgentTier | None, Field(description="The highest tier that has spoken")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """One call to a model, paid or refused."""

    call_id: str
    at_ms: int
    tier: Tier
    model: str
    lane: Lane
    service_tier: Annotated[str | None, Field(description="What the provider says it billed")]
    status: Annotated[int, Field(description="HTTP status; 0 where no answer came")]
    tokens: Tokens
    usd_micros: int
    prices_as_of: str
    tenant: str
    stream: str
    purpose: str
    messages: Annotated[int, Field(description="How many messages the call was about")] = 1
    escalation: Annotated[str | None, Field(description="Message id, where an agent made the call")] = None
    latency_ms: float = 0
    simulated: Annotated[bool, Field(description="The answer says of itself that no model gave it")] = False


Reference = Literal["nano-single", "nano", "mini", "flagship"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What a rule that publishes nothing yet would have published about an audited message."""

    rule: Annotated[
        Literal["free", "batch"], Field(description="Memory and student; or nano with many messages a call")
    ]
    version: Annotated[str, Field(description="Of what was frozen when its audits began")]
    label: Annotated[str, Field(description="Empty: it gave no valid answer, which agrees with none")]
    score: Annotated[float, Field(ge=0, le=1, description="How sure it is; thresholds are on this")]
    size: Annotated[int | None, Field(ge=1, description="Messages in the call, where the rule is `batch`")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A decision beside the reference's judgement, written in the decision's transaction."""

    id: Annotated[str, Field(description="Message id of the input record")]
    source: Source
    stream: str
    tenant: str
    at_ms: int
    policy_version: str
    reference: Reference
    reference_label: Annotated[str | None, Field(description="Null: it gave no valid answer, which counts as a no")]
    label: Annotated[str, Field(description="What was published")]
    decided_by: Means
    below: Annotated[
        bool, Field(description="Published below the reference, as proven; else unproven, or the reference's")
    ]
    rule: Annotated[Literal["free", "batch"] | None, Field(description="Which rule published it, where `below`")]
    version: Annotated[str | None, Field(description="Of that rule")]
    probability: Annotated[float, Field(gt=0, le=1, description="With which this message was audited")]
    shadows: tuple[Shadow, ...]
    template: str | None
    text: Annotated[str, Field(description="The message as a student sees it, cut")]
    cost_usd_micros: Annotated[float, Field(ge=0, description="Of the reference's judgement, and of a model on trial")]
    reference_again: Annotated[
        str | None, Field(description="What it said when it was asked a second time; null where it was not")
    ] = None
    size: Annotated[int | None, Field(ge=1, description="Messages in the call, where the rule is `batch`")] = None
    confidence: Annotated[
        float | None, Field(ge=0, le=1, description="Of `label`, as nano stated it; null where another answered")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A label that a model was paid for, and its text: what students learn from."""

    id: Annotated[str, Field(description="Message id of the input record")]
    stream: str
    tenant: str
    at_ms: int
    policy_version: str
    label: str
    tier: Tier
    confidence: Annotated[float | None, Field(ge=0, le=1)]
    text: Annotated[
        str, Field(description="The message as a student sees it, cut; empty in an agent's word about one told before")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A person's correction of a decision. Anyone may write it."""

    id: Annotated[str, Field(description="Message id of the input record")]
    stream: str
    label: Annotated[str, Field(description="The right one")]
    tenant: str = "default"
    text: Annotated[str | None, Field(description="The message, so that a student can learn from it")] = None
    by: Annotated[str | None, Field(description="Who says so")] = None
    at_ms: int | None = None


DeadLetterReason = Literal[
    "undecodable",
    "unknown_shape",
    "too_large",
    "policy",
    "model_refused",
    "model_invalid",
    "attempts_exhausted",
    "target_refused",
    "internal",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A dead letter that was sent back to the topic it came from, written in the transaction that sent it."""

    id: Annotated[str, Field(description="Message id of the dead letter: topic/partition/offset")]
    letter_at_ms: Annotated[
        int, Field(description="The dead letter's timestamp: tells it from another of its id, should the topic be new")
    ]
    of: Annotated[str, Field(description="Message id of the record as its sender wrote it")]
    to: Annotated[str, Field(description="Message id of the record that was written")]
    reason: Annotated[str, Field(description="Why the record had died")]
    replays: Annotated[int, Field(ge=1, description="How often the record has been sent back, this time included")]
    at_ms: Annotated[int, Field(description="When it was sent back, epoch milliseconds")]


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that has to wait for hours: it goes to `parked`, byte for byte, and is taken up again when it is due."""

    until_ms: int  # epoch milliseconds
    why: str  # for a person


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be decided: it goes to `dead-letters`, byte for byte."""

    reason: DeadLetterReason
    detail: str  # value, rule and remedy, for a person
    attempts: int = 1
