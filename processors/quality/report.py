"""What `sluice quality` shows of a stream. Frozen, and plain JSON through `dataclasses.asdict`."""

from dataclasses import dataclass

from processors.quality.admission import RuleName
from processors.quality.standing import Standing
from topics.messages import Means, Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How often the reference disagreed. The interval holds at the stream's confidence, at all times together."""

    audits: int
    disagreements: int
    disagreement: float | None  # audits weighted by the inverse of their probability; None: there are none
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The running claim of a period: less than `max_disagreement` of what was published below the reference."""

    period: str  # "start", or the UTC day as 2026-11-23
    first_ms: int  # of the audited answers
    last_ms: int
    share: Share
    e: float
    e_needed: float
    holds: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfMeans:
    """Since the start, what was published below the reference by one means."""

    means: Means
    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelReport:
    """The answers of a version from a score on."""

    coverage: float
    score_min: float
    share: Share
    e: float
    certified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OfSize:
    """Answers of batches of nearly one size."""

    messages: int  # in the largest of them
    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionReport:
    """A frozen version of a rule, at its present trial."""

    rule: RuleName
    version: str
    number: int  # of the rule's trials
    delta: float  # this trial's part of δ
    certified: bool
    coverage: float  # of its answers, that are certified
    score_min: float | None  # from which they are
    since_ms: int  # of the certificate; without one, of the trial
    share: Share  # of the level that is certified, else of the next
    e: float
    e_needed: float
    drift: float | None  # of its alarm at 5,000; None without a certificate
    audits_needed: int | None  # about, of all that carry this version's answer; None: no saying, or never
    why: str
    levels: tuple[LevelReport, ...]  # of what is certified, and of the newest
    sizes: tuple[OfSize, ...] = ()  # of its batches, the smallest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A certificate, or its end."""

    at_ms: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one stream."""

    stream: str
    policy_version: str
    reference: Reference
    max_disagreement: float
    confidence: float
    off: bool  # the kill switch: nothing below the reference answers
    pinned: str | None
    began_anew_ms: int | None = None  # the state was lost: what was claimed before is void
    standing: Standing
    start: Claim | None  # None before the first audit of an answer below the reference
    days: tuple[Claim, ...]  # the latest first
    means: tuple[OfMeans, ...]
    versions: tuple[VersionReport, ...]  # of each rule, the newest first
    self_disagreement: Share  # of the reference with itself, where it was asked twice
    refused: str | None  # why nothing can be certified
    events: tuple[Event, ...]  # the latest first
