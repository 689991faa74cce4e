"""The paths of messages: what became of each, by message id; so many of them are kept."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar, get_args

from streams.console.shown import Json
from topics.limits import CONSOLE_ALERTS_MAX, CONSOLE_JOURNEYS_MAX, CONSOLE_PASSING_MAX
from topics.messages import AgentTier

_T = TypeVar("_T")
_TIERS = get_args(AgentTier)  # topics are read side by side: a flagship's record may come before mini's


@dataclass(slots=True)
class Journey:
    """What is known of one message, each with the time at which it was written (`at_ms`)."""

    decision: Json | None = None
    escalations: dict[str, Json] = field(default_factory=dict)  # by tier, the lower first
    resolutions: dict[str, Json] = field(default_factory=dict)  # the same
    letters: dict[str, Json] = field(default_factory=dict)  # by the stage that gave up
    alerts: list[str] = field(default_factory=list)  # ids of alerts that name it as evidence

    def climbed_ms(self) -> int:
        return max(int(escalation["at_ms"]) for escalation in self.escalations.values())


class Journeys:
    """Messages that somebody may look at are kept longer: those with a severity or an escalation, or that died."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Journey] = OrderedDict()
        self._passing: OrderedDict[str, Journey] = OrderedDict()
        self._climbed: OrderedDict[str, None] = OrderedDict()  # ids, the latest last

    def decided(self, id_: str, decision: Json) -> None:
        journey = self._kept.get(id_)
        if journey is not None:
            journey.decision = decision
        elif decision.get("severity") is not None or decision.get("escalated_to") is not None:
            self._keep(id_, Journey(decision))
        else:
            _put(self._passing, id_, Journey(decision), CONSOLE_PASSING_MAX)

    def escalated(self, id_: str, tier: str, escalation: Json) -> None:
        journey = self._of(id_)
        known = journey.escalations | {tier: escalation}
        journey.escalations = {name: known[name] for name in _TIERS if name in known}
        self._climbed.pop(id_, None)
        _put(self._climbed, id_, None, CONSOLE_PASSING_MAX)

    def resolved(self, id_: str, tier: str, resolution: Json) -> None:
        journey = self._of(id_)
        known = journey.resolutions | {tier: resolution}
        journey.resolutions = {name: known[name] for name in _TIERS if name in known}

    def died(self, id_: str, letter: Json) -> None:
        self._of(id_).letters[str(letter.get("stage"))] = letter

    def raised(self, ids: list[str], alert_id: str) -> None:
        """An alert names messages as evidence."""
        for id_ in ids:
            alerts = self._of(id_).alerts
            if alert_id not in alerts and len(alerts) < CONSOLE_ALERTS_MAX:
                alerts.append(alert_id)

    def get(self, id_: str) -> Journey | None:
        return self._kept.get(id_) or self._passing.get(id_)

    def climbed(self) -> list[str]:
        """Ids of messages that climbed to an agent, the latest first."""
        return [id_ for id_ in reversed(self._climbed) if id_ in self._kept]

    def _of(self, id_: str) -> Journey:
        """The journey, kept from now on."""
        journey = self._kept.get(id_) or self._passing.pop(id_, None) or Journey()
        self._keep(id_, journey)
        return journey

    def _keep(self, id_: str, journey: Journey) -> None:
        _put(self._kept, id_, journey, CONSOLE_JOURNEYS_MAX)


def _put(entries: OrderedDict[str, _T], id_: str, value: _T, most: int) -> None:
    entries[id_] = value
    if len(entries) > most:
        entries.popitem(last=False)
