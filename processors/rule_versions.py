"""Versions of the two rules that answer below a reference: what is certified is of one version, and of no other."""

import hashlib
from collections.abc import Sequence

from processors.policy import Policy, Quality, Stream
from processors.prompt import Prompt
from topics.limits import BATCH_MESSAGES_MAX

FREE_RULE = 2
"""Raise it whenever normalising, templates and their signatures, near-duplicates or a student's features are changed so
that another answer may be proposed: what was certified before then proves itself anew."""

BATCH_RULE = 2
"""Raise it whenever another answer may come of a batch or of its votes."""


def batch_version(policy: Policy, name: str, stream: Stream, quality: Quality) -> str:
    """12 hex digits that change with the models whose answers are compared, and with how they are asked."""
    nano = policy.tiers.nano
    how = "decisions" if policy.providers[nano.provider].api == "decisions" else nano.confidence
    return _version_of(policy, name, stream, quality, (nano.model, how, str(BATCH_RULE)))


def free_version(policy: Policy, name: str, stream: Stream, quality: Quality) -> str:
    """As `batch_version`, of memory and students. They are no other with another nano, where only what is proven
    teaches memory."""
    if taught_by_proven(quality):
        return _version_of(policy, name, stream, quality, ("proven",))
    return batch_version(policy, name, stream, quality)


def taught_by_proven(quality: Quality) -> bool:
    """Whether memory learns from the reference and from what is certified alone, so that it need not forget what it
    knows where nano's model changes: another is to prove itself before anything is learnt from it."""
    return quality.reference in ("mini", "flagship") and quality.when_uncertified == "escalate"


def memory_of(policy: Policy, stream: Stream) -> str:
    """Whose answers the memory of a stream has; the answers of others are not taken for theirs."""
    quality = stream.quality
    if quality is None or not taught_by_proven(quality):
        return policy.tiers.nano.model
    return f"{quality.reference} {policy.tiers.of('mini' if quality.reference == 'mini' else 'flagship').model}"


def _version_of(policy: Policy, name: str, stream: Stream, quality: Quality, nano: Sequence[str]) -> str:
    reference = policy.tiers.of("nano" if quality.reference == "nano-single" else quality.reference).model
    asked = (*nano, reference, quality.reference, Prompt(name, stream).version, BATCH_MESSAGES_MAX)
    return hashlib.blake2b(repr(asked).encode(), digest_size=6).hexdigest()
