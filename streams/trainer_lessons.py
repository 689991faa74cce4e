"""What a stream's students learn from, as far as it is kept, and when it is time for a new one."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from topics import limits

_CORRECTION_WEIGHT = 4.0  # a person's word
_AUDIT_WEIGHT = 2.0  # the reference's: students are judged by it
_REVIEW_WEIGHT = 1.5  # an agent's
_LESSON_WEIGHT = 1.0


class Lesson(NamedTuple):
    text: str
    label: str
    weight: float


class Lessons:
    """The newest lessons of each label, one a message. Where they are too many, the oldest of the most frequent label
    goes first, so that what is rare stays known."""

    def __init__(self, labels: Collection[str]) -> None:
        """`labels`: the stream's; lessons of others are passed over."""
        self._by_label: dict[str, dict[str, Lesson]] = {label: {} for label in labels}
        self._label_of: dict[str, str] = {}  # by message id, oldest first
        self._chars = 0

    def __len__(self) -> int:
        return len(self._label_of)

    @property
    def labels(self) -> int:
        """How many labels there are lessons of."""
        return sum(bool(known) for known in self._by_label.values())

    def lesson(self, id_: str, text: str, label: str) -> bool:
        """What a model said below the reference. These four: whether it is kept, and new."""
        return self._add(id_, Lesson(text, label, _LESSON_WEIGHT))

    def audit(self, id_: str, text: str, label: str) -> bool:
        """What the reference said."""
        return self._add(id_, Lesson(text, label, _AUDIT_WEIGHT))

    def review(self, id_: str, label: str) -> bool:
        """What an agent said of a message that is known here."""
        return self._amend(id_, label, _REVIEW_WEIGHT)

    def correction(self, id_: str, text: str | None, label: str) -> bool:
        """What a person said; without a text, of a message that is known here."""
        if text is None:
            return self._amend(id_, label, _CORRECTION_WEIGHT)
        return self._add(id_, Lesson(text, label, _CORRECTION_WEIGHT))

    def adopt(self, labels: Collection[str]) -> None:
        """Other labels from now on."""
        for label in self._by_label.keys() - set(labels):
            for id_ in list(self._by_label[label]):
                self._drop(id_)
            del self._by_label[label]
        for label in labels:
            self._by_label.setdefault(label, {})

    def all(self) -> Sequence[Lesson]:
        """The oldest first."""
        return [self._by_label[label][id_] for id_, label in self._label_of.items()]

    def _amend(self, id_: str, label: str, weight: float) -> bool:
        known = self._label_of.get(id_)
        return known is not None and self._add(id_, Lesson(self._by_label[known][id_].text, label, weight))

    def _add(self, id_: str, lesson: Lesson) -> bool:
        if lesson.label not in self._by_label:
            return False
        before = self._label_of.get(id_)
        if before is not None:
            known = self._by_label[before][id_]
            if known.weight > lesson.weight or known == lesson:
                return False
            self._drop(id_)
        lesson = lesson._replace(text=lesson.text[: limits.LESSON_CHARS_MAX])
        self._label_of[id_] = lesson.label
        self._by_label[lesson.label][id_] = lesson
        self._chars += len(lesson.text)
        while len(self._label_of) > limits.STUDENT_LESSONS_MAX or self._chars > limits.LESSONS_CHARS_MAX:
            crowd = max(self._by_label.values(), key=len)
            self._drop(next(iter(crowd)))
        return id_ in self._label_of

    def _drop(self, id_: str) -> None:
        lesson = self._by_label[self._label_of.pop(id_)].pop(id_)
        self._chars -= len(lesson.text)


class Course:
    """When a stream is taught anew: once there is as much to learn as its newest student learned from, since each
    version has to prove itself anew. Once as much is known as is kept at all, another learns no more than it did, only
    something newer: then no student ends the trial of the one before it, which takes a day however many labels come."""

    def __init__(self, taught: int = 0) -> None:
        """`taught`: labels that were known when the newest student was taught; 0 without one."""
        self.taught = taught
        self.new = 0  # since then
        self._not_before_s = 0.0

    @property
    def known(self) -> int:
        return self.taught + self.new

    def due(self, now_s: float, *, revoked: bool, on_trial: bool = False) -> bool:
        """`revoked`: what was certified is no longer, and what has come since may tell why. `on_trial`: the newest
        version may yet be certified."""
        wanted = limits.STUDENT_LESSONS_MIN
        if not revoked:
            wanted = max(wanted, min(self.taught, limits.STUDENT_LESSONS_MAX))
            if on_trial and self.taught >= limits.STUDENT_LESSONS_MAX:
                return False
        return self.new >= wanted and now_s >= self._not_before_s

    def begin(self, now_s: float) -> None:
        self._not_before_s = now_s + limits.STUDENT_INTERVAL_SECONDS

    def failed(self, now_s: float) -> None:
        """It is tried again later, and only then."""
        self._not_before_s = now_s + limits.STUDENT_RETRY_SECONDS

    def learned(self, labels: int) -> None:
        """A student was taught when so many labels were known."""
        self.new = self.known - labels
        self.taught = labels
