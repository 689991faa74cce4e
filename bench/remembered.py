"""Triage of a demo stream with the answer to every sample in memory: no model is ever asked."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
_LABELS = {"logs": "routine", "emails": "order", "dialogues": "service"}  # none of them climbs
_TIMES = 12  # that a raw line is written, each at another time by another process
_CLOCK = re.compile(rb"\d\d:\d\d:\d\d(?:[.,]\d+)?")
_PROCESS = re.compile(rb"(?<=\[)\d+(?=\]:)|(?<= )\d+(?= - \[)")


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
    """Raw log lines of that length; those that a rule of the policy decides are left out. No two are the same bytes:
    the same event comes again at another time and from another process."""
    timestamp_ms = messages.samples()[0].timestamp_ms
    lines = messages.lines(bytes_each)
    rng = random.Random(messages.SEED)
    once = [Fed(STREAM, 0, offset, timestamp_ms, host, line) for offset, (host, line) in enumerate(lines)]
    known = remember(STREAM, once)
    records: dict[bytes, Fed] = {}
    for _ in range(_TIMES):
        for record in known.records:
            again = _written_again(known.normaliser, record, rng)
            records[again.value or b""] = replace(again, offset=len(records))
    return replace(known, records=tuple(records.values()))


def remember(stream_name: str, given: Iterable[Fed]) -> Remembered:
    """Of the records those that memory decides once their answers are put there."""
    policy = demo_policy.load()
    stream = policy.streams[stream_name]
    memory = Memory()
    normaliser = normaliser_for(stream_name, stream)
    triage = Triage(
        stream_name, stream, policy, _Unasked(), clock=SystemClock(), rng=random.Random(messages.SEED), memory=memory
    )
    keys = Keys(stream_name, stream.version, policy.tiers.nano.model)
    verdict = Verdict(
        tier="memory",
        label=_LABELS[stream_name],
        severity=None,
        confidence=0.95,
        priority=10,
        fields={"service": "checkout", "cause": "other"} if stream_name == STREAM else {},
        summary=None,
        model=policy.tiers.nano.model,
    )
    records = []
    for record in given:
        item = normaliser.read(record)
        if isinstance(item, Item):
            memory.put(keys.key(item.tenant, item.memory_text), verdict)
            triaged = triage.free(item)
            if triaged is None or triaged.decision.decided_by != "memory":
                continue
        records.append(record)
    return Remembered(tuple(records), normaliser, triage)


def _written_again(normaliser: Normaliser, record: Fed, rng: random.Random) -> Fed:
    """The same event at another time, from another process where that is told apart from the event."""
    value = record.value or b""
    other = _CLOCK.sub(lambda clock: _digits(clock[0], rng), value, count=1)
    for written in (_PROCESS.sub(b"%d" % rng.randrange(2, 32_768), other, count=1), other):
        again = replace(record, value=written)
        if _memory_texts(normaliser, [again]) == _memory_texts(normaliser, [record]):
            return again
    raise AssertionError(f"the time of an event is part of its text: {value!r}")


def _memory_texts(normaliser: Normaliser, records: Sequence[Fed]) -> list[str | None]:
    return [item.memory_text if isinstance(item := normaliser.read(record), Item) else None for record in records]


def _digits(text: bytes, rng: random.Random) -> bytes:
    return bytes(rng.choice(b"0123456789") if chr(byte).isdigit() else byte for byte in text)
