"""Runs a policy's own `[[tests]]` through triage, as records of their streams would go."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from processors.asking import Model
from processors.clock import Clock
from processors.errors import AnswerError
from processors.items import Item
from processors.memory import Memory
from processors.normalise.normaliser import Normaliser, normaliser_for
from processors.policy import Expect, Policy, PolicyTest
from processors.triage import Triage, Triaged
from topics.messages import Decision, Rejected
from topics.records import Headers

_TEXT_CHARS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test. `failures` say what was expected and what came."""

    stream: str
    text: str
    passed: bool
    failures: Sequence[str]
    decision: Decision | None  # None where the text could not be decided

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        if len(text) > _TEXT_CHARS_SHOWN:
            text = text[: _TEXT_CHARS_SHOWN - 1] + "…"
        lines = [f"{'passed' if self.passed else 'FAILED'} {self.stream}: {text}"]
        return "\n       ".join([*lines, *self.failures])


async def run(policy: Policy, model: Model, *, clock: Clock, rng: random.Random) -> list[Result]:
    """One result a test, in the policy's order. Tests of one stream share model calls, as messages do.

    Raises AccountError and ProviderUnavailable: without a model nothing is tested.
    """
    memory = Memory()  # of this run: an answer from before would hide a change
    triages = {
        name: Triage(name, policy.streams[name], policy, model, clock=clock, rng=rng, memory=memory)
        for name in {test.stream for test in policy.tests}
    }
    normalisers = {name: normaliser_for(name, policy.streams[name]) for name in triages}
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    _run(test, _record(policy, number, test, clock), normalisers[test.stream], triages[test.stream])
                )
                for number, test in enumerate(policy.tests)
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        for triage in triages.values():
            await triage.close()
    return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class _Written:
    """A test as the record that a producer would write."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Headers


def _record(policy: Policy, number: int, test: PolicyTest, clock: Clock) -> _Written:
    return _Written(
        topic=policy.streams[test.stream].topics[0],
        partition=0,
        offset=number,
        timestamp=round(clock.time() * 1000),
        key=f"test-{number}".encode(),  # each is a conversation of its own
        value=test.text.encode(),
        headers=[(name, value.encode()) for name, value in test.headers.items()],
    )


async def _run(test: PolicyTest, record: _Written, normaliser: Normaliser, triage: Triage) -> Result:
    read = normaliser.read(record)
    if isinstance(read, Rejected):
        return _result(test, None, [f"the text was rejected as {read.reason}: {read.detail}"])
    triaged = triage.free(read)
    if triaged is None:
        assert isinstance(read, Item), "what is ignored is free"
        try:
            triaged = await triage.ask(read)
        except AnswerError as error:
            return _result(test, None, [f"the model gave no valid answer: {error}"])
    return _result(test, triaged.decision, _failures(test.expect, triaged))


def _result(test: PolicyTest, decision: Decision | None, failures: Sequence[str]) -> Result:
    return Result(test.stream, test.text, not failures, failures, decision)


def _failures(expect: Expect, triaged: Triaged) -> Sequence[str]:
    decision = triaged.decision
    failures = []
    if expect.label is not None and decision.label != expect.label:
        sure = "" if decision.confidence is None else f" with confidence {decision.confidence:g}"
        failures.append(f"expected label '{expect.label}', got '{decision.label}'{sure}, by {decision.decided_by}")
    came = decision.escalated_to or "never"
    if expect.escalate is not None and came != expect.escalate:
        why = "" if triaged.escalation is None else f" ({triaged.escalation.detail})"
        failures.append(f"expected escalation '{expect.escalate}', got '{came}'{why}")
    for name, value in expect.fields.items():
        if name not in decision.fields or decision.fields[name] != value:
            failures.append(f"expected field {name} = {value!r}, got {decision.fields.get(name)!r}")
    return failures
