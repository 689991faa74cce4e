"""The seam between whoever needs a model's answer and the gateway that gets it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from topics.messages import Lane, Tier, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """An ask about labels alone, for APIs whose models choose and do not write: each text has one of the labels."""

    instructions: str  # those of the ask, without the form in which an answer is written
    keys: Sequence[str]  # of the texts in the input, in their order
    codes: Sequence[str]  # of the labels, whose meanings are in the instructions
    control: str | None = None  # the key whose text asks for a code and three digits (processors/controls.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question with a strict schema for its answer. The provider's API is not visible here."""

    tier: Tier
    stream: str
    tenant: str
    purpose: str  # for the spend record: "triage", "triage-single", "mini-agent", …
    instructions: str  # the stable prefix: the same for every call of a stream, so that the provider caches it
    input: str  # the changing part, after the prefix
    schema_name: str
    schema: Mapping[str, Any]  # JSON Schema, strict: every field required, no others
    max_output_tokens: int
    choices: Choices | None = None  # the same as a choice, where labels are all that is asked for
    messages: int = 1  # how many messages it is about, for the spend record
    cache_key: str | None = None
    deadline_s: float | None = None  # from now until the answer is of use; None: now
    key: str | None = None  # with the request's own text: the same ask again has the same, so that it is paid once
    about: Mapping[str, str] = field(default_factory=dict)
    """Message id → what the caller has to know to read its part of the answer, as the item's id in the prompt. The
    batch lane finds the answer again by any of these ids, and gives all of this back with it, in this order."""
    note: str = ""  # as much of what else is needed to read the answer; given back with it, at most 512 characters
    model: str | None = None  # in the place of the tier's, at its server; `ask` alone takes it. None: the tier's


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The text that came back, and what it cost. The text is not yet checked against the schema."""

    text: str
    model: str
    tokens: Tokens
    cost_usd_micros: int
    call_id: str
    latency_ms: float
    complete: bool  # False: cut at max_output_tokens
    lane: Lane = "realtime"  # that was billed
    about: Mapping[str, str] = field(default_factory=dict)  # of the ask that it answers
    note: str = ""  # of the same
    sure: Mapping[str, float] = field(default_factory=dict)
    """Key of a text → the probability of its label, where the provider gives one: from 0 to 1, not calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An ask that is in the batch lane and has no answer yet."""

    custom_id: str
    again_s: float  # from now, when to look again


class Jobs(Protocol):
    """Called by triage for what may wait for hours. Safe to call concurrently."""

    def lane(self, tier: Tier, deadline_s: float | None) -> Lane:
        """The cheapest that meets the deadline, seconds from now, of those that the tier's server has."""
        ...

    async def submit(self, ask: Ask) -> Waiting | None:
        """Puts an ask into the batch lane, unless it or something that it is about is there. None where it has to be
        asked by another lane. Raises AccountError or RequestRefused."""
        ...

    async def collect(
        self, tier: Tier, stream: str, name: str, *, deadline_s: float = math.inf
    ) -> Answer | Waiting | None:
        """What became of an ask that is about `name`. None where nobody works at it, or the answer cannot be waited
        for until the deadline. Raises AnswerRefused where that is the answer, and as `Model.ask` where the provider
        cannot be asked."""
        ...


class Model(Protocol):
    """Called by triage for every batch. Safe to call concurrently."""

    async def ask(self, ask: Ask) -> Answer:
        """Raises AccountError, ProviderUnavailable, AnswerRefused or RequestRefused (processors.errors).

        Cancelling it abandons the call: what the provider already did is settled as spent.
        """
        ...
