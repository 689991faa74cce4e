"""How far each stage is behind, partition by partition, and who works on it: from offsets and the groups' members."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from processors.clock import Clock
from processors.policy import Policy
from streams.console.shown import Json
from topics.catalog import (
    ALERTS,
    AUDITS,
    ESCALATIONS_FLAGSHIP,
    ESCALATIONS_MINI,
    FEEDBACK,
    LESSONS,
    PARKED,
    SIGNALS,
    STAGES,
    Stage,
)
from topics.limits import CONSOLE_LAG_KEPT, CONSOLE_LAG_SECONDS, CONSOLE_PAGE_MAX

Partition = tuple[str, int]
Verdict = Literal["unknown", "idle", "keeping up", "catching up", "falling behind", "standing still", "nobody"]

_RATE_LOOKS = 4  # a rate is of so many looks: twelve seconds
_AGE_S_MAX = 15.0  # of a look; an older one says nothing of now
_LAG_NOTICED = 50  # records: with fewer, nobody needs to be told of a trend
_BEHIND_S = 10.0  # of work that is still there: less is in hand, or will be in the next batch


@dataclass(frozen=True, slots=True)
class Member:
    """A worker in a stage's group."""

    stage: Stage
    client: str  # the name that it keeps, else the one that the broker gave it
    host: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a stage: offsets by partition. `committed` lacks those of which nothing is committed."""

    at_s: float
    first: Mapping[Partition, int]
    end: Mapping[Partition, int]
    committed: Mapping[Partition, int]
    members: tuple[Member, ...]


class Groups:
    """The last minute's looks at every stage."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        wanted = {"notify": bool(policy.notify), "trainer": any(stream.quality for stream in policy.streams.values())}
        self.stages: tuple[Stage, ...] = tuple(stage for stage in STAGES if wanted.get(stage, True))
        self._policy = policy
        self._clock = clock
        self._looks: dict[Stage, deque[Look]] = {stage: deque(maxlen=CONSOLE_LAG_KEPT) for stage in self.stages}
        self._parked = policy.kafka.names.topic(PARKED)
        streams = policy.streams.values()
        self._from_end = {topic for stream in streams if stream.start == "latest" for topic in stream.topics}

    def reads(self, stage: Stage) -> Sequence[str]:
        """The topics of a stage."""
        names = self._policy.kafka.names
        match stage:
            case "triage":
                return [*self.inputs, names.topic(PARKED)]
            case "mini":
                return [names.topic(ESCALATIONS_MINI)]
            case "flagship":
                return [names.topic(ESCALATIONS_FLAGSHIP)]
            case "incidents":
                return [names.topic(SIGNALS)]
            case "notify":
                return [names.topic(ALERTS)]
            case "trainer":
                return [names.topic(topic) for topic in (AUDITS, LESSONS, FEEDBACK)]

    @property
    def inputs(self) -> list[str]:
        return [topic for stream in self._policy.streams.values() for topic in stream.topics]

    def looked(self, stage: Stage, look: Look) -> None:
        self._looks[stage].append(look)

    def state(self) -> Json:
        """By stage: lag, how fast it takes records in and how fast they come, and what that amounts to."""
        state: Json = {stage: self._stage(stage) for stage in self.stages}
        state["inputs"] = self._inputs()
        return state

    def workers(self) -> list[Json]:
        """Members of all groups, with how many partitions each has."""
        return [
            {
                "stage": member.stage,
                "client": member.client,
                "host": member.host,
                "partitions": len(member.partitions),
                "topics": sorted({topic for topic, _ in member.partitions}),
            }
            for looks in self._looks.values()
            if looks
            for member in looks[-1].members
        ]

    def _stage(self, stage: Stage) -> Json:
        looks = self._looks[stage]
        if not looks:
            return {"verdict": "unknown", "lag": None, "per_s": 0.0, "workers": 0, "series": [], "partitions": []}
        last, lags = looks[-1], self._lags(looks[-1])
        parked = sum(lag for (topic, _), lag in lags.items() if topic == self._parked)
        lag, done_per_s = sum(lags.values()) - parked, _per_s(looks, _done)
        age_s = self._clock.time() - last.at_s
        drain_s = lag / done_per_s if done_per_s > 0 else None
        return {
            "verdict": "unknown" if age_s > _AGE_S_MAX else self._verdict(looks, lag, done_per_s),
            "lag": lag,
            "parked": parked if stage == "triage" else None,
            "per_s": done_per_s,
            "came_per_s": _per_s(looks, _came),
            "drain_s": None if drain_s is None else round(drain_s, 1),
            "age_s": round(age_s, 1),
            "workers": len(last.members),
            "series": list(_rates(looks, _done)),
            "partitions": [
                {"topic": topic, "partition": number, "lag": behind}
                for (topic, number), behind in sorted(lags.items(), key=lambda item: -item[1])[:CONSOLE_PAGE_MAX]
            ],
        }

    def _inputs(self) -> Json:
        """What came in, by the ends of the inputs."""
        looks, inputs = self._looks["triage"], set(self.inputs)
        return {
            "per_s": _per_s(looks, lambda look: _sum(look.end, inputs)),
            "series": list(_rates(looks, lambda look: _sum(look.end, inputs))),
            "topics": sorted(inputs),
        }

    def _lags(self, look: Look) -> dict[Partition, int]:
        """A group that has committed nothing begins at the first record, or at the end where the policy says so."""
        starts = {at: end if at[0] in self._from_end else look.first[at] for at, end in look.end.items()}
        return {at: max(0, end - look.committed.get(at, starts[at])) for at, end in look.end.items()}

    def _verdict(self, looks: deque[Look], lag: int, done_per_s: float) -> Verdict:
        last, earlier = looks[-1], looks[0]
        if not last.members:
            return "nobody" if lag else "idle"
        if not lag:
            return "keeping up"
        if not done_per_s and last.at_s - earlier.at_s >= CONSOLE_LAG_SECONDS * _RATE_LOOKS:
            return "standing still"
        if lag <= _LAG_NOTICED or not done_per_s or lag / done_per_s <= _BEHIND_S:
            return "keeping up"
        before = sum(self._lags(looks[max(0, len(looks) - 1 - 2 * _RATE_LOOKS)]).values())
        return "falling behind" if lag > before else "catching up"


def _done(look: Look) -> int:
    return sum(look.committed.values())


def _came(look: Look) -> int:
    return sum(look.end.values())


def _sum(offsets: Mapping[Partition, int], topics: set[str]) -> int:
    return sum(offset for (topic, _), offset in offsets.items() if topic in topics)


def _rates(looks: deque[Look], total: Callable[[Look], int]) -> Iterator[float]:
    """Between each two looks, per second. A topic made anew counts as nothing."""
    for one, two in zip(looks, list(looks)[1:], strict=False):
        yield round(max(0, total(two) - total(one)) / max(0.001, two.at_s - one.at_s), 2)


def _per_s(looks: deque[Look], total: Callable[[Look], int]) -> float:
    rates = list(_rates(looks, total))[-_RATE_LOOKS:]
    return round(sum(rates) / len(rates), 2) if rates else 0.0
