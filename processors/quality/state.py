"""What the audits of one stream prove: a pure function of them, in their order, and of what an operator orders.

How a stream's δ = 1 − confidence is spent:
1. The running claim has δ for the time since the start, and δ again for each UTC day: each is a statement of its own.
2. "No version was ever certified that differs in ε or more" has δ too. It is another statement, about rules and not
   about what was published: where it fails, the running claim still holds with its own probability.
3. Of that δ each rule has a half, `free` and `batch`; where the reference is nano in batches there is no rule `batch`,
   and `free` has it all.
4. The v-th trial of a rule has 6/(π²v²) of its half: they sum to it however many come. A version that is tried again
   after drift or expiry is a new trial; a new policy goes on counting.
5. The coverage levels of a trial share its part: half for each of two walks over them, and a level of a walk counts
   only while every stricter one of it is certified, so that the first wrong one is the only one that can err (fixed
   sequence, admission.py).
6. The watch for drift, futility and the refusal below only take certificates away, and cost nothing.
An ε below the lower bound (at δ) of the reference's disagreement with itself is refused: nothing is certified then.

Weights. Until a certificate is in force every message is audited, and each counts in full. Then those answered below
are audited with `audit_probability`, the others always, so that each counts by the least of the probabilities over its
own. That least one is fixed before the message: it is what the state told, and for ten minutes also what it told
before, since workers hear of a change late.

The least probability is constant, because the proof of the running claim needs it to be: 2%, and less the dearer the
reference is (Stream.audit_min in processors/policy.py). The claim of a day takes some 500 audits, which are of 25,000
answers at 2%; with more of them audits alone would cost as much as they save. What changes meanwhile in one kind of
message is found by cheap looks (processors/looks.py), which are no part of any proof. With little traffic the
probability is doubled until ten audits are expected before a certificate expires; the claim gains nothing by that, the
certificate stays. While another version is on trial it is doubled until the trial may end within a day, and on a quiet
stream a trial that is about to succeed lasts longer: it takes a number of audits, which cost the same in a day as in a
month.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from processors.policy import Quality
from processors.quality.admission import COVERAGES, WHOLE, Admission, Drawn, Level, RuleName, Spread, Trial
from processors.quality.betting import Evidence, finite_exp, version_delta
from processors.quality.calibration import Calibration
from processors.quality.report import Claim, Event, LevelReport, OfMeans, OfSize, Report, Share, VersionReport
from processors.quality.running import DAY_MS, Period, Running
from processors.quality.standing import OtherBatches, Standing, claim_of
from topics.limits import (
    QUALITY_AUDIT_PROBABILITY_MIN,
    QUALITY_AUDITS_PER_EXPIRY,
    QUALITY_BURN_IN_AUDITS,
    QUALITY_EVENTS_MAX,
    QUALITY_EXPIRY_SECONDS,
    QUALITY_SETTLE_SECONDS,
    QUALITY_TRIAL_AUDITS,
    QUALITY_TRIAL_MESSAGES,
    QUALITY_TRIAL_WINDOWS,
    QUALITY_TRIAL_WINDOWS_MAX,
    QUALITY_TRIALS_UNKNOWN,
)
from topics.messages import Audit

_FORMAT = 4  # of the state; another is not read
_SETTLE_MS = round(QUALITY_SETTLE_SECONDS * 1000)
_ALIKE = 0.05  # of the messages: who answers so many more or less is no other for it
_TRAFFIC_DAYS = 7  # that traffic is measured over
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000
_RULES: Final[tuple[RuleName, RuleName]] = ("free", "batch")


class _Floor:
    """The least probability that a message of a rule's can have been audited with."""

    __slots__ = ("before", "now", "until_ms")

    def __init__(self, now: float = 1.0, before: float = 1.0, until_ms: int = 0) -> None:
        self.now = now
        self.before = before
        self.until_ms = until_ms  # so long some worker may go by `before`

    def at(self, at_ms: int) -> float:
        return min(self.now, self.before) if at_ms <= self.until_ms else self.now

    def tell(self, probability: float, at_ms: int) -> None:
        if probability != self.now:
            self.before, self.until_ms = self.at(at_ms), max(self.until_ms, at_ms + _SETTLE_MS)
            self.now = probability

    def seen(self, probability: float, at_ms: int) -> None:
        """A worker went by something less than was told: so may others."""
        if probability < self.at(at_ms):
            self.before, self.until_ms = probability, max(self.until_ms, at_ms + _SETTLE_MS)


class StreamQuality:
    """Of one stream under one policy. Bounded; no clock: time is that of the audits, and `now_ms` where it is asked."""

    def __init__(
        self,
        stream: str,
        quality: Quality,
        policy_version: str,
        *,
        audit_min: float = QUALITY_AUDIT_PROBABILITY_MIN,
        spread: Spread | None = None,
        expiry_ms: int = round(QUALITY_EXPIRY_SECONDS * 1000),
    ) -> None:
        """`audit_min`: the least probability of an audit, constant as long as the state lives. `expiry_ms`: without an
        audit, until a certificate ends."""
        if not 0 < audit_min <= 1:
            raise ValueError(f"audits with probability {audit_min}: it has to be above 0 and at most 1")
        self.stream = stream
        self.policy_version = policy_version
        self.pinned: str | None = None
        self.off = False
        self.candidate_model: str | None = None  # in nano's place, as an operator wants it
        self._quality = quality
        self._epsilon = quality.max_disagreement
        self._delta = round(1 - quality.confidence, 12)  # 0.05, not a binary digit more
        self._audit_min = audit_min
        self._expiry_ms = expiry_ms
        self._running = Running(audit_min)
        self._share = 1.0 if quality.reference == "nano" else 0.5
        self._admissions: dict[RuleName, Admission] = {
            rule: Admission(
                rule,
                self._epsilon,
                self._delta * self._share,
                COVERAGES if rule == "free" else WHOLE,
                spread or Spread(),
            )
            for rule in _RULES
        }
        self._self = Evidence()
        self._calibration = Calibration()
        self._refused: str | None = None
        self._events: list[tuple[int, str]] = []
        self._clock_ms = 0  # the latest audit
        self._first_ms = 0  # the first
        self._traffic: dict[int, float] = {}  # messages a UTC day, as the audits have it
        self._probability = 1.0  # of an answer below, as the audits so far have it
        self._untried = 1.0  # the same, were nothing on trial
        self._floors: dict[RuleName, _Floor] = {rule: _Floor() for rule in _RULES}
        self._anew_ms: int | None = None  # when it began anew, because the state before was lost

    # --- what happens -------------------------------------------------------------------------------

    def fold(self, audit: Audit, now_ms: int | None = None) -> None:
        """One audit, in the order of the topic. Those of another stream, policy or reference change nothing. `now_ms`:
        no audit is later; a worker whose clock is ahead would keep certificates alive."""
        if audit.stream != self.stream or audit.policy_version != self.policy_version:
            return
        if audit.reference != self._quality.reference:
            return
        at_ms = audit.at_ms if now_ms is None else min(audit.at_ms, now_ms)
        self._clock_ms = max(self._clock_ms, at_ms)
        self._first_ms = min(self._first_ms or at_ms, at_ms)
        for admission in self._admissions.values():
            admission.expire(self._clock_ms, self._expiry_ms)
        self._tell(at_ms)
        if audit.below:
            disagrees = audit.reference_label != audit.label
            self._running.add(at_ms, audit.probability, disagrees, audit.decided_by)
        if audit.reference_again is not None:
            self.note_self(audit.reference_again == audit.reference_label)
        self._count(audit)
        if audit.confidence is not None:
            self._calibration.add(audit.confidence, audit.reference_label == audit.label)
        for admission in self._admissions.values():
            admission.passed(1 / audit.probability)
        weights = {rule: min(1.0, self._floors[rule].at(at_ms) / audit.probability) for rule in _RULES}
        watched: list[tuple[RuleName, str | None, Drawn]] = []
        for shadow in audit.shadows:
            if shadow.rule == "batch" and audit.rule == "free":
                continue  # the rule is about what is left for it
            admission = self._admissions[shadow.rule]
            disagrees = audit.reference_label != shadow.label
            drawn = Drawn(at_ms, weights[shadow.rule], 1 / audit.probability, disagrees, shadow.size)
            known = admission.trials.get(shadow.version)
            published = audit.below and (audit.rule, audit.version) == (shadow.rule, shadow.version)
            if not published and known is not None and known.level and shadow.score >= known.level.score_min:
                watched.append((shadow.rule, shadow.version, drawn))
            may_certify = self._refused is None
            admission.judge(shadow.version, shadow.score, drawn, may_certify=may_certify, pinned=self.pinned)
        if audit.below and audit.rule is not None:
            disagrees = audit.reference_label != audit.label
            drawn = Drawn(at_ms, weights[audit.rule], 1 / audit.probability, disagrees, audit.size)
            self._admissions[audit.rule].sized(audit.version, drawn)
            watched.append((audit.rule, audit.version, drawn))
            self._floors["free"].seen(audit.probability, at_ms)
            if audit.rule == "batch":
                self._floors["batch"].seen(audit.probability, at_ms)
        for rule, version, drawn in watched:  # after the trials: what ends one is no evidence for the next
            self._admissions[rule].watch(version, drawn)
        self._tell(at_ms)

    def note_self(self, agrees: bool) -> None:
        """The reference was asked twice about one message, independently."""
        self._self.add(1.0, not agrees)
        self._refuse()

    def freeze(self, rule: RuleName, version: str, at_ms: int, scores: Sequence[float] = ()) -> None:
        """A version is tried from now on; one that is known already goes on as it was. `scores`: of answers that will
        not certify it, for its thresholds. Without it a version's trial begins with the first audit that names it."""
        if version not in self._admissions[rule].trials:
            self._admissions[rule].freeze(version, at_ms, scores, self.pinned)

    def lose(self, records: int, until_ms: int, *, since_ms: int | None = None) -> None:
        """So many records that may be its audits are gone or cannot be read. What was claimed of their time, from
        `since_ms` (None: the latest audit) to `until_ms`, is void, and so is what is claimed since the start."""
        start = self._running.start
        if start is None or not start.lost:
            told = "audits were removed before they were read, or cannot be read: the running claim is void"
            self._events = [*self._events, (until_ms, told)][-QUALITY_EVENTS_MAX:]
        first_ms = (self._clock_ms or until_ms) if since_ms is None else since_ms
        self._running.lose(min(first_ms, until_ms), until_ms, records)

    def pin(self, version: str) -> None:
        """Of memory and student this version alone may answer, while it is certified. ValueError for no name."""
        if not version:
            raise ValueError("a version to pin has a name; `release` lets the best certified one answer")
        self.pinned = version

    def release(self) -> None:
        self.pinned = None

    def try_model(self, model: str | None) -> None:
        """Nano batches of this model are asked in shadow, and answer once their version is certified. None: none."""
        self.candidate_model = model

    def switch_off(self) -> None:
        """Nothing below the reference answers, whatever is certified; the trials go on."""
        self.off = True

    def switch_on(self) -> None:
        self.off = False

    # --- what follows -------------------------------------------------------------------------------

    def standing(self, now_ms: int) -> Standing:
        """What may be answered now."""
        candidate = self._candidate()
        free, batches = self._answering(now_ms), self._batches(now_ms)
        ends = [trial.seen_ms + self._expiry_ms for trial in (free, *batches) if trial is not None]
        batch = next(iter(batches), None)
        asked = batch or self._admissions["batch"].newest
        size_max = None if asked is None else asked.size_max(self._epsilon, self._delta)
        others = tuple(
            OtherBatches(
                trial.version,
                trial in batches,
                trial.size_max(self._epsilon, self._delta),
                trial.certified_ms if trial in batches else None,
            )
            for trial in self._admissions["batch"].trials.values()
            if trial is not batch and (trial in batches or not trial.certified)
        )
        if not ends:
            return Standing(
                candidate=candidate,
                batch_given_up=self._batches_given_up,
                batch_size_max=size_max,
                batch_others=others,
                candidate_model=self.candidate_model,
                temperature=self._calibration.temperature,
            )
        level = None if free is None else free.level
        return Standing(
            free_version=None if free is None else free.version,
            free_score_min=1.0 if level is None else level.score_min,
            batch_certified=batch is not None,
            audit_probability=self._probability,
            untried_probability=min(self._untried, self._probability),
            candidate=candidate,
            batch_version=None if batch is None else batch.version,
            batch_certified_ms=None if batch is None else batch.certified_ms,
            batch_given_up=self._batches_given_up,
            batch_size_max=size_max,
            batch_others=others,
            candidate_model=self.candidate_model,
            temperature=self._calibration.temperature,
            expires_at_ms=min(ends) // _MINUTE_MS * _MINUTE_MS,  # so that not every audit is a new standing
        )

    @property
    def _batches_given_up(self) -> tuple[str, ...]:
        """Versions of the batches that were given up; all, where the claim is refused."""
        trials = self._admissions["batch"].trials.values()
        return tuple(trial.version for trial in trials if trial.futile or self._refused is not None)

    @property
    def claim(self) -> str:
        """What its certificates are earned under."""
        return claim_of(self._quality)

    @property
    def holds(self) -> bool:
        """Whether the running claim since the start is proven at this moment."""
        start = self._running.start
        return start is not None and start.holds(self._epsilon, self._delta)

    def report(self, now_ms: int) -> Report:
        """For people, as of `now_ms`."""
        running = self._running
        days = sorted(running.days.items(), reverse=True)
        return Report(
            stream=self.stream,
            policy_version=self.policy_version,
            reference=self._quality.reference,
            max_disagreement=self._epsilon,
            confidence=self._quality.confidence,
            off=self.off,
            pinned=self.pinned,
            began_anew_ms=self._anew_ms,
            standing=self.standing(now_ms),
            start=None if running.start is None else self._claim("start", running.start),
            days=tuple(self._claim(f"{_day(day)}", period) for day, period in days),
            means=tuple(OfMeans(means=name, share=self._shown(each)) for name, each in sorted(running.means.items())),
            versions=tuple(
                self._version(admission, trial, now_ms)
                for admission in self._admissions.values()
                for trial in reversed(admission.trials.values())
            ),
            self_disagreement=self._shown(self._self),
            refused=self._refused,
            events=tuple(Event(at_ms=at_ms, what=what) for at_ms, what in reversed(self._events)),
        )

    # --- kept ---------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "format": _FORMAT,
            "stream": self.stream,
            "policy_version": self.policy_version,
            "claim": self.claim,
            "audit_min": self._audit_min,
            "pinned": self.pinned,
            "off": self.off,
            "candidate_model": self.candidate_model,
            "running": self._running.dump(),
            "admissions": {rule: admission.dump() for rule, admission in self._admissions.items()},
            "self": self._self.dump(),
            "calibration": self._calibration.dump(),
            "events": [list(event) for event in self._events],
            "clock_ms": self._clock_ms,
            "first_ms": self._first_ms,
            "traffic": [[day, messages] for day, messages in self._traffic.items()],
            "probability": self._probability,
            "untried": self._untried,
            "anew_ms": self._anew_ms,
            "floors": {rule: [floor.now, floor.before, floor.until_ms] for rule, floor in self._floors.items()},
        }

    @classmethod
    def load(
        cls,
        state: Mapping[str, Any],
        quality: Quality,
        policy_version: str,
        *,
        audit_min: float = QUALITY_AUDIT_PROBABILITY_MIN,
        spread: Spread | None = None,
        expiry_ms: int = round(QUALITY_EXPIRY_SECONDS * 1000),
    ) -> "StreamQuality":
        """What `dump` gave. Under another policy or claim everything has to be proven anew: of the old state the kill
        switch and the number of trials stay. `audit_min` is for a state that begins anew; one that goes on has its own.
        Raises ValueError for a state of another format.
        """
        if state.get("format") != _FORMAT:
            raise ValueError(f"a state of format {state.get('format')!r}: this version reads {_FORMAT}")
        goes_on = state["policy_version"] == policy_version and state["claim"] == claim_of(quality)
        if goes_on:
            audit_min = float(state["audit_min"])
        loaded = cls(
            str(state["stream"]), quality, policy_version, audit_min=audit_min, spread=spread, expiry_ms=expiry_ms
        )
        loaded.off = bool(state["off"])
        loaded.candidate_model = state["candidate_model"]
        if not goes_on:
            for rule, admission in loaded._admissions.items():
                admission.count = int(state["admissions"][rule]["count"])
            return loaded
        loaded.pinned = state["pinned"]
        loaded._running = Running.load(state["running"], audit_min)
        for rule, admission in loaded._admissions.items():
            admission.load(state["admissions"][rule])
        loaded._self = Evidence.load(state["self"])
        if "calibration" in state:  # a state of before has none
            loaded._calibration = Calibration.load(state["calibration"])
        loaded._refuse()
        loaded._events = [(int(at_ms), str(what)) for at_ms, what in state["events"]]
        loaded._clock_ms, loaded._first_ms = int(state["clock_ms"]), int(state["first_ms"])
        loaded._traffic = {int(day): float(messages) for day, messages in state["traffic"]}
        loaded._probability = float(state["probability"])
        loaded._untried = float(state["untried"])
        loaded._floors = {rule: _Floor(*state["floors"][rule]) for rule in _RULES}
        loaded._anew_ms = state["anew_ms"]
        return loaded

    @classmethod
    def anew(
        cls,
        stream: str,
        quality: Quality,
        policy_version: str,
        lost: object,
        at_ms: int,
        *,
        audit_min: float = QUALITY_AUDIT_PROBABILITY_MIN,
    ) -> "StreamQuality":
        """After its state was lost at `at_ms`. Of `lost`, whatever can be read of it, the kill switch, the pin and the
        numbers of trials stay, so that no part of δ is spent twice; QUALITY_TRIALS_UNKNOWN is taken for a number that
        is not there."""
        begun = cls(stream, quality, policy_version, audit_min=audit_min)
        known: Mapping[str, Any] = lost if isinstance(lost, Mapping) else {}
        begun.off = known.get("off") is True
        begun.pinned = pin if isinstance(pin := known.get("pinned"), str) and pin else None
        for rule, admission in begun._admissions.items():
            admission.count = _count_of(known, rule)
        begun._anew_ms = at_ms
        counts = ", ".join(f"{rule} {admission.count}" for rule, admission in begun._admissions.items())
        begun._events = [(at_ms, f"began anew, the state was lost: the claim before is void (trials before: {counts})")]
        return begun

    # --- inside -------------------------------------------------------------------------------------

    def _refuse(self) -> None:
        self._refused = None
        if self._self.is_above(self._epsilon, self._delta):
            least = self._self.lower(self._delta)
            self._refused = (
                f"refused: max_disagreement {self._epsilon:.2%} is below the reference's own: it disagreed with itself "
                f"in {self._self.disagreements} of {self._self.audits} cases, at least {least:.2%}; allow more, or "
                "take a reference that is steadier"
            )

    def _count(self, audit: Audit) -> None:
        """Traffic, for the audit probability."""
        day = audit.at_ms // DAY_MS
        if day <= self._clock_ms // DAY_MS - _TRAFFIC_DAYS:
            return
        self._traffic[day] = self._traffic.get(day, 0.0) + 1 / audit.probability
        for old in [each for each in self._traffic if each <= self._clock_ms // DAY_MS - _TRAFFIC_DAYS]:
            del self._traffic[old]

    def _tell(self, at_ms: int) -> None:
        """Takes in what has changed: events, and the probability of an audit from now on."""
        for admission in self._admissions.values():
            if admission.events:
                self._events = [*self._events, *admission.events][-QUALITY_EVENTS_MAX:]
                admission.events.clear()
        free, batch = self._admissions["free"].certified, self._admissions["batch"].certified
        self._untried = self._least_probability(self._best(free)) if free or batch else 1.0
        self._probability = self._with_trial(self._untried)
        self._floors["free"].tell(self._probability, at_ms)
        self._floors["batch"].tell(self._probability if batch else 1.0, at_ms)

    def _least_probability(self, free: Trial | None) -> float:
        """The least that keeps certificates alive, in steps of two so that weights are few."""
        share = 1.0 if free is None else self._admissions["free"].answers(free)
        probability = self._audit_min
        while probability < 1 and self._per_ms * share * self._expiry_ms * probability < QUALITY_AUDITS_PER_EXPIRY:
            probability *= 2
        return min(probability, 1.0)

    def _with_trial(self, probability: float) -> float:
        """So much more of it that a trial may end: whoever answers a message, its audit tells what the version on trial
        would have said."""
        if self.on_trial:
            while probability < 1 and self._per_ms * DAY_MS * probability < QUALITY_TRIAL_AUDITS:
                probability *= 2
        return min(probability, 1.0)

    @property
    def _per_ms(self) -> float:
        """Messages."""
        since_ms = max(self._first_ms, (self._clock_ms // DAY_MS - _TRAFFIC_DAYS + 1) * DAY_MS)
        return sum(self._traffic.values()) / max(self._clock_ms - since_ms, _HOUR_MS)

    @property
    def on_trial(self) -> bool:
        """Whether a version may yet be certified that more audits of what is answered below tell of. They tell of a
        version of `batch` only where batches answer."""
        return self.tries("free") or (bool(self._admissions["batch"].certified) and self.tries("batch"))

    def tries(self, rule: RuleName) -> bool:
        """Whether the rule's newest version began so lately that a good one would not be certified yet. On a quiet
        stream a trial's time brings few audits: there it goes on while what it has shown suffices for a certificate
        within QUALITY_TRIAL_MESSAGES in all. Its levels gather audits together, so where one is certified those of the
        others are there."""
        admission = self._admissions[rule]
        trial = admission.newest
        if trial is None or trial.certified or trial.futile or self._refused is not None:
            return False
        age = admission.age(trial, self._clock_ms)
        if not QUALITY_TRIAL_WINDOWS <= age < QUALITY_TRIAL_WINDOWS_MAX:
            return age < QUALITY_TRIAL_WINDOWS
        left = QUALITY_TRIAL_MESSAGES - admission.came_since(trial)
        return left > 0 and admission.messages_needed(trial) <= left

    def certifies(self, version: str) -> bool:
        """Of memory and student: whether this one is certified, answering or not."""
        return any(trial.version == version for trial in self._admissions["free"].certified)

    def _best(self, trials: Sequence[Trial]) -> Trial | None:
        """The one with the most answers, of such about as many the newest."""
        if self.pinned is not None:
            trials = [trial for trial in trials if trial.version == self.pinned]
        answers = self._admissions["free"].answers
        return max(trials, key=lambda trial: (round(answers(trial) / _ALIKE), trial.number), default=None)

    def _answering(self, now_ms: int) -> Trial | None:
        return self._best(self._alive("free", now_ms))

    def _batches(self, now_ms: int) -> list[Trial]:
        """The certified versions of the batches, the newest first. One that no audit came for, because workers ask
        another model by now, is left out before it ends: the standing ends with the first of its certificates."""
        alive = self._alive("batch", now_ms)
        latest = max(alive, key=lambda trial: trial.seen_ms, default=None)
        fresh = [trial for trial in alive if trial is latest or now_ms - trial.seen_ms <= self._expiry_ms // 2]
        return fresh[::-1]

    def _alive(self, rule: RuleName, now_ms: int) -> list[Trial]:
        if self.off or self._refused is not None:
            return []
        return [trial for trial in self._admissions[rule].certified if now_ms - trial.seen_ms <= self._expiry_ms]

    def _candidate(self) -> str | None:
        newest = self._admissions["free"].newest
        if newest is None or newest.futile or newest.whole:
            return None
        return newest.version

    def _shown(self, evidence: Evidence) -> Share:
        low, high = evidence.interval(self._delta)
        return Share(
            audits=evidence.audits,
            disagreements=evidence.disagreements,
            disagreement=evidence.disagreement,
            low=low,
            high=high,
        )

    def _claim(self, name: str, period: Period) -> Claim:
        holds = period.holds(self._epsilon, self._delta)
        e, needed = finite_exp(period.evidence.log_e(self._epsilon)), 1 / self._delta
        if period.too_rare:
            why = f"void: {period.too_rare} audits were tossed with less than the least probability, {self._audit_min}"
        elif period.lost:
            why = f"void: {period.lost} records that may be audits were removed or could not be read"
        elif holds:
            why = f"proven: E = {e:.4g}, {needed:.4g} are needed"
        else:
            why = f"not proven yet: E = {e:.4g} of {needed:.4g}"
        return Claim(
            period=name,
            first_ms=period.first_ms,
            last_ms=period.last_ms,
            share=self._shown(period.evidence),
            e=e,
            e_needed=needed,
            holds=holds,
            why=why,
        )

    def _version(self, admission: Admission, trial: Trial, now_ms: int) -> VersionReport:
        nearest = admission.nearest(trial)
        level = trial.level or (nearest[0] if nearest is not None else next(iter(trial.levels), None))
        evidence = Evidence() if level is None else level.evidence
        needed = None if nearest is None or trial.futile or not isfinite(nearest[1]) else round(nearest[1])
        return VersionReport(
            rule=admission.rule,
            version=trial.version,
            number=trial.number,
            delta=version_delta(self._delta * self._share, trial.number),
            certified=self._is_certified(trial, now_ms),
            coverage=trial.level.coverage if trial.level else 0.0,
            score_min=trial.level.score_min if trial.level else None,
            since_ms=trial.certified_ms if trial.certified else trial.since_ms,
            share=self._shown(evidence),
            e=finite_exp(evidence.log_e(self._epsilon)),
            e_needed=finite_exp(admission.log_bound(trial)),
            drift=None if trial.watch is None else trial.watch.value,
            audits_needed=needed,
            why=self._why(admission, trial, level, needed, now_ms),
            levels=tuple(
                LevelReport(
                    coverage=each.coverage,
                    score_min=each.score_min,
                    share=self._shown(each.evidence),
                    e=finite_exp(each.evidence.log_e(self._epsilon)),
                    certified=each.certified,
                )
                for each in (trial.levels if trial.certified or trial is admission.newest else ())
            ),
            sizes=tuple(
                OfSize(messages=each.largest, share=self._shown(each.evidence))
                for _, each in sorted(trial.sizes.items())
            ),
        )

    def _is_certified(self, trial: Trial, now_ms: int) -> bool:
        return trial.certified and now_ms - trial.seen_ms <= self._expiry_ms and self._refused is None

    def _why(self, admission: Admission, trial: Trial, level: Level | None, needed: int | None, now_ms: int) -> str:
        """In words, with figures."""
        again = f"tried again since {trial.ended}; " if trial.ended else ""
        if self._refused is not None:
            return self._refused
        if trial.futile:
            return trial.futile
        if level is None:
            return (
                f"{again}{len(trial.scores)} of the {QUALITY_BURN_IN_AUDITS} audits that fix its thresholds are there"
            )
        if trial.certified and now_ms - trial.seen_ms > self._expiry_ms:
            return "expired: no audit came for too long"
        e, bound = level.evidence.log_e(self._epsilon), admission.log_bound(trial)
        if trial.certified:
            also = "" if trial.whole else f"; {level.coverage:.0%} is as far as it has come"
            if admission.rule == "free" and (knows := admission.knows(trial)) < 0.995:
                also += f"; it has an answer for {knows:.0%} of messages"
            return f"certified: {level.evidence.audits} audits had it, {level.evidence.disagreements} disagreed{also}"
        if admission.newest is not None and trial.judged_ms < admission.newest.since_ms:
            return f"{again}newer versions are tried in its place"
        windows, wanted = admission.spread_over(trial)
        if e >= bound and windows < wanted:
            return f"{again}audits suffice, but they are spread over {windows:.1f} windows of {wanted:g}"
        more = "no number of audits would do" if needed is None else f"about {needed} more"
        return f"{again}E = {finite_exp(e):.3g} of {finite_exp(bound):.3g}: {more}"


def _count_of(state: Mapping[str, Any], rule: RuleName) -> int:
    """Trials of the rule, by a state that may be of any shape."""
    try:
        count = state["admissions"][rule]["count"]
    except (KeyError, TypeError, IndexError):
        return QUALITY_TRIALS_UNKNOWN
    return count if isinstance(count, int) and count >= 0 else QUALITY_TRIALS_UNKNOWN


def _day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
