"""The topics and groups that Sluice owns, all under one prefix.

Contract: one prefixed ACL on `prefix` covers everything here; inputs need Read besides.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from topics import limits, messages

DAY_MS = 86_400_000
DEFAULT_PREFIX = "sluice."

Cleanup = Literal["delete", "compact", "compact,delete"]
Stage = Literal["triage", "mini", "flagship", "incidents", "notify", "trainer"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as it is created. `value` is None where the value is somebody else's bytes."""

    name: str  # without the prefix
    about: str
    key: str
    value: type | None
    partitions: int | None = None  # None: as many as asked for at creation
    retention_ms: int = 7 * DAY_MS
    cleanup: Cleanup = "delete"
    max_message_bytes: int = limits.OUTPUT_RECORD_BYTES_MAX + limits.KIB * 48
    segment_bytes: int | None = None  # None: the broker's default, a gigabyte, within which nothing is compacted

    def config(self) -> dict[str, str]:
        """The topic's configuration in Kafka's own words."""
        config = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
        }
        return config if self.segment_bytes is None else config | {"segment.bytes": str(self.segment_bytes)}


DECISIONS = Topic(
    name="decisions",
    about="One Decision for every input record that could be read",
    key="the input record's key",
    value=messages.Decision,
)
ESCALATIONS_MINI = Topic(
    name="escalations.mini",
    about="Messages that a mini agent looks at",
    key="the input record's key",
    value=messages.Escalation,
)
ESCALATIONS_FLAGSHIP = Topic(
    name="escalations.flagship",
    about="Messages that a GPT-5.4 agent looks at",
    key="the input record's key",
    value=messages.Escalation,
)
RESOLUTIONS = Topic(
    name="resolutions",
    about="How an agent ended an escalation",
    key="the input record's key",
    value=messages.Resolution,
    retention_ms=30 * DAY_MS,
)
SIGNALS = Topic(
    name="signals",
    about="What counts toward an alert; incidents read only this",
    key="the alert's fingerprint",
    value=messages.Signal,
)
INCIDENTS = Topic(
    name="incidents",
    about="What is known of each incident: the changelog that the tables of a worker are rebuilt from",
    key="the alert's fingerprint",
    value=None,
    cleanup="compact",
)
ALERTS = Topic(
    name="alerts",
    about="Alerts as they fire, are revised and resolve; the latest of each id holds, a tombstone ends it for good",
    key="alert id",
    value=messages.Alert,
    retention_ms=30 * DAY_MS,
    cleanup="compact,delete",
)
NOTIFY_DEAD_LETTERS = Topic(
    name="notify-dead-letters",
    about="Alerts that a target of [[notify]] did not take, byte for byte; which, why and their origin are headers",
    key="alert id",
    value=None,
    retention_ms=30 * DAY_MS,
)
SPEND = Topic(
    name="spend",
    about="One record a model call; written outside any transaction, because money spent stays spent",
    key="call id",
    value=messages.Spend,
    retention_ms=90 * DAY_MS,
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    about="Records that could not be decided, byte for byte; origin, reason and error are headers",
    key="the input record's key, byte for byte",
    value=None,
    retention_ms=30 * DAY_MS,
    max_message_bytes=limits.DEAD_LETTER_VALUE_BYTES_MAX,
)
PARKED = Topic(
    name="parked",
    about="Records that wait for hours, byte for byte, until they are due; when that is and their origin are headers",
    key="the input record's key, byte for byte",
    value=None,
    retention_ms=30 * DAY_MS,
    max_message_bytes=limits.DEAD_LETTER_VALUE_BYTES_MAX,
)
REPLAYS = Topic(
    name="replays",
    about="Dead letters that were sent back, so that none is sent back twice",
    key="message id of the dead letter",
    value=messages.Replay,
    partitions=1,
    retention_ms=90 * DAY_MS,
    cleanup="compact,delete",
)

AUDITS = Topic(
    name="audits",
    about="Decisions beside the judgement of their stream's reference",
    key="the input record's key",
    value=messages.Audit,
    partitions=1,
    retention_ms=30 * DAY_MS,
)
LESSONS = Topic(
    name="lessons",
    about="Labels that a model was paid for, with their texts: what students learn from",
    key="the input record's key",
    value=messages.Lesson,
    partitions=1,
)
FEEDBACK = Topic(
    name="feedback",
    about="People's corrections",
    key="the message id",
    value=messages.Feedback,
    partitions=1,
    retention_ms=90 * DAY_MS,
)
QUALITY = Topic(
    name="quality",
    about="What is certified of each stream, and the state that it follows from; written by the trainer",
    key="the stream, or command/ and the stream for an operator's order",
    value=None,
    partitions=1,
    cleanup="compact",
    segment_bytes=limits.SHARED_SEGMENT_BYTES,
)
STUDENTS = Topic(
    name="students",
    about="Students as plain arrays, in parts, and which of them are kept; written by the trainer",
    key="stream/version/part, or the stream",
    value=None,
    partitions=1,
    cleanup="compact",
    segment_bytes=limits.SHARED_SEGMENT_BYTES,
)
MEMORY = Topic(
    name="memory",
    about="What workers remember together",
    key="stream/kind/digest",
    value=None,
    cleanup="compact,delete",
    retention_ms=30 * DAY_MS,
)

OWNED: tuple[Topic, ...] = (
    DECISIONS,
    ESCALATIONS_MINI,
    ESCALATIONS_FLAGSHIP,
    RESOLUTIONS,
    SIGNALS,
    INCIDENTS,
    ALERTS,
    NOTIFY_DEAD_LETTERS,
    SPEND,
    DEAD_LETTERS,
    PARKED,
    REPLAYS,
    AUDITS,
    LESSONS,
    FEEDBACK,
    QUALITY,
    STUDENTS,
    MEMORY,
)

PUBLISHED = tuple(topic for topic in OWNED if topic not in (INCIDENTS, QUALITY, STUDENTS, MEMORY))
"""What is there for others to read; of the rest, names and partitions alone are promised."""

SEGMENT_MS = 7 * DAY_MS  # Kafka's default segment.ms: a record may stay that much longer than its retention
assert REPLAYS.retention_ms > DEAD_LETTERS.retention_ms + SEGMENT_MS, "what was sent back must not be forgotten sooner"


@dataclass(frozen=True, slots=True)
class Names:
    """Full names under a prefix, e.g. `sluice.decisions`."""

    prefix: str = DEFAULT_PREFIX

    def topic(self, topic: Topic) -> str:
        return self.prefix + topic.name

    def group(self, stage: Stage) -> str:
        """The stage's consumer group."""
        return self.prefix + stage

    def transactional_id(self, stage: Stage, topic: str, partition: int) -> str:
        """One a (group, topic, partition): starting a producer with it fences the partition's last owner."""
        return f"{self.prefix}{stage}.{topic}.{partition}"

    def shared_transactional_id(self, stage: Stage, worker: str) -> str:
        """One a worker, where its partitions are too many for a producer each."""
        return f"{self.prefix}{stage}.worker.{worker}"

    @property
    def replayer(self) -> str:
        """The transactional id of `sluice replay`, one for all: a run fences the one before it."""
        return f"{self.prefix}replay"


def escalations(tier: messages.AgentTier) -> Topic:
    """The topic that a tier's agents read."""
    return ESCALATIONS_MINI if tier == "mini" else ESCALATIONS_FLAGSHIP
