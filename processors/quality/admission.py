"""Which frozen versions of a rule may answer below the reference, and from which score on: one `Admission` a rule.

A version is tried in shadow, on audits that are drawn uniformly. The first of them (or scores that come with the
version) fix its thresholds, eight levels of coverage from 30 to 100%, and certify nothing: no threshold is tuned on
audits that certify. Each level then gathers evidence of its own (betting.py). Two walks go over the levels, each with
half of the version's δ_v: one from the strictest on, one from WALKS_FROM on. A level of a walk counts only once every
stricter one of that walk is certified, so that all of them together err no more often than one (a fixed sequence). The
first walk finds rules of which only the surest answers can be trusted. Where most can be, the second is there sooner:
it waits for no proof of the surest third, to which only a third of the audits goes.

A trial ends in a certificate, or is given up where audits show that it would take too many. A certificate ends by
alarm (drift.py) or when audits stop; the version is then tried anew, as the next in number, on later audits alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import Any, Literal

from processors.quality.betting import Evidence, version_delta
from processors.quality.drift import DriftWatch
from topics.limits import (
    BATCH_MESSAGES_MAX,
    QUALITY_BURN_IN_AUDITS,
    QUALITY_FUTILE_AFTER,
    QUALITY_FUTILE_AUDITS,
    QUALITY_FUTILE_EVERY,
    QUALITY_SIZE_AUDITS_MIN,
    QUALITY_VERSIONS_MAX,
    QUALITY_WINDOW_SECONDS,
    QUALITY_WINDOWS_MIN,
)

RuleName = Literal["free", "batch"]

COVERAGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
WHOLE = (1.0,)  # of a rule that has no threshold
WALKS_FROM = 0.6  # of the coverages, where the second walk begins
_FUTILE_ALPHA = 0.01  # so often a version is given up that would have been certified in time


@dataclass(frozen=True, slots=True)
class Spread:
    """What audits have to be spread over, before they certify: consecutive ones may all be of one quiet hour."""

    windows: float = QUALITY_WINDOWS_MIN  # by Kish's effective number: (Σn)²/Σn², so that one full window is not many
    window_ms: int = round(QUALITY_WINDOW_SECONDS * 1000)
    window_messages: int | None = None  # a window is so many messages instead, where a stream's times say nothing


@dataclass(slots=True)
class Windows:
    """What a trial is spread over so far, by the messages that its audits stand for: one of a window in which few were
    audited counts for as many messages more."""

    current: int = -1
    in_current: float = 0.0
    total: float = 0.0
    squares: float = 0.0  # of those before the current

    def add(self, window: int, messages: float) -> None:
        """A late audit counts for the current window."""
        if window > self.current:
            self.squares += self.in_current**2
            self.current, self.in_current = window, 0.0
        self.in_current += messages
        self.total += messages

    @property
    def effective(self) -> float:
        squares = self.squares + self.in_current**2
        return self.total**2 / squares if squares else 0.0


@dataclass(slots=True)
class Level:
    """The answers of a version from a score on."""

    coverage: float  # of its answers, about
    score_min: float
    evidence: Evidence = field(default_factory=Evidence)
    messages: float = 0.0  # that these answers are of, as the audits have it
    certified: bool = False


@dataclass(slots=True)
class Sized:
    """Audits of batches of nearly one size: from a power of two on to the next."""

    largest: int  # messages in a batch
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(slots=True)
class Trial:
    """Of one frozen version."""

    version: str
    number: int  # of all trials of the rule, from 1: it says which part of δ is this one's
    since_ms: int
    scores: list[float]  # that will fix the thresholds, while there are no levels
    levels: list[Level] = field(default_factory=list)  # the strictest first
    windows: Windows = field(default_factory=Windows)
    certified_ms: int = 0  # when its first level was
    seen_ms: int = 0  # the latest audit of what it may answer
    watch: DriftWatch | None = None  # since it is certified
    futile: str = ""  # why it was given up
    ended: str = ""  # why the certificate of the trial before this one ended
    sizes: dict[int, Sized] = field(default_factory=dict)  # of its batches, by the power of two
    judged_ms: int = 0  # when an audit last had its answer
    came: float = 0.0  # messages of the stream until it began, as the audits have it
    fixed: float = 0.0  # the same until its thresholds were there

    @property
    def level(self) -> Level | None:
        """The widest that is certified."""
        return next((level for level in reversed(self.levels) if level.certified), None)

    @property
    def certified(self) -> bool:
        return self.level is not None

    @property
    def whole(self) -> bool:
        """Whether all that it says is certified."""
        return bool(self.levels) and self.levels[-1].certified

    @property
    def walks(self) -> list[list[Level]]:
        """One or two, each from its strictest level on."""
        strict = [level for level in self.levels if level.coverage < WALKS_FROM]
        return [walk for walk in (strict, self.levels[len(strict) :]) if walk]

    @property
    def next_levels(self) -> list[Level]:
        """That may be certified next: one of each walk, and none that is narrower than what is certified."""
        least = 0.0 if self.level is None else self.level.coverage
        firsts = (next((level for level in walk if not level.certified), None) for walk in self.walks)
        return [level for level in firsts if level is not None and level.coverage > least]

    def size_max(self, epsilon: float, alpha: float) -> int | None:
        """The largest batch it may travel in: below every size that disagrees, at 1 - `alpha`, in more than `epsilon`;
        where it is certified, none that was hardly audited. None: no objection. One message is never objected to."""
        objected = [
            size - 1 for size, each in self.sizes.items() if size > 1 and each.evidence.is_above(epsilon, alpha)
        ]
        if self.certified and self.sizes:
            wanted = min(QUALITY_SIZE_AUDITS_MIN, sum(each.evidence.audits for each in self.sizes.values()))
            audits = 0
            for size in sorted(self.sizes, reverse=True):
                audits += self.sizes[size].evidence.audits
                if audits >= wanted:
                    objected.append(self.sizes[size].largest)
                    break
        return min(objected, default=None)


@dataclass(frozen=True, slots=True)
class Drawn:
    """An audit, as a rule's evidence takes it."""

    at_ms: int
    weight: float
    """The chance of an audit that every message of the rule's had at least, by this message's own: see betting.py."""
    messages: float  # that it stands for: one by its probability
    disagrees: bool
    size: int | None = None  # messages in the batch that answered


class Admission:
    """Of one rule. It tells what happened as sentences, each once, in `events`."""

    def __init__(
        self, rule: RuleName, epsilon: float, delta: float, coverages: Sequence[float], spread: Spread, count: int = 0
    ) -> None:
        """`delta`: of all versions of the rule together. `count`: trials there were already."""
        self.rule = rule
        self.trials: dict[str, Trial] = {}  # by version, the newest last
        self.count = count
        self.events: list[tuple[int, str]] = []  # since they were taken: epoch milliseconds, words
        self._came = 0.0  # messages of the stream, as its audits have it
        self._epsilon = epsilon
        self._delta = delta
        self._coverages = tuple(coverages)
        self._spread = spread

    @property
    def newest(self) -> Trial | None:
        return next(reversed(self.trials.values()), None)

    @property
    def certified(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.certified]

    def log_bound(self, trial: Trial) -> float:
        """What log E of a level has to reach."""
        return -log(self._level_delta(trial))

    def nearest(self, trial: Trial) -> tuple[Level, float] | None:
        """The level that will be certified next, and about how many more audits of weight 1 that takes: inf where it
        never will be. None where all is, or nothing tells."""
        told = [(level, self._needed(trial, level)) for level in trial.next_levels if level.evidence.audits]
        return min(told, key=lambda one: one[1], default=None)

    def came_since(self, trial: Trial) -> float:
        """Messages of the stream since it began."""
        return self._came - trial.came

    def messages_needed(self, trial: Trial) -> float:
        """As `nearest`, but of the stream, if all were audited: it need not have an answer for each. inf where nothing
        tells."""
        nearest, knows = self.nearest(trial), self.knows(trial)
        return inf if nearest is None or not knows else nearest[1] / knows

    def _needed(self, trial: Trial, level: Level) -> float:
        audits = level.evidence.audits
        likely = ((level.evidence.disagreement or 0.0) * audits + 0.5) / (audits + 1)
        return level.evidence.needed(self._epsilon, self._level_delta(trial), likely) / level.coverage

    def _level_delta(self, trial: Trial) -> float:
        return version_delta(self._delta, trial.number) / max(1, len(trial.walks))

    def answers(self, trial: Trial) -> float:
        """The share of the stream's messages that its certificate covers, about: a memory may be certified for all
        that it knows, and know little."""
        level = trial.level
        return 0.0 if level is None else level.messages / max(level.messages, self._came - trial.fixed, 1.0)

    def knows(self, trial: Trial) -> float:
        """The share of the stream's messages that it has an answer for, about; 0 before its thresholds are fixed."""
        named = trial.levels[-1].messages if trial.levels else 0.0
        return named / max(named, self._came - trial.fixed, 1.0)

    def age(self, trial: Trial, at_ms: int) -> float:
        """Windows since it began, with audits of it or without."""
        if self._spread.window_messages is not None:
            return self.came_since(trial) / self._spread.window_messages
        return (at_ms - trial.since_ms) / self._spread.window_ms

    def spread_over(self, trial: Trial) -> tuple[float, float]:
        """Windows that its audits are spread over, and have to be."""
        return trial.windows.effective, self._spread.windows

    def freeze(self, version: str, at_ms: int, scores: Sequence[float] = (), pinned: str | None = None) -> Trial:
        """A trial begins. `scores`: of answers that will not certify it, for its thresholds; else its first audits
        give them."""
        trial = Trial(version, self._next(), at_ms, scores=[], came=self._came, fixed=self._came)
        if self._coverages == WHOLE:
            trial.levels = [Level(1.0, 0.0)]
        elif len(scores) >= QUALITY_BURN_IN_AUDITS:
            trial.levels = _levels(scores, self._coverages)
        self.trials[version] = trial
        self._forget(pinned)
        return trial

    def passed(self, messages: float) -> None:
        """So many of the stream, whoever answered them."""
        self._came += messages

    def judge(self, version: str, score: float, drawn: Drawn, *, may_certify: bool, pinned: str | None = None) -> None:
        """What `version` would have said about an audited message. A version that is not known begins a trial."""
        trial = self.trials.get(version)
        if trial is None:
            trial = self.freeze(version, drawn.at_ms, pinned=pinned)
        trial.judged_ms = max(trial.judged_ms, drawn.at_ms)
        if trial.futile:
            return
        if not trial.levels:
            trial.scores.append(score)
            if len(trial.scores) >= QUALITY_BURN_IN_AUDITS:
                trial.levels, trial.scores = _levels(trial.scores, self._coverages), []
                trial.fixed = self._came
            return
        by_count = self._spread.window_messages
        window = drawn.at_ms // self._spread.window_ms if by_count is None else int(self._came // by_count)
        trial.windows.add(window, drawn.messages)
        self.sized(version, drawn)
        for level in trial.levels:
            if score >= level.score_min:
                level.evidence.add(drawn.weight, drawn.disagrees)
                level.messages += drawn.messages
        if any(score >= level.score_min for level in trial.next_levels):
            if may_certify and trial.windows.effective >= self._spread.windows:
                self._certify(trial, drawn.at_ms)
            if not trial.certified:
                self._give_up(trial, drawn.at_ms)

    def watch(self, version: str | None, drawn: Drawn) -> None:
        """An audit of what a certified version may answer."""
        trial = self.trials.get(version or "")
        if trial is None or trial.watch is None:
            return
        trial.seen_ms = max(trial.seen_ms, drawn.at_ms)
        trial.watch.add(drawn.weight, drawn.disagrees)
        if trial.watch.alarmed:
            self._end(trial, drawn.at_ms, "audits since show more disagreement than was certified")

    def sized(self, version: str | None, drawn: Drawn) -> None:
        """An audit of what `version` said in a batch."""
        trial = self.trials.get(version or "")
        if trial is None or drawn.size is None:
            return
        size = min(drawn.size, BATCH_MESSAGES_MAX)
        sized = trial.sizes.setdefault(1 << (size.bit_length() - 1), Sized(size))
        sized.largest = max(sized.largest, size)
        sized.evidence.add(drawn.weight, drawn.disagrees)

    def expire(self, at_ms: int, expiry_ms: int) -> None:
        """Ends certificates that no audit has confirmed for `expiry_ms`."""
        for trial in self.certified:
            if at_ms - trial.seen_ms > expiry_ms:
                self._end(trial, at_ms, "no audit came for too long")

    def dump(self) -> dict[str, Any]:
        return {"count": self.count, "came": self._came, "trials": [_dump(trial) for trial in self.trials.values()]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Of the same ε, δ and coverages."""
        self.count = int(state["count"])
        self._came = float(state["came"])
        trials = [_load(each, self._epsilon) for each in state["trials"]]
        self.trials = {trial.version: trial for trial in trials}

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _certify(self, trial: Trial, at_ms: int) -> None:
        bound = self.log_bound(trial)
        before = trial.level
        for walk in trial.walks:
            for level in walk:
                level.certified = level.certified or level.evidence.log_e(self._epsilon) >= bound
                if not level.certified:
                    break
        widest = trial.level
        if widest is None or widest is before:
            return
        if before is None:
            trial.certified_ms = trial.seen_ms = at_ms
            trial.watch = DriftWatch(self._epsilon)
        self.events.append(
            (
                at_ms,
                f"{self.rule} {trial.version}: certified at {widest.coverage:.0%} coverage by {widest.evidence.audits} "
                f"audits, {widest.evidence.disagreements} of them disagreements",
            )
        )

    def _give_up(self, trial: Trial, at_ms: int) -> None:
        """Futility: it says with figures that more audits would be money lost, wherever it begins. Ending early costs
        no δ."""
        if trial.levels[-1].evidence.audits % QUALITY_FUTILE_EVERY:
            return
        if not all(self._is_hopeless(trial, level) for level in trial.next_levels):
            return
        surest = trial.levels[0].evidence
        trial.futile = (
            f"given up: {surest.disagreements} disagreements in {surest.audits} audits of its surest answers "
            f"({surest.disagreement or 0.0:.2%}, at least {surest.lower(_FUTILE_ALPHA):.2%}) do not come to less than "
            f"{self._epsilon:.2%} within {QUALITY_FUTILE_AUDITS} audits"
        )
        self.events.append((at_ms, f"{self.rule} {trial.version}: {trial.futile}"))

    def _is_hopeless(self, trial: Trial, level: Level) -> bool:
        evidence = level.evidence
        if evidence.audits < QUALITY_FUTILE_AFTER:
            return False
        least = evidence.lower(_FUTILE_ALPHA)
        needed = evidence.needed(self._epsilon, self._level_delta(trial), least)
        return needed > 0 and evidence.weight + needed > QUALITY_FUTILE_AUDITS  # else it waits for its windows alone

    def _end(self, trial: Trial, at_ms: int, why: str) -> None:
        """The certificate ends; the version, with the thresholds that it had, is tried anew on later audits."""
        self.events.append((at_ms, f"{self.rule} {trial.version}: no longer certified, {why}"))
        again = Trial(trial.version, self._next(), at_ms, scores=[], ended=why, came=self._came, fixed=self._came)
        again.levels = [Level(level.coverage, level.score_min) for level in trial.levels]
        self.trials[trial.version] = again  # keeps its place: it is no newer than it was

    def _forget(self, pinned: str | None) -> None:
        while len(self.trials) > QUALITY_VERSIONS_MAX:
            old = [trial for trial in self.trials.values() if trial is not self.newest and trial.version != pinned]
            gone = min(old, key=lambda trial: (trial.certified, trial.judged_ms))
            del self.trials[gone.version]


def _levels(scores: Sequence[float], coverages: Sequence[float]) -> list[Level]:
    """The whole is every score. Where two levels have one threshold, the wider one is what they are."""
    falling = sorted(scores, reverse=True)
    levels: dict[float, Level] = {}
    for coverage in coverages:
        score_min = 0.0 if coverage >= 1 else falling[round(coverage * len(falling)) - 1]
        levels[score_min] = Level(coverage, score_min)
    return list(levels.values())


def _dump(trial: Trial) -> dict[str, Any]:
    windows = trial.windows
    return {
        "version": trial.version,
        "number": trial.number,
        "since_ms": trial.since_ms,
        "scores": list(trial.scores),
        "levels": [
            [level.coverage, level.score_min, level.evidence.dump(), level.messages, level.certified]
            for level in trial.levels
        ],
        "windows": [windows.current, windows.in_current, windows.total, windows.squares],
        "certified_ms": trial.certified_ms,
        "seen_ms": trial.seen_ms,
        "watch": None if trial.watch is None else trial.watch.dump(),
        "futile": trial.futile,
        "ended": trial.ended,
        "judged_ms": trial.judged_ms,
        "came": trial.came,
        "fixed": trial.fixed,
        "sizes": [[size, each.largest, each.evidence.dump()] for size, each in trial.sizes.items()],
    }


def _load(state: Mapping[str, Any], epsilon: float) -> Trial:
    return Trial(
        version=state["version"],
        number=int(state["number"]),
        since_ms=int(state["since_ms"]),
        scores=[float(score) for score in state["scores"]],
        levels=[
            Level(float(part), float(least), Evidence.load(counts), float(messages), bool(certified))
            for part, least, counts, messages, certified in state["levels"]
        ],
        windows=Windows(int(state["windows"][0]), *(float(each) for each in state["windows"][1:])),
        certified_ms=int(state["certified_ms"]),
        seen_ms=int(state["seen_ms"]),
        watch=None if state["watch"] is None else DriftWatch(epsilon, state["watch"]),
        futile=state["futile"],
        ended=state["ended"],
        judged_ms=int(state["judged_ms"]),
        came=float(state["came"]),
        fixed=float(state["fixed"]),
        sizes={int(size): Sized(int(largest), Evidence.load(counts)) for size, largest, counts in state["sizes"]},
    )
