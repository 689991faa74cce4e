"""The tools `related` and `counts`: what else came lately, and whether it grows. Both see the message's tenant only."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from processors.agents.recent import Like, Recent
from processors.clock import Clock
from topics import limits
from topics.messages import Escalation

_MINUTE_MS = 60_000


class Related:
    """Recent messages that share words."""

    name = "related"
    about = (
        "Recent messages of the same tenant, from every stream, that share words with the query: the best first. "
        "Shows what else happened around the message, and how like messages were labelled."
    )

    class Arguments(BaseModel):
        query: str = Field(description="Telling words: names, ids, error texts. Empty: the words of this message")
        limit: int = Field(description=f"How many messages, 1 to {limits.TOOL_ROWS_MAX}")

    def __init__(self, recent: Recent) -> None:
        self._recent = recent

    async def call(self, arguments: Arguments, escalation: Escalation) -> object:
        query = arguments.query.strip() or escalation.text[: limits.RECENT_TEXT_CHARS_MAX]
        limit = min(max(arguments.limit, 1), limits.TOOL_ROWS_MAX)
        return [
            {
                "at": _iso(seen.at_ms),
                "stream": seen.stream,
                "label": seen.label,
                "severity": seen.severity,
                "text": seen.text,
            }
            for seen in self._recent.related(escalation.tenant, query, limit, but=escalation.id)
        ]


class Counts:
    """How often like messages came before and since."""

    name = "counts"
    about = (
        "How many like messages of the same tenant came in the minutes before this message, in equal spans, how many "
        "since, and how they were labelled. Shows whether something is new, steady or growing."
    )

    class Arguments(BaseModel):
        like: str = Field(
            description="Words that like messages all contain. Empty: log lines of the same template as this one; "
            "for mail and dialogues every message of the stream"
        )
        minutes: int = Field(description=f"How far back, 1 to {limits.COUNT_MINUTES_MAX}")

    def __init__(self, recent: Recent, clock: Clock) -> None:
        self._recent = recent
        self._clock = clock

    async def call(self, arguments: Arguments, escalation: Escalation) -> object:
        words = arguments.like.strip()
        if words:
            like = Like(tenant=escalation.tenant, words=words)
        else:
            like = Like(tenant=escalation.tenant, stream=escalation.stream, template=escalation.template)
        span_ms = -(-min(max(arguments.minutes, 1), limits.COUNT_MINUTES_MAX) * _MINUTE_MS // limits.COUNT_BUCKETS)
        after_ms = escalation.source.timestamp_ms + 1  # the message itself is in the last span before
        from_ms = after_ms - limits.COUNT_BUCKETS * span_ms
        before = self._recent.counts(like, from_ms, span_ms, limits.COUNT_BUCKETS)
        since = self._recent.counts(like, after_ms, max(self._now_ms() - after_ms, 1), 1)
        return {
            "from": _iso(from_ms),
            "to": _iso(after_ms),
            "minutes_per_span": span_ms / _MINUTE_MS,
            "spans": before.buckets,
            "total": sum(before.buckets),
            "labels": before.labels,
            "since": sum(since.buckets),
            "complete": self._recent.complete_since_ms <= from_ms,
        }

    def _now_ms(self) -> int:
        return int(self._clock.time() * 1000)


def _iso(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds")
