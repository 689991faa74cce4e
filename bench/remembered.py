"""Triage of a demo stream with the answer to every sample in memory: no model is asked while it is measured."""

import asyncio
import random
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson

from bench import messages
from bench.peers.job import CALL_SECONDS
from local.demo import policy as demo_policy
from local.drive import Fed
from processors import answer_form
from processors.asking import Answer, Ask
from processors.clock import SystemClock
from processors.items import Item
from processors.memory import Keys, Memory
from processors.normalise.normaliser import Normaliser, normaliser_for
from processors.policy import Quality
from processors.quality.standing import Standing
from processors.triage import Triage
from streams.stages import TriageStage
from topics.catalog import Names
from topics.limits import TEMPLATE_ANSWERS_MIN
from topics.messages import Tokens, Verdict

STREAM = "logs"
_LABELS = {"logs": "routine", "emails": "order", "dialogues": "service"}  # none of them climbs
_TIMES = 12  # that a raw line is written, each at another time by another process
_CLOCK = re.compile(rb"\d\d:\d\d:\d\d(?:[.,]\d+)?")
_PARAMETER = re.compile(rb"(?<![\d:])\d{2,}(?![\d:])")  # numbers that are no time
_CONTROL = re.compile(r"Sluice check \d+: answer (\w+)")
_HEAD_BYTES = 40  # where a line has its date
_PROCESS = re.compile(rb"(?<=\[)\d+(?=\]:)|(?<= )\d+(?= - \[)")


class _Unasked:
    async def ask(self, ask: Ask) -> Answer:
        raise AssertionError(f"a memory hit asks no model, and this one was asked: {ask.input[:200]}")


class _Surely:
    """Answers every message with the same label, and controls as they want it."""

    def __init__(self, code: str) -> None:
        self._answer = f"{code}{answer_form.PERMILLE_MAX}"
        self.seconds = 0.0  # that a call takes

    async def ask(self, ask: Ask) -> Answer:
        answers = [
            key + control[1] if (control := _CONTROL.fullmatch(text)) else key + self._answer
            for key, text in orjson.loads(ask.input).items()
        ]
        text = orjson.dumps({"answers": [_object(answer) for answer in answers]}).decode()
        await asyncio.sleep(self.seconds)
        return Answer(
            text=text,
            model="none",
            # As a vendor bills them, about: how many messages travel together follows from it
            tokens=Tokens(input=len(ask.instructions + ask.input) // 4, cached=0, output=len(text) // 4),
            cost_usd_micros=0,
            call_id="",
            latency_ms=self.seconds * 1000,
            complete=True,
        )


def _object(answer: str) -> dict[str, object]:
    """As the demo's logs are answered: they have fields."""
    return {"verdict": answer, "fields": []}


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


async def recalled(bytes_each: int) -> Remembered:
    """Raw log lines of that length that template memory decides, of a stream that promises a quality: no text comes
    twice, its numbers differ. The certificate is handed to the stage; coins are tossed, and all spare an audit."""
    policy = demo_policy.load()
    quality = Quality(reference="nano-single", max_disagreement=0.02)
    stream = policy.streams[STREAM].model_copy(update={"quality": quality})
    policy = policy.model_copy(update={"streams": {STREAM: stream}})
    model = _Surely(answer_form.label_codes(stream.labels)[_LABELS[STREAM]])
    rng = random.Random(messages.SEED)
    normaliser = normaliser_for(STREAM, stream)
    triage = Triage(
        STREAM, stream, policy, model, clock=SystemClock(), rng=random.Random(messages.SEED), memory=Memory()
    )
    assert triage.referee is not None, "the stream promises a quality"
    timestamp_ms = int(time.time() * 1000)  # as the broker stamps what it is measured with: memory forgets what is old
    lines = enumerate(messages.lines(bytes_each))
    once = [Fed(STREAM, 0, offset, timestamp_ms, host, line) for offset, (host, line) in lines]
    versions: set[str] = set()  # of memory, as the audits name it
    for _ in range(TEMPLATE_ANSWERS_MIN + 1):
        read = [normaliser.read(_with_other_numbers(record, rng)) for record in once]
        asked = [triage.ask(item) for item in read if isinstance(item, Item)]
        for audit in (triaged.audit for triaged in await asyncio.gather(*asked)):
            versions |= {shadow.version for shadow in audit.shadows if shadow.rule == "free"} if audit else set()
    (version,) = versions
    triage.referee.adopt(Standing(free_version=version, free_score_min=0.5, audit_probability=0.0))
    records: dict[str, Fed] = {}  # by the text that exact memory would know
    for record in (_with_other_numbers(record, rng) for record in once for _ in range(_TIMES)):
        item = normaliser.read(record)
        triaged = triage.free(item) if isinstance(item, Item) else None
        if isinstance(item, Item) and triaged is not None and triaged.decision.decided_by == "memory":
            records.setdefault(item.memory_text, replace(record, offset=len(records)))
    model.seconds = CALL_SECONDS  # whoever looks at what is answered asks it
    return Remembered(tuple(records.values()), normaliser, triage)


def _with_other_numbers(record: Fed, rng: random.Random) -> Fed:
    value = record.value or b""
    head, rest = value[:_HEAD_BYTES], value[_HEAD_BYTES:]
    return replace(record, value=head + _PARAMETER.sub(lambda number: _digits(number[0], rng), rest))


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
