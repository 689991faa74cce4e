"""What climbs to an agent, to which tier, and why.

By request of the sender (header sluice-escalate), by rule, by the label's `escalate`, by a confidence under
`confidence_min` (to mini). The highest tier wins; of equals, the reason that stands first in this list.
`escalate = "never"` on a label silences label and confidence, never a rule or a request.
"""

from collections.abc import Iterator

from processors.clock import Clock
from processors.items import Item
from processors.policy import Rule, Stream
from topics.messages import AgentTier, Escalation, EscalationReason, Verdict

_HEIGHT: dict[AgentTier, int] = {"mini": 1, "flagship": 2}
_Cause = tuple[AgentTier, EscalationReason, str]


class Gate:
    """One a stream."""

    def __init__(self, stream: Stream, policy_version: str, clock: Clock) -> None:
        self._confidence_min = stream.confidence_min
        self._by_label = {name: label.escalate for name, label in stream.labels.items()}
        self._deadline_ms = round(stream.deadline * 1000)
        self._policy_version = policy_version
        self._clock = clock

    def escalation(self, item: Item, verdict: Verdict, rule: Rule | None) -> Escalation | None:
        """What `item` becomes if it climbs. Its deadline counts from the record's timestamp, so that waiting in
        Kafka is part of it and every attempt at a record says the same."""
        cause = max(self._causes(item, verdict, rule), key=lambda cause: _HEIGHT[cause[0]], default=None)
        if cause is None:
            return None
        to, reason, detail = cause
        return Escalation(
            id=item.id,
            source=item.source,
            stream=item.stream,
            tenant=item.tenant,
            kind=item.kind,
            to=to,
            reason=reason,
            detail=detail,
            text=item.full_text,
            truncated=item.full_truncated,
            template=item.template,
            session=item.session,
            verdicts=(verdict,),
            policy_version=self._policy_version,
            escalated_at_ms=round(self._clock.time() * 1000),
            deadline_ms=item.source.timestamp_ms + self._deadline_ms,
        )

    def _causes(self, item: Item, verdict: Verdict, rule: Rule | None) -> Iterator[_Cause]:
        if item.asked_tier is not None:
            yield item.asked_tier, "requested", f"header sluice-escalate: {item.asked_tier}"
        if rule is not None and rule.then.escalate is not None:
            yield rule.then.escalate, "rule", f"rule '{rule.name}' sends it to {rule.then.escalate}"
        by_label = self._by_label[verdict.label]
        if by_label == "never":
            return
        if by_label is not None:
            yield by_label, "label", f"label '{verdict.label}' goes to {by_label}"
        if verdict.confidence is not None and verdict.confidence < self._confidence_min:
            yield "mini", "confidence", f"confidence {verdict.confidence:g} < {self._confidence_min:g}"
