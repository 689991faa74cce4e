"""Audits with what a test cares about, and all else filled in."""

from collections.abc import Sequence
from typing import Literal

from topics.messages import Audit, Means, Reference, Shadow, Source

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 20_000 * DAY_MS
_SOURCE = Source(topic="logs", partition=0, offset=0, key=None, timestamp_ms=START_MS)


def below(
    at_ms: int,
    wrong: bool = False,
    *,
    probability: float = 1.0,
    rule: Literal["free", "batch"] = "free",
    version: str | None = "v1",
    decided_by: Means = "student",
    shadows: Sequence[Shadow] = (),
    stream: str = "logs",
    policy_version: str = "p1",
    size: int | None = None,
) -> Audit:
    """An answer that was published below the reference, which says "a"."""
    return Audit(
        id="logs/0/0",
        source=_SOURCE,
        stream=stream,
        tenant="default",
        at_ms=at_ms,
        policy_version=policy_version,
        reference="flagship",
        reference_label="a",
        label="b" if wrong else "a",
        decided_by=decided_by,
        below=True,
        rule=rule,
        version=version,
        probability=probability,
        shadows=tuple(shadows),
        template=None,
        text="text",
        cost_usd_micros=1.0,
        size=size,
    )


def judged(
    at_ms: int,
    *shadows: Shadow,
    stream: str = "logs",
    policy_version: str = "p1",
    reference: Reference = "flagship",
) -> Audit:
    """The reference's own answer, "a", beside what the rules would have said."""
    return Audit(
        id="logs/0/0",
        source=_SOURCE,
        stream=stream,
        tenant="default",
        at_ms=at_ms,
        policy_version=policy_version,
        reference=reference,
        reference_label="a",
        label="a",
        decided_by="flagship",
        below=False,
        rule=None,
        version=None,
        probability=1.0,
        shadows=shadows,
        template=None,
        text="text",
        cost_usd_micros=0.0,
    )


def shadow(
    wrong: bool = False,
    score: float = 0.9,
    *,
    version: str = "v1",
    rule: Literal["free", "batch"] = "free",
    size: int | None = None,
) -> Shadow:
    return Shadow(rule=rule, version=version, label="b" if wrong else "a", score=score, size=size)
