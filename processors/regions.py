"""Where of a stream what is answered for nothing stands back: the reference answers there until it agrees again.

A region is a tenant's log template; where there is none, what answered a tenant's messages and how. Whoever finds out
that the reference would have said otherwise, or the same, tells it here (looks.py, referee.py). Against "no more than ε
is wrong here" an e-detector (quality/drift.py) weighs it, so that a change is found within two or three disagreements
that follow closely on each other, and a rule as good as was promised is hardly ever disturbed.

The running claim holds under any predictable change of rule, and this is one: it follows from messages before and from
the message's own features, never from the coin of its own audit (quality/betting.py). What the reference answers in the
rule's place is no part of the claim; for versions on trial it is an audit that was drawn with certainty.

Pure: times are arguments, in seconds.
"""

from dataclasses import dataclass

from processors.quality.drift import DriftWatch
from topics.limits import LOOKS_CALM, LOOKS_CLOSED_SECONDS, LOOKS_REGIONS_MAX

Region = tuple[str, ...]

_ALARM = 50.0
"""At ε of 2% two disagreements in a row come to 68, and to less with every agreement between them; above 4% it takes a
third. With half of ε wrong an alarm comes once in some thousand judgements, with all of ε wrong once in 50 at most."""


def region_of(tenant: str, template: str | None, by: str, label: str) -> Region:
    """`by`, `label`: of what is published."""
    return (tenant, by, label) if template is None else (tenant, template)


@dataclass(slots=True)
class _Closed:
    until_s: float
    agreed: int = 0  # in a row


class Regions:
    """Of one stream and process. Bounded: of too many the oldest is as if nothing had been heard of it."""

    def __init__(self, epsilon: float) -> None:
        self._epsilon = epsilon
        self._watches: dict[Region, DriftWatch] = {}  # where something disagreed of late
        self._closed: dict[Region, _Closed] = {}

    @property
    def any_closed(self) -> bool:
        """False nearly always: then nobody has to ask about one."""
        return bool(self._closed)

    def stands_back(self, region: Region, now_s: float) -> bool:
        """Whether the reference answers there."""
        closed = self._closed.get(region)
        if closed is None:
            return False
        if now_s >= closed.until_s:
            del self._closed[region]
            return False
        return True

    def judged(self, region: Region, disagrees: bool, now_s: float) -> bool:
        """The reference's word, or as much as its word, on what was published. True where the region closes by it."""
        watch = self._watches.get(region)
        if region in self._closed or (watch is None and not disagrees):
            return False  # of before it closed; and agreements alone are no evidence to keep
        if watch is None:
            watch = self._watches[region] = DriftWatch(self._epsilon)
            _bound(self._watches)
        watch.add(1.0, disagrees)
        if watch.value < 1.0:
            del self._watches[region]
        if watch.value < _ALARM:
            return False
        del self._watches[region]
        self._closed[region] = _Closed(now_s + LOOKS_CLOSED_SECONDS)
        _bound(self._closed)
        return True

    def answered(self, region: Region, disagrees: bool) -> None:
        """The reference has answered there; `disagrees`: with what would have been published."""
        closed = self._closed.get(region)
        if closed is None:
            return
        closed.agreed = 0 if disagrees else closed.agreed + 1
        if closed.agreed >= LOOKS_CALM:
            del self._closed[region]


def _bound(regions: dict[Region, DriftWatch] | dict[Region, _Closed]) -> None:
    if len(regions) > LOOKS_REGIONS_MAX:
        del regions[next(iter(regions))]
