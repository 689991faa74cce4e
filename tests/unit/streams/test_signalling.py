"""What the stages write on `signals`: with each decision that counts, and one for many where they go out together."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest

from local.drive import Fed
from processors.items import Item
from processors.memory import Keys, Memory
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy
from processors.signals import Signals
from processors.triage import Triage
from streams.engine.stage import Later, Outputs
from streams.stages import AgentStage, TriageStage
from tests.fakes import FakeNano, ManualClock
from tests.unit.alerts.test_signals import escalation, resolution, verdict
from tests.unit.triage.build import LABELS, stream
from topics import codec
from topics.catalog import Names
from topics.messages import Escalation, Lesson, Resolution, Signal, Verdict
from topics.records import Out

NOW_S = 1_800_000_000
ALERT = LABELS["alert"] | {"escalate": "never"}


class Pipeline:
    """Triage's stage over one stream of logs, whose label `alert` has a severity and climbs nowhere."""

    def __init__(self, order: Literal["none", "key"] = "none", **alerts: Any) -> None:
        self.clock = ManualClock(NOW_S)
        self.spec = stream(
            labels=LABELS | {"alert": ALERT},
            fields={"service": {}},
            alerts={"group_by": ["service"]} | alerts,
        )
        self.policy = Policy(streams={"logs": self.spec})
        self.memory = Memory()
        self.normaliser = normaliser_for("logs", self.spec)
        self.nano = FakeNano(lambda _: {"label": "alert", "fields": {"service": "pay"}})
        self.triage = Triage(
            "logs", self.spec, self.policy, self.nano, clock=self.clock, rng=random.Random(1), memory=self.memory
        )
        self.stage = TriageStage(Names(), {"in": (self.normaliser, self.triage, order)}, self.clock)

    def remember(self, line: str, label: str = "alert", service: str = "pay") -> None:
        item = self.normaliser.read(fed(line))
        assert isinstance(item, Item)
        keys = Keys("logs", self.spec.version, self.policy.tiers.nano.model)
        severity = self.spec.labels[label].severity
        self.memory.put(
            keys.key(item.tenant, item.memory_text),
            Verdict(
                tier="memory",
                label=label,
                severity=severity,
                confidence=0.9,
                priority=9,
                fields={"service": service},
                summary=None,
                model="m",
            ),
        )

    def take(self, *records: Fed) -> Sequence[Outputs | Later]:
        return self.stage.take(records)


def fed(line: str, offset: int = 0, *, seconds: float = 0, key: bytes | None = None, **more: Any) -> Fed:
    return Fed("in", 0, offset, round((NOW_S - 100 + seconds) * 1000), key, line.encode(), **more)


def outs(result: Outputs | Later) -> Sequence[Out]:
    assert isinstance(result, tuple), result
    return result


def signals(result: Outputs | Later) -> list[Signal]:
    found = [out for out in outs(result) if out.topic == "sluice.signals"]
    decoded = [codec.decode(Signal, out.value or b"") for out in found]
    assert [out.key for out in found] == [signal.fingerprint.encode() for signal in decoded]
    return decoded


def counts(results: Sequence[Outputs | Later]) -> list[list[int]]:
    return [[signal.count for signal in signals(result)] for result in results]


@pytest.fixture
def known() -> Pipeline:
    """It has decided three lines before: two count toward different alerts, one toward none."""
    pipeline = Pipeline()
    pipeline.remember("disk full")
    pipeline.remember("card refused", service="cards")
    pipeline.remember("job done", label="routine")
    pipeline.take(fed("disk full"), fed("card refused"), fed("job done"))
    return pipeline


def test_what_is_decided_again_in_one_second_is_one_signal_with_the_last_of_them(known: Pipeline) -> None:
    lines = ["disk full", "disk full", "card refused", "job done", "disk full", "card refused"]
    results = known.take(*(fed(line, offset, seconds=offset / 10) for offset, line in enumerate(lines)))
    assert counts(results) == [[], [], [], [], [3], [2]]
    (signal,) = signals(results[4])
    assert (signal.id, signal.at_ms, signal.labels["service"]) == ("in/0/4", (NOW_S - 100) * 1000 + 400, "pay")
    assert known.nano.asks == []


def test_other_seconds_are_other_signals(known: Pipeline) -> None:
    results = known.take(*(fed("disk full", offset, seconds=offset / 2) for offset in range(5)))
    assert counts(results) == [[], [2], [], [2], [1]]


def test_a_clock_that_is_ahead_counts_now(known: Pipeline) -> None:
    (result,) = known.take(fed("disk full", seconds=10_000))
    assert signals(result)[0].at_ms == NOW_S * 1000


def test_where_keys_keep_their_order_each_decision_has_its_own_signal() -> None:
    pipeline = Pipeline("key")
    pipeline.remember("disk full")
    pipeline.take(fed("disk full"))
    assert counts(pipeline.take(*(fed("disk full", offset) for offset in range(3)))) == [[1], [1], [1]]


def test_a_signal_says_what_it_is_in_its_headers(known: Pipeline) -> None:
    (result,) = known.take(fed("disk full", 5, headers=(("traceparent", b"00-1"),)))
    headers = dict(outs(result)[1].headers)
    assert headers["ce_type"] == b"sluice.signal.v1"
    assert (headers["ce_id"], headers["ce_source"]) == (b"in/0/5#signal.decided", b"/sluice/triage")
    assert headers["traceparent"] == b"00-1"


async def test_what_a_model_decides_counts_too() -> None:
    pipeline = Pipeline()
    (later,) = pipeline.take(fed("never seen"))
    assert callable(later)
    asking = asyncio.ensure_future(later())
    await pipeline.clock.advance(2.0)  # the batch's linger
    assert counts([await asking]) == [[1]]
    await pipeline.triage.close()


def test_every_way_of_cutting_into_batches_counts_the_same(known: Pipeline) -> None:
    rng = random.Random(3)
    records = [fed(rng.choice(["disk full", "card refused", "job done"]), n, seconds=n / 7) for n in range(60)]
    for size in (1, 7, 60):
        told: Counter[str] = Counter()
        for at in range(0, 60, size):
            for result in known.take(*records[at : at + size]):
                told += Counter({signal.labels["service"]: signal.count for signal in signals(result)})
        assert told == {
            "pay": sum(record.value == b"disk full" for record in records),
            "cards": sum(record.value == b"card refused" for record in records),
        }


def test_lines_of_a_template_are_told_whatever_their_label_with_a_record_that_is_ready() -> None:
    pipeline = Pipeline(burst_at=100)
    pipeline.remember("job 1 done", label="routine")
    for number in range(2, 9):
        pipeline.remember(f"job {number} done", label="routine")
    first = pipeline.take(*(fed(f"job {1 + n % 8} done", n) for n in range(20)))
    assert counts(first) == [[]] * 20
    later, told, waiting = pipeline.take(
        fed("never seen", 20, seconds=1), fed("job 1 done", 21, seconds=1), fed("never seen", 22, seconds=1)
    )
    assert callable(later)
    assert callable(waiting)
    (signal,) = signals(told)
    assert (signal.says, signal.count, signal.labels["template"]) == ("lines", 20, "job <*> done")


def test_lines_that_are_read_again_after_a_failure_are_not_told_twice() -> None:
    pipeline = Pipeline(burst_at=100)
    pipeline.remember("job 1 done", label="routine")
    for _ in range(2):
        pipeline.take(*(fed("job 1 done", n) for n in range(10)))
        pipeline.stage.forget("in", 0)
    assert counts(pipeline.take(fed("job 1 done", 10, seconds=1), fed("job 1 done", 11, seconds=2))) == [[], []]


class OneAnswer:
    """A resolver that ends every escalation alike."""

    def __init__(self, answer: Resolution | Escalation) -> None:
        self._answer = answer

    async def resolve(self, _: Escalation, __: bytes | None = None) -> Resolution | Escalation:
        return self._answer


CLIMBING = escalation("flagship", verdict("nano"), verdict("mini"))


@pytest.mark.parametrize(
    ("tier", "taken", "answer", "topic"),
    [
        ("mini", escalation("mini", verdict("nano")), CLIMBING, "sluice.escalations.flagship"),
        ("flagship", CLIMBING, resolution(), "sluice.resolutions"),
    ],
)
async def test_an_agents_word_goes_out_with_what_it_writes(
    tier: Literal["mini", "flagship"], taken: Escalation, answer: Resolution | Escalation, topic: str
) -> None:
    resolver: Any = OneAnswer(answer)
    stage = AgentStage(Names(), tier, resolver, {"logs": Signals("logs", stream().alerts)}, (), ManualClock(NOW_S))
    (later,) = stage.take([Fed("e", 0, 0, 0, b"k", codec.encode(taken))])
    assert callable(later)
    result = await later()
    assert isinstance(result, tuple)
    assert [out.topic for out in result] == [topic, "sluice.signals"]
    (signal,) = signals(result)
    assert (signal.tier, signal.says, signal.labels["alertname"]) == (tier, "reviewed", "outage")


@pytest.mark.parametrize(
    ("taught", "status", "lessons"), [(("logs",), "resolved", 1), ((), "resolved", 0), (("logs",), "bounded", 0)]
)
async def test_an_agents_label_is_a_lesson_where_there_are_students_and_it_came_to_its_own_end(
    taught: Sequence[str], status: Literal["resolved", "bounded"], lessons: int
) -> None:
    ended = replace(resolution(), status=status)
    resolver: Any = OneAnswer(ended)
    spoken = {"logs": Signals("logs", stream().alerts)}
    stage = AgentStage(Names(), "flagship", resolver, spoken, taught, ManualClock(NOW_S))
    (later,) = stage.take([Fed("e", 0, 0, 0, b"k", codec.encode(CLIMBING))])
    assert callable(later)
    written = [out for out in outs(await later()) if out.topic == "sluice.lessons"]
    assert len(written) == lessons
    for out in written:
        lesson = codec.decode(Lesson, out.value or b"")
        assert (lesson.id, lesson.label, lesson.tier, lesson.text) == (ended.id, ended.label, "flagship", "")
        assert dict(out.headers)["ce_id"] == f"{ended.id}#lesson.flagship".encode(), "triage has told one of it, too"
