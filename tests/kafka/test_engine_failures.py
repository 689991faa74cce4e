"""What fails must neither stop the engine, nor be repeated, nor be lost."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.errors import (
    AccountSpent,
    AnswerInvalid,
    AnswerRefused,
    BudgetSpent,
    ProviderUnavailable,
    RequestRefused,
)
from processors.metrics import PAUSED
from streams.brokers import Brokers
from streams.engine.stage import Later, Outputs
from tests.kafka.bus import Bus, Send
from tests.kafka.engines import FakeStage, Slow, committed, count, drained, engine, name, running, until
from topics.catalog import DEAD_LETTERS
from topics.records import Out, Record


async def dead_letters(bus: Bus) -> dict[int, tuple[bytes | None, str, int]]:
    """By offset of origin: value, reason, attempts."""
    found = {}
    for record in await bus.read(bus.names.topic(DEAD_LETTERS)):
        headers = dict(record.headers)
        told = (record.value, headers["sluice.reason"].decode(), int(headers["sluice.attempts"]))
        assert found.setdefault(int(headers["sluice.origin.offset"]), told) is told, "one dead letter a record"
    return found


def raises(error: Callable[[], Exception], stage_output: str, offsets: set[int]) -> Callable[[Record], Outputs | Later]:
    """Work whose Laters raise for these offsets, always."""

    async def later(record: Record) -> Outputs:
        if record.offset in offsets:
            raise error()
        return (Out(stage_output, record.key, name(record), ()),)

    return lambda record: functools.partial(later, record)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lambda: AnswerRefused("no"), "model_refused"),
        (lambda: AnswerInvalid("garbage"), "model_invalid"),
        (lambda: RequestRefused("400"), "model_invalid"),
        (lambda: ZeroDivisionError(), "internal"),
    ],
)
async def test_poison_is_a_dead_letter_after_bounded_attempts(
    bus: Bus, error: Callable[[], Exception], reason: str
) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v%d" % i for i in range(5)])
    stage = FakeStage(out, raises(error, out, {2}))
    async with running(engine(bus, stage, attempts_max=2)):
        await drained(bus, topic)
    assert await dead_letters(bus) == {2: (b"v2", reason, 2)}
    assert Counter(await bus.values(out)) == Counter(b"0/%d" % i for i in (0, 1, 3, 4))


async def test_a_stage_that_breaks_its_contract_on_one_record_rejects_that_record_alone(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v%d" % i for i in range(5)])

    def work(record: Record) -> Outputs:
        if record.offset == 1:
            raise KeyError("take must not raise")
        return stage.ready(record)

    stage = FakeStage(out, work)
    async with running(engine(bus, stage)):
        await drained(bus, topic)
    assert await dead_letters(bus) == {1: (b"v1", "internal", 1)}
    assert sorted(await bus.values(out)) == [b"0/%d" % i for i in (0, 2, 3, 4)]


async def test_outputs_that_the_broker_refuses_as_too_large_become_dead_letters(bus: Bus) -> None:
    """aiokafka would commit the offset and lose the output; and a retry for ever would stop the partition."""
    topic, out = await bus.topic("in"), await bus.topic("out", config={"max.message.bytes": "2000000"})
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v%d" % i for i in range(40)])

    def work(record: Record) -> Outputs:
        padding = b"!" * 3_000_000 if record.offset in (7, 20) else b""
        return (Out(out, None, name(record) + padding, ()),)

    async with running(engine(bus, FakeStage(out, work))):
        await drained(bus, topic)
    assert await dead_letters(bus) == {7: (b"v7", "too_large", 1), 20: (b"v20", "too_large", 1)}
    assert sorted(await bus.values(out)) == sorted(b"0/%d" % i for i in range(40) if i not in (7, 20))


async def test_the_one_output_too_large_is_found_in_a_batch_of_many(bus: Bus) -> None:
    """The topic takes less than our batches: each is refused, though only one output is to blame."""
    topic, out = await bus.topic("in"), await bus.topic("out", config={"max.message.bytes": "3000"})
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v%d" % i for i in range(60)])
    slow = Slow(out, 0.01, every=2)

    def work(record: Record) -> Outputs | Later:
        if record.offset == 33:
            return (Out(out, None, b"!" * 5_000, ()),)
        return slow(record)

    async with running(engine(bus, FakeStage(out, work))):
        await drained(bus, topic)
    assert await dead_letters(bus) == {33: (b"v33", "too_large", 1)}
    assert sorted(await bus.values(out)) == sorted(b"0/%d" % i for i in range(60) if i != 33)
    assert max(slow.begun.values()) == 1, "what was paid for is kept when a transaction fails"


async def test_a_dead_letter_that_does_not_fit_either_goes_without_its_value(bus: Bus) -> None:
    big = {"max.message.bytes": "4000000"}
    topic, out = await bus.topic("in", config=big), await bus.topic("out")
    await bus.topic("dead-letters", config={"max.message.bytes": "100000"})
    await bus.produce(topic, [b"small", b"!" * 3_000_000])
    stage = FakeStage(out, raises(lambda: AnswerInvalid("no"), out, {1}))
    async with running(engine(bus, stage, attempts_max=1)):
        await drained(bus, topic)
    assert await dead_letters(bus) == {1: (None, "model_invalid", 1)}


async def test_an_output_that_is_not_bytes_becomes_a_dead_letter(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v%d" % i for i in range(4)])

    def work(record: Record) -> Outputs:
        return (Out(out, None, "text" if record.offset == 2 else b"bytes", ()),)  # type: ignore[arg-type]

    async with running(engine(bus, FakeStage(out, work))):
        await drained(bus, topic)
    assert await dead_letters(bus) == {2: (b"v2", "internal", 1)}
    assert await bus.values(out) == [b"bytes"] * 3


async def test_nothing_is_committed_while_an_output_topic_is_missing_and_all_is_written_once_it_is_there(
    bus: Bus,
) -> None:
    topic, out = await bus.topic("in"), bus.prefix + "out"
    await bus.produce(topic, [b"x"] * 10)
    slow = Slow(out, 0.01, every=2)
    an_engine = engine(bus, FakeStage(out, slow))
    async with running(an_engine):
        await until(lambda: an_engine.health().joined and sum(slow.ended.values()) == 5)
        await asyncio.sleep(0.3)
        assert (await committed(bus, topic))[0] == -1
        await bus.topic("out")
        await drained(bus, topic)
    assert sorted(await bus.values(out)) == [b"0/%d" % i for i in range(10)]
    assert max(slow.begun.values()) == 1


async def test_a_closed_account_holds_intake_and_commits_nothing_until_a_probe_passes(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 20)
    closed, attempts = True, Counter[bytes]()
    at_once = most_at_once = 0

    async def later(record: Record) -> Outputs:
        nonlocal at_once, most_at_once
        attempts[name(record)] += 1
        if an_engine.health().held:
            at_once += 1
            most_at_once = max(most_at_once, at_once)
        await asyncio.sleep(0.01)
        at_once = 0
        if closed:
            raise AccountSpent("no credit", retry_after_s=0.2)
        return (Out(out, None, name(record), ()),)

    an_engine = engine(bus, FakeStage(out, lambda record: functools.partial(later, record)))
    async with running(an_engine):
        await until(lambda: an_engine.health().held == "account_spent" and sum(attempts.values()) >= 23)
        await bus.produce(topic, [b"x"] * 20)
        await asyncio.sleep(0.5)
        assert PAUSED.labels("triage", "account_spent")._value.get() == 1
        assert (await committed(bus, topic))[0] == -1
        assert len(attempts) == 20, "nothing more is taken while intake is held"
        assert sum(attempts.values()) < 30, "one record at a time is the probe"
        closed = False
        await drained(bus, topic)
        assert an_engine.health().held is None
        assert PAUSED.labels("triage", "account_spent")._value.get() == 0
    assert most_at_once == 1
    assert sorted(await bus.values(out)) == sorted(b"0/%d" % i for i in range(40))


async def test_a_provider_that_is_away_for_a_while_loses_nothing_and_for_too_long_is_a_dead_letter(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.topic("dead-letters")
    await bus.produce(topic, [b"v0", b"v1"])
    attempts = Counter[int]()

    async def later(record: Record) -> Outputs:
        attempts[record.offset] += 1
        if record.offset == 1 or attempts[0] < 4:
            raise ProviderUnavailable("timeout", retry_after_s=0.05)
        return (Out(out, None, name(record), ()),)

    stage = FakeStage(out, lambda record: functools.partial(later, record))
    async with running(engine(bus, stage, provider_outage_seconds_max=5.0)):
        await drained(bus, topic)
    assert await bus.values(out) == [b"0/0"]
    letters = await dead_letters(bus)
    assert letters == {1: (b"v1", "attempts_exhausted", attempts[1])}
    assert attempts[1] > 2


async def test_records_that_wait_for_their_budget_do_not_keep_intake_held_for_others(bus: Bus) -> None:
    """An outage holds intake, and those who met it cannot find out that it is over: their budget is spent meanwhile."""
    topic, out = await bus.topic("in", 2), await bus.topic("out")
    attempts = Counter[bytes]()

    async def later(record: Record) -> Outputs:
        attempts[name(record)] += 1
        if record.partition == 0 and attempts[name(record)] == 1:
            raise ProviderUnavailable("timeout", retry_after_s=0.05)
        if record.partition == 0:
            raise BudgetSpent("1 USD of this day is spent", retry_after_s=50_000.0)
        return (Out(out, None, name(record), ()),)

    an_engine = engine(bus, FakeStage(out, lambda record: functools.partial(later, record)), shutdown_seconds=1.0)
    async with running(an_engine):
        await bus.produce(topic, [Send(b"x", partition=0)] * 3)
        await until(lambda: sum(attempts.values()) == 6)
        assert an_engine.health().held == "provider_unavailable"
        await bus.produce(topic, [Send(b"x", partition=1)])
        await count(bus, out, 1)
        assert an_engine.health().held is None
    assert await bus.values(out) == [b"1/0"]


async def test_a_stop_does_not_wait_for_an_account_that_is_closed(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 3)
    stage = FakeStage(out, raises(lambda: AccountSpent("spent", retry_after_s=3_000.0), out, {0, 1, 2}))
    an_engine = engine(bus, stage)
    async with asyncio.timeout(15):
        async with running(an_engine):
            await until(lambda: an_engine.health().held == "account_spent")
    assert (await committed(bus, topic))[0] == -1


async def test_a_stop_does_not_wait_for_a_budget_but_for_what_is_under_way_beside_it(bus: Bus) -> None:
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 3)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def later(record: Record) -> Outputs:
        if record.offset:
            raise BudgetSpent("1 USD of this day is spent", retry_after_s=50_000.0)
        begun.set()
        await may_end.wait()
        return (Out(out, None, name(record), ()),)

    stage = FakeStage(out, lambda record: functools.partial(later, record))
    an_engine = engine(bus, stage, shutdown_seconds=600.0)
    async with asyncio.timeout(60):
        async with running(an_engine):
            await until(lambda: an_engine.health().in_flight == 3 and begun.is_set())
            asyncio.get_running_loop().call_later(0.3, may_end.set)
    assert await bus.values(out) == [b"0/0"]


async def test_a_fenced_worker_rejoins_and_neither_loses_nor_repeats(bus: Bus) -> None:
    """A rival takes the transactional id, leaves a transaction behind that must never be seen, and is gone."""
    topic, out = await bus.topic("in", 2), await bus.topic("out")
    slow = Slow(out, 0.05, every=3)
    an_engine = engine(bus, FakeStage(out, slow))
    rival = AIOKafkaProducer(
        bootstrap_servers=bus.bootstrap_servers, transactional_id=bus.names.transactional_id("triage", topic, 0)
    )
    async with running(an_engine):
        await bus.produce(topic, [Send(b"x", partition=i % 2) for i in range(100)])
        await count(bus, out, 100)
        await rival.start()
        await rival.begin_transaction()
        await rival.send_and_wait(out, b"a zombie's output")
        await bus.produce(topic, [Send(b"x", partition=i % 2) for i in range(100)])
        await drained(bus, topic)
    await rival._sender.close()  # as a process that is gone: without an end of its transaction
    await rival.client.close()
    rival._closed = True
    assert Counter(await bus.values(out)) == Counter(b"%d/%d" % (p, o) for p in (0, 1) for o in range(100))
    assert max(slow.begun.values()) == 1


async def test_an_unreachable_broker_is_told_at_once() -> None:
    an_engine = engine(Bus(Brokers("127.0.0.1:1"), "nobody."), FakeStage("out"))
    with pytest.raises(KafkaError, match=r"127\.0\.0\.1', 1"):
        await an_engine.run(asyncio.Event())


@pytest.mark.parametrize("lookback", [0, 998])
async def test_a_broker_that_lost_records_stops_the_partition_rather_than_deciding_again(
    bus: Bus, caplog: pytest.LogCaptureFixture, lookback: int
) -> None:
    """The committed offset lies beyond the partition's end; aiokafka silently goes back to the beginning.

    With a look back there is something to read before that offset, and what comes next would be taken for done.
    """
    topic, out = await bus.topic("in"), await bus.topic("out")
    await bus.produce(topic, [b"x"] * 5)
    await move_offset(bus, topic, 1_000)
    async with running(engine(bus, FakeStage(out, lookback=lookback))):
        await until(lambda: "offset 1000 lies beyond the partition's end" in caplog.text)
        await asyncio.sleep(0.3)
    assert await bus.values(out) == []
    await move_offset(bus, topic, 3)
    async with running(engine(bus, FakeStage(out))):
        await drained(bus, topic)
    assert await bus.values(out) == [b"0/3", b"0/4"]


async def move_offset(bus: Bus, topic: str, offset: int) -> None:
    """As kafka-consumer-groups --reset-offsets does."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bus.bootstrap_servers, group_id=bus.names.group("triage"), enable_auto_commit=False
    )
    async with consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): offset})
