"""Triage of the demo's log stream with the answer to every sample line in memory: no model is ever asked."""

import random
from dataclasses import dataclass

from bench import messages
from local.demo import policy as demo_policy
from local.drive import Fed
from processors.asking import Answer, Ask
from processors.clock import SystemClock
from processors.items import Item
from processors.memory import Keys, Memory
from processors.normalise.normaliser import Normaliser, normaliser_for
from processors.triage import Triage
from streams.stages import TriageStage
from topics.catalog import Names
from topics.messages import Verdict

STREAM = "logs"
_VERDICT = Verdict(
    tier="memory",
    label="routine",
    severity=None,
    confidence=0.95,
    priority=10,
    fields={"service": "checkout", "cause": "other"},
    summary=None,
    model="gpt-5.4-nano",
)


class _Unasked:
    async def ask(self, ask: Ask) -> Answer:
        raise AssertionError(f"a memory hit asks no model, and this one was asked: {ask.input[:200]}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """Records that memory decides, and what decides them."""

    records: tuple[Fed, ...]
    normaliser: Normaliser
    triage: Triage

    def stage(self, names: Names, topic: str) -> TriageStage:
        """The whole triage stage, reading `topic`."""
        return TriageStage(names, {topic: (self.normaliser, self.triage, "none")}, SystemClock())


def remembered(bytes_each: int) -> Remembered:
    """Raw lines of that length; those that a rule of the policy decides are left out."""
    policy = demo_policy.load()
    stream = policy.streams[STREAM]
    memory = Memory()
    normaliser = normaliser_for(STREAM, stream)
    triage = Triage(
        STREAM, stream, policy, _Unasked(), clock=SystemClock(), rng=random.Random(messages.SEED), memory=memory
    )
    keys = Keys(STREAM, stream.version, policy.tiers.nano.model)
    records = []
    for offset, (host, line) in enumerate(messages.lines(bytes_each)):
        record = Fed(STREAM, 0, offset, messages.samples()[0].timestamp_ms, host, line)
        item = normaliser.read(record)
        if not isinstance(item, Item):
            continue
        memory.put(keys.key(item.tenant, item.memory_text), _VERDICT)
        triaged = triage.free(item)
        if triaged is not None and triaged.decision.decided_by == "memory":
            records.append(record)
    return Remembered(tuple(records), normaliser, triage)
