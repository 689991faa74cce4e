"""Sessions inside triage's stage: one question a session, one Decision a line, and one word about the whole."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
import pytest

from local.drive import Fed
from processors.items import Item
from processors.memory import Memory
from processors.metrics import DECIDED
from processors.normalise.normaliser import normaliser_for
from processors.policy import Policy, Stream
from processors.triage import Triage
from streams.engine.stage import Gathering, Later, Outputs, Together
from streams.stages import TriageStage
from tests.fakes import FakeNano, ManualClock
from tests.unit.sessions.build import line, spec, stream
from topics import limits
from topics.catalog import Names
from topics.messages import Rejected
from topics.records import Out

Result = Outputs | Later | Gathering


def anomalous(text: str) -> dict[str, Any]:
    """What the fake nano says: a session with a line that speaks of a loss is an anomaly."""
    return {"label": "anomaly" if "lost" in text else "normal"}


class Sluice:
    """The stage, and of each Gathering what an engine would make of it."""

    def __init__(self, by: Stream | None = None, judge: Callable[[str], dict[str, Any]] = anomalous) -> None:
        streams = {"hdfs": stream() if by is None else by}
        self.clock, self.nano = ManualClock(), FakeNano(judge)
        policy = Policy(streams=streams)
        self.triage = Triage(
            "hdfs",
            streams["hdfs"],
            policy,
            self.nano,
            clock=self.clock,
            rng=random.Random(1),
            memory=Memory(),
        )
        normaliser = normaliser_for("hdfs", streams["hdfs"])
        self.stage = TriageStage(Names(), {"in": (normaliser, self.triage, "none")}, self.clock)
        self.closed: list[Gathering] = []

    def take(self, *records: Fed) -> Sequence[Result]:
        results = self.stage.take(records)
        for record, result in zip(records, results, strict=True):
            if isinstance(result, Gathering):
                result.join(record, self.closed.append)
        return results

    async def results(self) -> list[tuple[int, list[dict[str, Any]]]]:
        """What came of the sessions that ended since: by offset, the values written."""
        written: list[tuple[int, list[dict[str, Any]]]] = []
        for gathering in self.closed:
            joint = gathering.joint
            if callable(joint):
                asking = asyncio.ensure_future(joint())
                await self.clock.advance(2)
                joint = await asking
            assert joint is not None
            for record, outs in zip(gathering.records, joint.each, strict=True):
                assert not isinstance(outs, Rejected)
                written.append((record.offset, [value(out) for out in outs]))
        self.closed.clear()
        return written


def value(out: Out) -> dict[str, Any]:
    return orjson.loads(out.value or b"{}") | {"to": out.topic.removeprefix("sluice.")}


def decisions(written: Iterable[tuple[int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    return [each[0] for _, each in written]


async def test_lines_wait_until_their_session_ends_and_share_what_is_said_of_it() -> None:
    sluice = Sluice()
    results = sluice.take(line(1, 1, 0), line(2, 1, 1), line(1, 2, 2, "lost"))
    assert results[0] is results[2]
    assert not sluice.closed
    sluice.take(line(3, 60, 3))
    written = await sluice.results()
    assert [offset for offset, _ in written] == [1, 0, 2], "that which was quiet longest first"
    one, *two = decisions(written)
    assert (one["label"], one["session"], one["id"]) == ("normal", "2", "in/0/1")
    assert [(d["label"], d["severity"], d["session"], d["id"]) for d in two] == [
        ("anomaly", "error", "1", "in/0/0"),
        ("anomaly", "error", "1", "in/0/2"),
    ]
    assert [d["source"]["offset"] for d in two] == [0, 2]
    assert [("lost" in d["template"]) for d in two] == [False, True]
    assert len({d["confidence"] for d in two}) == 1


async def test_one_call_is_paid_by_all_lines_alike() -> None:
    sluice = Sluice()
    sluice.take(*(line(1, 1, offset) for offset in range(4)), line(2, 60, 4))
    shares = decisions(await sluice.results())
    assert len(sluice.nano.asks) == 1
    answer_micros = sum(d["cost_usd_micros"] for d in shares)
    assert answer_micros > 0
    assert [d["cost_usd_micros"] for d in shares] == [pytest.approx(answer_micros / 4, rel=0.01)] * 4
    assert {d["decided_by"] for d in shares} == {"nano"}


async def test_a_session_like_those_before_is_decided_at_once_for_nothing() -> None:
    sluice = Sluice(stream(spec(lines=2)))
    for block in range(limits.SESSION_VOTES_MIN):
        sluice.take(line(block, 1, 2 * block), line(block, 2, 2 * block + 1))
        assert {d["decided_by"] for d in decisions(await sluice.results())} == {"nano"}
    sluice.take(line(99, 3, 98), line(99, 4, 99))
    (gathering,) = sluice.closed
    assert isinstance(gathering.joint, Together)
    again = decisions(await sluice.results())
    assert [(d["decided_by"], d["cost_usd_micros"], d["label"]) for d in again] == [("memory", 0.0, "normal")] * 2
    assert len(sluice.nano.asks) == limits.SESSION_VOTES_MIN


async def test_one_slip_of_a_model_about_a_kind_of_session_is_not_repeated() -> None:
    sluice = Sluice(stream(spec(lines=2)), lambda text: {"label": "anomaly" if "blk_0" in text else "normal"})
    labels = []
    for block in range(9):
        sluice.take(line(block, 1, 2 * block), line(block, 2, 2 * block + 1))
        labels += [d["label"] for d in decisions(await sluice.results())[:1]]
    assert labels == ["anomaly", *["normal"] * 8]
    assert len(sluice.nano.asks) == limits.SESSION_VOTES_MAX


async def test_what_is_said_of_the_whole_goes_with_the_last_line_once() -> None:
    labels = {"normal": {"means": "well"}, "anomaly": {"means": "lost", "severity": "error", "escalate": "mini"}}
    sluice = Sluice(stream(labels=labels))
    sluice.take(line(1, 1, 0), line(1, 2, 1, "lost"), line(1, 3, 2), line(2, 60, 3))
    written = await sluice.results()
    assert [[each["to"] for each in outs] for _, outs in written] == [
        ["decisions"],
        ["decisions"],
        ["decisions", "escalations.mini", "signals"],
    ]
    assert [d["escalated_to"] for d in decisions(written)] == [None, None, "mini"]
    escalation, signal = written[2][1][1:]
    assert (escalation["id"], escalation["session"]) == ("in/0/2", "1")
    assert "1 × 081109 203530 14 INFO dfs.DataNode: lost blk_1" in escalation["text"]
    assert (signal["count"], signal["id"]) == (1, "in/0/2")


async def test_of_a_session_that_went_on_the_same_is_not_told_twice() -> None:
    labels = {"normal": {"means": "well"}, "anomaly": {"means": "lost", "severity": "error", "escalate": "mini"}}
    sluice = Sluice(stream(labels=labels))
    (gathering,) = sluice.take(line(1, 1, 0, "lost"))
    assert isinstance(gathering, Gathering)
    gathering.keeper.relieve()
    first = await sluice.results()
    sluice.take(line(1, 2, 1))
    gathering.keeper.relieve()
    ((_, second),) = await sluice.results()
    assert [len(outs) for _, outs in first] == [3]
    (decision,) = second
    assert (decision["label"], decision["escalated_to"]) == ("anomaly", None), "it counted on, and climbs no more"


async def test_a_line_without_a_key_is_judged_alone() -> None:
    sluice = Sluice()
    ((result),) = sluice.take(Fed("in", 0, 0, 0, None, b"no block in here"))
    assert callable(result)
    assert not isinstance(result, Gathering)


async def test_a_stream_that_went_quiet_ends_by_the_clock() -> None:
    sluice = Sluice()
    (gathering,) = sluice.take(line(1, sluice.clock.time(), 0))
    assert isinstance(gathering, Gathering)
    await sluice.clock.advance(29)
    gathering.keeper.look()
    assert not sluice.closed
    await sluice.clock.advance(2)
    gathering.keeper.look()
    assert sluice.closed == [gathering]


async def test_a_backlog_waits_until_no_line_comes() -> None:
    sluice = Sluice()
    (gathering,) = sluice.take(line(1, 1, 0))  # of long ago
    assert isinstance(gathering, Gathering)
    await sluice.clock.advance(limits.SESSION_QUIET_SECONDS / 2)
    gathering.keeper.look()
    assert not sluice.closed
    await sluice.clock.advance(limits.SESSION_QUIET_SECONDS)
    gathering.keeper.look()
    assert sluice.closed == [gathering]


async def test_a_sender_whose_clock_is_ahead_ends_nothing() -> None:
    sluice = Sluice()
    now_s = sluice.clock.time()
    sluice.take(line(1, now_s, 0), line(2, now_s + 86_400, 1), line(1, now_s + 1, 2))
    assert not sluice.closed


async def test_every_line_is_counted() -> None:
    sluice = Sluice(stream(spec(lines=3)))
    before = DECIDED.labels("hdfs", "nano", "normal")._value.get()
    sluice.take(*(line(1, 1, offset) for offset in range(3)))
    await sluice.results()
    assert DECIDED.labels("hdfs", "nano", "normal")._value.get() - before == 3


async def test_a_partition_that_was_let_go_is_forgotten() -> None:
    sluice = Sluice(stream(spec(lines=2)))
    (first,) = sluice.take(line(1, 1, 0))
    sluice.stage.forget("in", 0)
    (second,) = sluice.take(line(1, 1, 0))
    assert first is not second
    assert not sluice.closed


async def test_what_was_decided_before_is_counted_again_where_the_session_goes_on() -> None:
    sluice = Sluice()
    assert sluice.stage.lookback("in") == limits.LOOKBACK_RECORDS_MAX
    sluice.stage.recall([line(1, 1, 0, "lost")])
    (gathering,) = sluice.take(line(1, 2, 1))
    assert isinstance(gathering, Gathering)
    gathering.keeper.relieve()
    assert [d["label"] for d in decisions(await sluice.results())] == ["anomaly"]


async def test_a_session_that_cannot_be_judged_is_rejected_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sluice = Sluice(stream(spec(lines=2)))

    def broken(_: Item) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(sluice.triage, "free", broken)
    sluice.take(line(1, 1, 0), line(1, 1, 1))
    (gathering,) = sluice.closed
    assert isinstance(gathering.joint, Together)
    assert [each.reason for each in gathering.joint.each if isinstance(each, Rejected)] == ["internal", "internal"]
