"""The life of alerts: how the signals of one fingerprint fire one, revise it and resolve it. No clock and no I/O.

Who keeps the incidents calls `heard` for every signal and `waited` now and then, writes the alerts that they give and
keeps the new state, all together where it can. The state names the last signal that is in it, so that one which is
heard again after a crash counts once.

    held ── fire_at messages within `window` ──▶ firing ── resolve_after without a message ──▶ resolved ──▶ held …

Time is event time, counted in sixtieths of the window: messages that lie a sixtieth less than a window apart always
count together, those more than a window apart never. Signals may come in any order. Three rules follow from that:
- An alert counts what came up to a window before it starts (a message that nano thought about is heard after later
  ones that memory knew), and what comes until `resolve_after` past the last message.
- A message beyond that says that the alert has ended, even where no clock has said so: after hours without a worker
  two incidents must not become one.
- What is not later than the end of a resolved alert is late. It counts nothing and reopens nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

from processors.policy import PLACEHOLDER, Alerts
from topics.limits import (
    ALERT_EVIDENCE_MAX,
    INCIDENT_BUCKETS,
    INCIDENT_BUCKETS_HELD_MAX,
    INCIDENT_REMEMBERED_SECONDS,
)
from topics.messages import AgentTier, Alert, Severity, Signal

_HEIGHT: dict[AgentTier, int] = {"mini": 1, "flagship": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Messages of one sixtieth of the window."""

    first_ms: int
    last_ms: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What an agent made of one of the messages."""

    tier: AgentTier
    at_ms: int  # event time of the message
    label: str
    severity: Severity | None
    summary: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What is known of one fingerprint. Times are event times in epoch milliseconds."""

    fingerprint: str
    labels: Mapping[str, str]  # of its signals
    offset: int  # in `signals`, of the last signal that is in here
    seen_ms: int  # of the latest message heard of
    burst: bool = False  # whether lines of a template are counted, not decisions
    held: tuple[Bucket, ...] = ()  # messages of no alert yet, oldest first; none while an alert fires
    evidence: tuple[str, ...] = ()  # message ids
    summary: str | None = None  # triage's
    reviews: tuple[Review, ...] = ()  # one a tier at most
    alert: Alert | None = None  # as it was told last, firing or resolved
    starts_ms: int = 0  # of that alert
    count: int = 0  # of messages that it has by now
    last_ms: int = 0  # of the latest of them
    ended_ms: int | None = None  # when the last alert ended

    @property
    def firing(self) -> bool:
        return self.alert is not None and self.alert.status == "firing"


def heard(incident: Incident | None, signal: Signal, offset: int, alerts: Alerts) -> tuple[Incident, tuple[Alert, ...]]:
    """The state after one more signal, and the alerts to tell, in this order: mostly none; two where the signal ends
    an alert and fires the next.

    `incident` is None for a fingerprint of which nothing is known. `offset` is the signal's in its partition of
    `signals`; one that is not beyond the incident's was heard before and changes nothing. `alerts` are those of the
    stream that the signal's label `stream` names.
    """
    if incident is None:
        known = Incident(
            fingerprint=signal.fingerprint,
            labels=signal.labels,
            offset=offset,
            seen_ms=signal.at_ms,
            burst=signal.says == "lines",
        )
    elif offset <= incident.offset:
        return incident, ()
    else:
        known = replace(incident, offset=offset, seen_ms=max(incident.seen_ms, signal.at_ms))
    if known.ended_ms is not None and signal.at_ms <= known.ended_ms:
        return known, ()
    if known.firing and signal.at_ms < known.starts_ms - _ms(alerts.window):
        return known, ()
    if signal.tier is not None:
        return _reviewed(known, signal, signal.tier, alerts)
    return _counted(known, signal, alerts) if signal.count else (known, ())


def waited(incident: Incident, now_ms: int, alerts: Alerts) -> tuple[Incident | None, tuple[Alert, ...]]:
    """What time alone does: the state then, and the alerts to tell, a resolved one at most.

    `now_ms` is the time up to which messages have been heard of, epoch milliseconds: the clock's where nothing lags;
    where it is too late, an alert ends too soon. None: the incident is forgotten. Where it had an alert, that one's id
    may get its tombstone.
    """
    if now_ms < due_ms(incident, alerts):
        return incident, ()
    if not incident.firing:
        return None, ()
    resolved, alert = _resolved(incident, alerts)
    return resolved, (alert,)


def due_ms(incident: Incident, alerts: Alerts) -> int:
    """When `waited` next does something, unless a signal comes before."""
    if incident.firing:
        return incident.last_ms + _ms(alerts.resolve_after)
    forgotten_ms = incident.seen_ms + _ms(alerts.window)
    if incident.ended_ms is not None:
        forgotten_ms = max(forgotten_ms, incident.ended_ms + _ms(INCIDENT_REMEMBERED_SECONDS))
    return forgotten_ms


# --- what a signal does --------------------------------------------------------------------------


def _counted(incident: Incident, signal: Signal, alerts: Alerts) -> tuple[Incident, tuple[Alert, ...]]:
    known, told = incident, list[Alert]()
    if known.firing and signal.at_ms > known.last_ms + _ms(alerts.resolve_after):
        known, alert = _resolved(known, alerts)
        told.append(alert)
    said = known.summary if known.firing else None  # the text of an alert does not change with every message
    known = replace(
        known,
        evidence=(*known.evidence, signal.id)[-ALERT_EVIDENCE_MAX:],
        summary=said or signal.summary or known.summary,
    )
    if known.firing:
        known = _with(known, Bucket(first_ms=signal.at_ms, last_ms=signal.at_ms, count=signal.count))
        if known.alert is not None and known.count >= 2 * known.alert.count:  # mere growth is told seldom
            known, alert = _told(known, alerts)
            told.append(alert)
        return known, tuple(told)
    known = replace(known, held=_held(known.held, signal, alerts))
    while (first := _run(known, alerts)) is not None:
        known, alert = _fired(known, first, alerts)
        told.append(alert)
        if known.held:  # beyond its end
            known, alert = _resolved(known, alerts)
            told.append(alert)
    return known, tuple(told)


def _reviewed(
    incident: Incident, signal: Signal, tier: AgentTier, alerts: Alerts
) -> tuple[Incident, tuple[Alert, ...]]:
    """Of an alert the first word of each higher tier counts: hundreds of its messages may be reviewed."""
    review = Review(
        tier=tier,
        at_ms=signal.at_ms,
        label=signal.label or "",
        severity=signal.severity,
        summary=signal.summary or "",
        actions=signal.actions,
    )
    if not incident.firing:  # the latest of each tier, in case that it fires
        others = tuple(other for other in incident.reviews if other.tier != tier)
        return replace(incident, reviews=tuple(sorted((*others, review), key=_height))), ()
    if incident.reviews and _height(review) <= _height(incident.reviews[-1]):
        return incident, ()
    known, alert = _told(replace(incident, reviews=(*incident.reviews, review)), alerts)
    return known, (alert,)


# --- counting ------------------------------------------------------------------------------------


def _held(held: tuple[Bucket, ...], signal: Signal, alerts: Alerts) -> tuple[Bucket, ...]:
    """With the signal's messages in the bucket of their own time."""
    width_ms, at_ms = _width_ms(alerts), signal.at_ms
    buckets = {bucket.first_ms // width_ms: bucket for bucket in held}
    there = buckets.get(at_ms // width_ms, Bucket(first_ms=at_ms, last_ms=at_ms, count=0))
    buckets[at_ms // width_ms] = Bucket(
        first_ms=min(there.first_ms, at_ms), last_ms=max(there.last_ms, at_ms), count=there.count + signal.count
    )
    return tuple(buckets[number] for number in sorted(buckets)[-INCIDENT_BUCKETS_HELD_MAX:])


def _run(incident: Incident, alerts: Alerts) -> int | None:
    """Where in `held` the first window begins that has enough messages."""
    enough = alerts.burst_at if incident.burst else alerts.fire_at
    if enough is None:
        return None
    width_ms, held, first, count = _width_ms(alerts), incident.held, 0, 0
    for bucket in held:
        count += bucket.count
        while bucket.first_ms // width_ms - held[first].first_ms // width_ms >= INCIDENT_BUCKETS:
            count -= held[first].count
            first += 1
        if count >= enough:
            return first
    return None


def _with(incident: Incident, bucket: Bucket) -> Incident:
    return replace(incident, count=incident.count + bucket.count, last_ms=max(incident.last_ms, bucket.last_ms))


# --- a life --------------------------------------------------------------------------------------


def _fired(incident: Incident, first: int, alerts: Alerts) -> tuple[Incident, Alert]:
    """An alert that starts with the bucket at `first`. Only what lies beyond its end stays held."""
    held, starts_ms = incident.held, incident.held[first].first_ms
    since_ms = starts_ms - _ms(alerts.window)
    known = replace(
        incident,
        starts_ms=starts_ms,
        count=0,
        last_ms=starts_ms,
        reviews=tuple(review for review in incident.reviews if review.at_ms >= since_ms),
    )
    window_end = starts_ms // _width_ms(alerts) + INCIDENT_BUCKETS
    beyond = len(held)
    for position, bucket in enumerate(held):
        in_window = bucket.first_ms // _width_ms(alerts) < window_end
        if not in_window and bucket.first_ms > known.last_ms + _ms(alerts.resolve_after):
            beyond = position
            break
        if bucket.first_ms >= since_ms:
            known = _with(known, bucket)
    return _told(replace(known, held=held[beyond:]), alerts)


def _resolved(incident: Incident, alerts: Alerts) -> tuple[Incident, Alert]:
    """The alert has ended; what is kept beside it is of messages after its end."""
    ended_ms = incident.last_ms + _ms(alerts.resolve_after)
    known, alert = _told(replace(incident, ended_ms=ended_ms), alerts, ended_ms)
    after = tuple(review for review in known.reviews if review.at_ms > ended_ms)
    if known.held:
        return replace(known, reviews=after), alert
    return replace(known, reviews=after, evidence=(), summary=None), alert


def _told(incident: Incident, alerts: Alerts, ended_ms: int | None = None) -> tuple[Incident, Alert]:
    """The alert as it is now, which is its first or its next revision."""
    name = f"{incident.fingerprint}-{incident.starts_ms}"
    before = incident.alert if incident.alert is not None and incident.alert.id == name else None
    alert = Alert(
        id=name,
        status="firing" if ended_ms is None else "resolved",
        revision=1 if before is None else before.revision + 1,
        fingerprint=incident.fingerprint,
        labels={**alerts.labels, **incident.labels} if before is None else before.labels,
        annotations=_annotations(incident, alerts),
        startsAt=_rfc3339(incident.starts_ms),
        endsAt=None if ended_ms is None else _rfc3339(ended_ms),
        generatorURL=None,
        count=incident.count,
        evidence=incident.evidence,
        reviewed_by=incident.reviews[-1].tier if incident.reviews else None,
    )
    return replace(incident, alert=alert), alert


# --- words ---------------------------------------------------------------------------------------


def _annotations(incident: Incident, alerts: Alerts) -> dict[str, str]:
    labels = incident.labels
    summaries = [review.summary for review in reversed(incident.reviews)]
    what = "lines of one template" if incident.burst else f"messages labelled {labels['alertname']}"
    description = [f"{incident.count} {what} in stream {labels['stream']}, tenant {labels['tenant']}."]
    for review in incident.reviews:
        judged = review.label if review.severity is None else f"{review.label}, {review.severity}"
        description.append(f"{review.tier} ({judged}): {review.summary}")
    actions = next((review.actions for review in reversed(incident.reviews) if review.actions), ())
    description += [f"Next: {action}" for action in actions]
    annotations = {
        "summary": next((said for said in (*summaries, incident.summary) if said), labels["alertname"]),
        "description": "\n".join(description),
    }
    if alerts.runbook_url is not None and (url := _runbook(alerts.runbook_url, {**alerts.labels, **labels})):
        annotations["runbook_url"] = url
    return annotations


def _runbook(template: str, values: Mapping[str, str]) -> str | None:
    """None where it names what this alert does not have, as a field in a burst. Values are the senders': quoted, so
    that they change no other part of the address."""
    if any(name not in values for name in PLACEHOLDER.findall(template)):
        return None
    return PLACEHOLDER.sub(lambda name: quote(values[name[1]], safe=""), template)


def _rfc3339(ms: int) -> str:
    second, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def _height(review: Review) -> int:
    return _HEIGHT[review.tier]


def _width_ms(alerts: Alerts) -> int:
    return max(1, _ms(alerts.window) // INCIDENT_BUCKETS)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
