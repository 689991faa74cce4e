"""Triage's stage: what is decided again is what was decided first, and one record's failure is its own."""

import asyncio
import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from local.demo import policy as demo_policy
from local.drive import Fed
from local.samples import Sample, generate
from processors.asking import Answer, Ask
from processors.errors import AnswerLater, BudgetSpent
from processors.items import Ignored, Item
from processors.memory import Keys, Memory
from processors.metrics import DECIDED, DECISION_SECONDS
from processors.normalise.log import LogNormaliser
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy, Rule
from processors.triage import Triage
from streams.engine.stage import Later, Outputs
from streams.stages import TriageStage
from tests.fakes import FakeNano, ManualClock
from topics import codec
from topics.catalog import Names
from topics.limits import PARK_SECONDS_MAX
from topics.messages import Decision, Parked, Rejected, Verdict
from topics.records import Out, Record

LINE = "<14>Nov 17 09:28:07 web-1 app[14743]: job 12 done"
AGAIN = "<14>Nov 18 10:00:59 web-1 app[300]: job 12 done"


@functools.cache
def policy() -> Policy:
    return demo_policy.load()


def verdict(label: str, **more: Any) -> Verdict:
    values = {"severity": None, "confidence": 0.9, "priority": 20, "fields": {"a": "b"}, "summary": "s", "model": "m"}
    return Verdict(tier="memory", label=label, **values | more)


class Pipeline:
    """The stage over one stream of the demo's policy; `remember` puts an answer into memory."""

    def __init__(self, stream: str = "logs", memory: Memory | None = None) -> None:
        spec = policy().streams[stream]
        self.memory = Memory() if memory is None else memory
        self.clock = ManualClock()
        self.normaliser = normaliser_for(stream, spec)
        self.keys = Keys(stream, spec.version, policy().tiers.nano.model)
        self.triage = Triage(
            stream, spec, policy(), FakeNano(), clock=self.clock, rng=random.Random(1), memory=self.memory
        )
        self.stage = TriageStage(Names(), {"in": (self.normaliser, self.triage, "none")}, self.clock)

    def remember(self, record: Fed, answer: Verdict) -> None:
        item = self.normaliser.read(record)
        assert isinstance(item, Item)
        self.memory.put(self.keys.key(item.tenant, item.memory_text), answer)

    def take(self, *records: Fed) -> Sequence[Outputs | Later]:
        return self.stage.take(records)

    def decision(self, record: Fed) -> Decision:
        return decision(self.take(record)[0])


class SpentNano:
    """Has no money, and what waits for it is to be parked."""

    async def ask(self, _: Ask) -> Answer:
        raise BudgetSpent("spent", retry_after_s=1_800, when_spent="park")


def fed(line: str | bytes | None, offset: int = 0, **more: Any) -> Fed:
    value = line.encode() if isinstance(line, str) else line
    return Fed("in", more.pop("partition", 0), offset, 1_700_000_000_000, more.pop("key", b"web-1"), value, **more)


def outs(result: Outputs | Later) -> Sequence[Out]:
    assert isinstance(result, tuple), result
    return result


def decision(result: Outputs | Later) -> Decision:
    value = outs(result)[0].value
    assert value is not None
    return codec.decode(Decision, value)


@pytest.fixture
def known() -> Pipeline:
    """It has decided LINE already."""
    pipeline = Pipeline()
    pipeline.remember(fed(LINE), verdict("routine"))
    pipeline.decision(fed(LINE))
    return pipeline


def test_a_line_known_by_its_event_is_decided_as_if_it_were_the_first(known: Pipeline) -> None:
    first = Pipeline()
    first.remember(fed(LINE), verdict("routine"))
    record = fed(AGAIN, 77, key=b'"\xff', headers=(("traceparent", b"00-1"), ("tenant", b"")))
    (expected,), (given,) = outs(first.take(record)[0]), outs(known.take(record)[0])
    assert given == expected
    assert isinstance(given, Out)
    assert orjson.loads(given.value or b"")["decided_by"] == "memory"


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(generate(7))


@pytest.mark.parametrize("stream", ["logs", "emails", "dialogues"])
def test_every_sample_is_decided_again_as_it_was_decided_first(
    stream: str, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an answer to every text in memory: of some the label climbs, for some a rule holds, some are ignored."""
    of_stream = [sample for sample in samples if sample.stream == stream][:200]
    records = [Fed("in", 0, at, s.timestamp_ms, s.key, s.value, s.headers) for at, s in enumerate(of_stream)]
    pipeline = Pipeline(stream)
    labels = list(policy().streams[stream].labels)
    for record in records:
        item = pipeline.normaliser.read(record)
        if isinstance(item, Item):
            label = labels[sum(item.memory_text.encode(errors="replace")) % len(labels)]
            pipeline.memory.put(pipeline.keys.key(item.tenant, item.memory_text), verdict(label))
    pipeline.stage.forget("in", 0)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.triage, "recogniser", lambda: lambda *_: None)
        first = pipeline.take(*records)
    pipeline.stage.forget("in", 0)
    free = Counting(pipeline.triage.free)
    monkeypatch.setattr(pipeline.triage, "free", free)
    again = pipeline.take(*records)
    for one, other in zip(first, again, strict=True):
        assert one == other or (callable(one) and callable(other))
    assert free.calls == sum(callable(one) or (isinstance(one, tuple) and len(one) > 1) for one in again)
    assert free.calls < len(records)


class Counting:
    def __init__(self, call: Callable[[Any], Any]) -> None:
        self.calls = 0
        self._call = call

    def __call__(self, given: Any) -> Any:
        self.calls += 1
        return self._call(given)


def test_what_memory_has_forgotten_or_learnt_anew_is_not_given_again(known: Pipeline) -> None:
    known.remember(fed(LINE), verdict("warning"))
    assert known.decision(fed(AGAIN)).label == "warning"
    assert known.decision(fed(AGAIN)).label == "warning"
    small = Pipeline(memory=Memory(1))
    small.remember(fed(LINE), verdict("routine"))
    assert small.decision(fed(AGAIN)).label == small.decision(fed(LINE)).label == "routine"
    small.remember(fed("another line"), verdict("routine"))
    assert callable(small.take(fed(AGAIN))[0])


def test_a_hit_keeps_its_answer_in_memory() -> None:
    pipeline = Pipeline(memory=Memory(2))
    pipeline.remember(fed(LINE), verdict("routine"))
    for number in range(5):
        assert pipeline.decision(fed(AGAIN)).label == "routine"
        pipeline.remember(fed(f"line number {number}"), verdict("routine"))
    assert pipeline.decision(fed(AGAIN)).label == "routine"


def test_another_tenant_another_text_and_another_severity_are_another_message(known: Pipeline) -> None:
    others = [
        fed(AGAIN, headers=(("tenant", b"umbrella"),)),
        fed(AGAIN.replace("job 12", "job 13")),
        fed(AGAIN.replace("<14>", "<12>")),
    ]
    assert [callable(result) for result in known.take(*others)] == [True, True, True]


def test_what_climbs_climbs_every_time(known: Pipeline) -> None:
    known.remember(fed("no space left on device here"), verdict("outage"))
    asked = fed(AGAIN, headers=(("sluice-escalate", b"flagship"),))
    for _ in range(2):
        for record in (fed("no space left on device here"), asked):
            topics = [out.topic for out in outs(known.take(record)[0])]
            assert len(topics) == 2
            assert topics[1].startswith("sluice.escalations.")


def test_a_rule_that_looks_at_digits_is_asked_each_time() -> None:
    pipeline = Pipeline()
    line = '10.0.0.1 - - [17/Nov/2026:09:02:52 +0000] "GET /healthz HTTP/1.1" {} 162 "-" "probe"'
    for status in (503, 200, 503, 200):
        result = pipeline.take(fed(line.format(status)))[0]
        assert callable(result) is (status == 503)
    assert decision(result).decided_by == "rule"


def test_tombstones_are_ignored_each_with_its_own_coordinates(known: Pipeline) -> None:
    results = known.take(*(fed(None, offset, partition=offset % 2) for offset in range(4)))
    decisions = [decision(result) for result in results]
    assert [(d.label, d.id) for d in decisions] == [("ignored", f"in/{n % 2}/{n}") for n in range(4)]


def test_what_is_given_again_is_counted_and_timed(known: Pipeline) -> None:
    child = DECIDED.labels("logs", "memory", "routine")
    seconds = DECISION_SECONDS.labels("logs")
    before, timed = child._value.get(), sum(bucket.get() for bucket in seconds._buckets)
    known.take(*(fed(AGAIN, offset) for offset in range(7)))
    assert child._value.get() - before == 7
    assert sum(bucket.get() for bucket in seconds._buckets) - timed == 7


class Tripping(LogNormaliser):
    """Fails on some records, and notes what it reads."""

    def __init__(self) -> None:
        super().__init__("logs", policy().streams["logs"])
        self.read_offsets: list[int] = []

    def glimpse(self, record: Record) -> None:
        pass

    def read(self, record: Record) -> Item | Ignored | Rejected:
        self.read_offsets.append(record.offset)
        if record.value == b"trip":
            raise RuntimeError("tripped")
        return super().read(record)


def test_one_records_failure_is_its_own_and_no_other_is_read_twice(known: Pipeline) -> None:
    tripping = Tripping()
    stage = TriageStage(Names(), {"in": (tripping, known.triage, "none")}, known.clock)
    first, failed, last = stage.take([fed(AGAIN, 1), fed("trip", 2), fed(LINE, 3)])
    assert isinstance(failed, Rejected)
    assert (failed.reason, failed.detail) == ("internal", "RuntimeError: tripped")
    assert [decision(result).id for result in (first, last)] == ["in/0/1", "in/0/3"]
    assert tripping.read_offsets == [1, 2, 3]


def test_a_pattern_that_finds_no_end_rejects_its_message_alone(known: Pipeline) -> None:
    spec = policy().streams["logs"]
    endless = Rule.model_validate({"name": "endless", "when": {"text": "(b+)+$"}, "then": {"label": "outage"}})
    triage = Triage(
        "logs",
        spec.model_copy(update={"rules": (endless, *spec.rules)}),
        policy(),
        FakeNano(),
        clock=known.clock,
        rng=random.Random(1),
        memory=known.memory,
    )
    stage = TriageStage(Names(), {"in": (known.normaliser, triage, "none")}, known.clock)
    results = stage.take([fed("trip the abb", 1), fed("b" * 2_000 + "!", 2), fed("it ends with b", 3)])
    assert [type(result) is Rejected for result in results] == [False, True, False]
    assert isinstance(results[1], Rejected)
    assert results[1].reason == "internal"
    assert results[1].detail.startswith("PatternTooSlow: '(b+)+$' was searched for 0.1 s in one message")
    assert [decision(result).decided_by for result in (results[0], results[2])] == ["rule", "rule"]


async def test_with_a_spent_budget_that_parks_what_needs_a_model_is_parked_and_the_rest_decided() -> None:
    spec = policy().streams["logs"]
    pipeline = Pipeline()
    normaliser = normaliser_for("logs", spec)
    triage = Triage(
        "logs", spec, policy(), SpentNano(), clock=pipeline.clock, rng=random.Random(1), memory=pipeline.memory
    )
    stage = TriageStage(Names(), {"in": (normaliser, triage, "none")}, pipeline.clock)
    remembered, asked = fed(LINE), fed("<14>Nov 17 09:28:07 web-1 app[1]: never seen")
    pipeline.remember(remembered, verdict("routine"))
    decided, later = stage.take([remembered, asked])
    assert not callable(decided)
    assert not isinstance(decided, Rejected)
    assert callable(later)
    began = pipeline.clock.time()
    asking = asyncio.ensure_future(later())
    await pipeline.clock.advance(2.0)  # the batch's linger
    parked = await asking
    assert isinstance(parked, Parked)
    assert began + 1_800 <= parked.until_ms / 1000 <= began + 1_802
    await triage.close()


@pytest.mark.parametrize(
    ("told", "parked_s"),
    [
        (AnswerLater(90.0), 90.0),
        (BudgetSpent("spent", retry_after_s=80_000, when_spent="park"), PARK_SECONDS_MAX),
    ],
)
async def test_what_waits_is_parked_for_an_hour_at_most(
    monkeypatch: pytest.MonkeyPatch, told: Exception, parked_s: float
) -> None:
    """What is parked behind it may be due before."""
    pipeline = Pipeline()

    async def ask(_: Item) -> None:
        raise told

    monkeypatch.setattr(pipeline.triage, "ask", ask)
    (later,) = pipeline.stage.take([fed("<14>Nov 17 09:28:07 web-1 app[1]: never seen")])
    assert callable(later)
    assert await later() == Parked(round((pipeline.clock.time() + parked_s) * 1000), str(told))


async def test_what_keeps_its_order_is_never_parked_but_waits() -> None:
    spec = policy().streams["logs"].model_copy(update={"order": "key"})
    pipeline = Pipeline()
    triage = Triage(
        "logs", spec, policy(), SpentNano(), clock=pipeline.clock, rng=random.Random(1), memory=pipeline.memory
    )
    stage = TriageStage(Names(), {"in": (normaliser_for("logs", spec), triage, "key")}, pipeline.clock)
    (later,) = stage.take([fed("<14>Nov 17 09:28:07 web-1 app[1]: never seen")])
    assert callable(later)
    asking = asyncio.ensure_future(later())
    await pipeline.clock.advance(2.0)
    with pytest.raises(BudgetSpent):
        await asking
    await triage.close()


async def test_a_parked_record_of_a_topic_that_no_stream_reads_any_more_is_a_dead_letter_and_says_so() -> None:
    record = Fed("gone", 0, 3, 0, None, b"a line")
    (rejected,) = Pipeline().stage.take([record])
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, "'gone'" in rejected.detail) == ("policy", True)
