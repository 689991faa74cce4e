"""What of a stream may be answered below its reference: all that triage has to know of the audits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """As the audits so far have it. It changes only by audits that are published, so every answer's rule was fixed
    before its own audit."""

    free_version: str | None = None  # of memory and student, certified; None: none is
    free_score_min: float = 1.0  # that version answers from this score on
    batch_certified: bool = False  # nano with many messages a call may stand for the reference
    audit_probability: float = 1.0  # of an answer below the reference
    candidate: str | None = None  # the newest frozen version, which answers in shadow
    expires_at_ms: int | None = None  # certificates end where audits stop
    batch_version: str | None = None  # that is certified: of the models and of how they are asked
    batch_given_up: str | None = (
        None  # the version whose batches cannot be proven any more: no shadow is worth its price
    )
    off: bool = False  # an operator wants nothing below the reference to answer, not as unproven either


UNPROVEN = Standing()
