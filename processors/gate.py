"""What climbs to an agent, to which tier, and why.

By request of the sender (header sluice-escalate), by rule, by the label's `escalate`, by a confidence under
`confidence_min` (to mini). The highest tier wins; of equals, the reason that stands first in this list.
`escalate = "never"` on a label silences label and confidence, never a rule or a request.

Where the stream says what a mistake costs (`value`), money stands in the place of label and confidence: a message
climbs, to its label's tier or else to mini, where that is worth its price (processors/worth.py).
"""

from collections.abc import Iterator, Mapping

from processors import worth
from processors.clock import Clock
from processors.items import Item
from processors.policy import Rule, Stream, Tiers
from topics.messages import AgentTier, Escalation, EscalationReason, Verdict

_HEIGHT: dict[AgentTier, int] = {"mini": 1, "flagship": 2}
_Cause = tuple[AgentTier, EscalationReason, str]


class Gate:
    """One a stream."""

    def __init__(
        self, stream: Stream, policy_version: str, clock: Clock, *, prices: Mapping[AgentTier, float] | None = None
    ) -> None:
        """`prices`: USD of one escalation to each tier; by default the bounds that tiers have by default. They count
        only where the stream has a `value`."""
        self._confidence_min = stream.confidence_min
        self._by_label = {name: label.escalate for name, label in stream.labels.items()}
        self._climbing = {name: worth.climbs(label) for name, label in stream.labels.items()}
        self._value = stream.value
        self._prices = worth.prices(Tiers()) if prices is None else prices
        self._deadline_ms = round(stream.deadline * 1000)
        self._policy_version = policy_version
        self._clock = clock

    def escalation(
        self, item: Item, verdict: Verdict, rule: Rule | None, temperature: float = 1.0
    ) -> Escalation | None:
        """What `item` becomes if it climbs. Its deadline counts from the record's timestamp, so that waiting in
        Kafka is part of it and every attempt at a record says the same. `temperature`: of stated confidences."""
        cause = max(self._causes(item, verdict, rule, temperature), key=lambda cause: _HEIGHT[cause[0]], default=None)
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

    def _causes(self, item: Item, verdict: Verdict, rule: Rule | None, temperature: float) -> Iterator[_Cause]:
        if item.asked_tier is not None:
            yield item.asked_tier, "requested", f"header sluice-escalate: {item.asked_tier}"
        if rule is not None and rule.then.escalate is not None:
            yield rule.then.escalate, "rule", f"rule '{rule.name}' sends it to {rule.then.escalate}"
        by_label = self._by_label[verdict.label]
        if by_label == "never":
            return
        if self._value is not None:
            to: AgentTier = by_label or "mini"
            if verdict.tier not in ("nano", "memory"):
                temperature = 1.0  # a student's score is a chance
            needed = worth.needed(verdict.label, verdict.confidence, self._climbing, temperature=temperature)
            if worth.worth(needed, self._value).pays(self._prices[to]):
                yield (
                    to,
                    "value",
                    (
                        f"a miss costs {_usd(self._value.missed_usd)} at {needed:.0%}, "
                        f"a needless climb {_usd(self._value.needless_usd)}, {to} {_usd(self._prices[to])}"
                    ),
                )
            return
        if by_label is not None:
            yield by_label, "label", f"label '{verdict.label}' goes to {by_label}"
        if verdict.confidence is not None and verdict.confidence < self._confidence_min:
            yield "mini", "confidence", f"confidence {verdict.confidence:g} < {self._confidence_min:g}"


def _usd(amount: float) -> str:
    """As a person writes it: three digits are enough."""
    return f"{amount:.3g} USD" if amount < 1_000 else f"{amount:,.0f} USD"
