"""Whether an escalation is worth its price, in plain money. Pure.

With q the chance that the message has to climb, c the share of such messages that an agent puts right, M and N the
price of a miss and of a needless climb:

    gain = c·q·M - (1 - q)·N,   and it climbs where the gain exceeds the agent's price.

q follows from nano's label and its confidence p: where the label is one that has to climb, and nano is wrong, the
message is one of the other labels, each as likely as the next; so q = p + (1 - p)·(climbing others)/(others), and
q = (1 - p)·(climbing others)/(others) for a label that has not. Models say more than they know: p is their confidence
with its log-odds divided by a temperature, which audits measure (processors/quality/calibration.py); 1, where there are
none, takes them at their word. What the agent does about a needless climb is not counted in its favour.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from processors.policy import Label, Tiers, Value
from topics.messages import AgentTier

CAUGHT = 0.9  # of the messages that have to climb, the share that an agent puts right; assumed until it is measured
_EDGE = 1e-6  # a confidence of 0 or 1 has no log-odds


@dataclass(frozen=True, slots=True)
class Worth:
    """What one escalation would bring, in USD before the agent's price, and the chance behind it."""

    needed: float  # 0 to 1: that the message has to climb
    gain_usd: float

    def pays(self, price_usd: float) -> bool:
        return self.gain_usd > price_usd


def worth(needed: float, value: Value, *, caught: float = CAUGHT) -> Worth:
    """Of an escalation that is needed with that chance."""
    return Worth(needed, caught * needed * value.missed_usd - (1 - needed) * value.needless_usd)


def needed(label: str, confidence: float | None, climbing: Mapping[str, bool], *, temperature: float = 1.0) -> float:
    """The chance that a message has to climb. `climbing`: every label of the stream, whether its messages have to.

    Without a confidence the label is taken for certain.
    """
    others = [climbs for name, climbs in climbing.items() if name != label]
    sure = 1.0 if confidence is None else calibrated(confidence, temperature)
    mistaken = (1 - sure) * sum(others) / len(others) if others else 0.0
    return sure + mistaken if climbing[label] else mistaken


def calibrated(confidence: float, temperature: float) -> float:
    """A confidence with its log-odds divided by `temperature`, which is above 0."""
    odds = min(max(confidence, _EDGE), 1 - _EDGE)
    return confidence if temperature == 1 else 1 / (1 + math.exp(-math.log(odds / (1 - odds)) / temperature))


def climbs(label: Label) -> bool:
    """Whether messages of a label have to climb: as it says itself, else by its severity."""
    if label.escalate is not None:
        return label.escalate != "never"
    return label.severity in ("critical", "error")


def prices(tiers: Tiers) -> Mapping[AgentTier, float]:
    """USD of one escalation to each tier at most: the policy's own bounds, until what they cost is known."""
    return {"mini": tiers.mini.limits.usd, "flagship": tiers.flagship.limits.usd}
