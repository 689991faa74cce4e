"""What of a stream may be answered below its reference: all that triage has to know of the audits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from processors.policy import Quality


@dataclass(frozen=True, slots=True)
class OtherBatches:
    """Nano in batches by another version than the one that a standing names first."""

    version: str
    certified: bool
    size_max: int | None  # as `Standing.batch_size_max`
    certified_ms: int | None = None  # as `Standing.batch_certified_ms`


@dataclass(frozen=True, slots=True)
class Standing:
    """As the audits so far have it. It changes only by audits that are published, so every answer's rule was fixed
    before its own audit."""

    free_version: str | None = None  # of memory and student, certified; None: none is
    free_score_min: float = 1.0  # that version answers from this score on
    batch_certified: bool = False  # nano with many messages a call may stand for the reference
    audit_probability: float = 1.0  # of an answer below the reference
    untried_probability: float = 1.0  # what it would be if nothing were on trial
    candidate: str | None = None  # the newest frozen version, which answers in shadow
    expires_at_ms: int | None = None  # certificates end where audits stop
    batch_version: str | None = None  # that is certified: of the models and of how they are asked
    batch_given_up: tuple[str, ...] = ()  # versions that cannot be proven any more: no shadow is worth its price
    batch_size_max: int | None = None  # messages in one call, as far as audits of that version go; None: no objection
    batch_others: tuple[OtherBatches, ...] = ()  # certified too, or on trial; a worker answers by its own versions only
    candidate_model: str | None = None
    """The model that an operator wants in nano's place: workers ask it in shadow, and answer by it once that is
    certified. None: the policy's alone."""
    batch_certified_ms: int | None = None  # since when `batch_version` is; None in records of releases before
    temperature: float = 1.0  # of nano's stated confidences (calibration.py)
    off: bool = False  # an operator wants nothing below the reference to answer, not as unproven either
    coin: str = field(default="", repr=False)
    """The stream's secret, in hex, by which workers toss for audits; "": each by its own. Never in a report."""

    @property
    def certified_batches(self) -> Mapping[str, int | None]:
        """The versions of nano's batches that are certified, and since when, in epoch milliseconds."""
        found = {other.version: other.certified_ms for other in self.batch_others if other.certified}
        if self.batch_certified and self.batch_version is not None:
            found[self.batch_version] = self.batch_certified_ms
        return found


UNPROVEN = Standing()


def claim_of(quality: Quality) -> str:
    """What a certificate is earned under besides a policy version: reference, ε and confidence, as "mini 0.02 0.95"."""
    return f"{quality.reference} {quality.max_disagreement!r} {quality.confidence!r}"
