"""Spend records on their way to the broker: none is lost unsaid, and none keeps the process from ending."""

import asyncio
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaTimeoutError

from streams import spend
from streams.brokers import Brokers
from topics import limits
from topics.catalog import Names
from topics.messages import Spend, Tokens


class FakeProducer:
    """Takes every record; while its broker is `away` it never answers, flushes or stops."""

    def __init__(self, **_: Any) -> None:
        self.away = False
        self.refuses: set[bytes] = set()
        self.sent: list[bytes] = []
        self.closed = False
        self.client = self._sender = self
        self.sender_task = None

    async def start(self) -> None:
        pass

    async def send(self, topic: str, *, key: bytes, value: bytes, headers: Any) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if key in self.refuses:
            answer.set_exception(KafkaTimeoutError("too late"))
        elif not self.away:
            self.sent.append(key)
            answer.set_result(None)
        return answer

    async def flush(self) -> None:
        if self.away:
            await asyncio.Event().wait()

    stop = flush

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    fake = FakeProducer()
    monkeypatch.setattr(spend, "AIOKafkaProducer", lambda **_: fake)
    monkeypatch.setattr(spend, "_FLUSH_SECONDS_MAX", 0.01)
    monkeypatch.setattr(spend, "_STOP_SECONDS_MAX", 0.01)
    return fake


def call(number: int) -> Spend:
    return Spend(
        call_id=f"call-{number}",
        at_ms=1_800_000_000_000,
        tier="nano",
        model="nano",
        lane="realtime",
        service_tier=None,
        status=200,
        tokens=Tokens(100, 0, 10),
        usd_micros=12,
        prices_as_of="2026-11-01",
        tenant="acme",
        stream="logs",
        purpose="triage",
        messages=1,
    )


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Call ids of the records that were logged instead of written."""
    return [orjson.loads(record.__dict__["spend"])["call_id"] for record in caplog.records]


async def write(*calls: Spend) -> None:
    async with asyncio.timeout(5), spend.writer(Brokers("unused:9092"), Names("sluice.")) as record:
        for one in calls:
            record(one)


async def test_what_was_taken_is_written_before_the_end(
    producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    await write(call(1), call(2))
    assert producer.sent == [b"call-1", b"call-2"]
    assert logged(caplog) == []


async def test_a_broker_that_is_away_does_not_keep_the_process_from_ending(
    producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.away = True
    await write(call(1), call(2))
    assert producer.closed
    assert logged(caplog) == ["call-1", "call-2"]


async def test_a_record_that_the_broker_refuses_is_logged(
    producer: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    producer.refuses = {b"call-1"}
    await write(call(1), call(2))
    assert producer.sent == [b"call-2"]
    assert logged(caplog) == ["call-1"]


async def test_what_is_beyond_the_limit_is_logged_while_the_broker_is_away(
    producer: FakeProducer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SPEND_QUEUE_MAX", 2)
    producer.away = True
    async with spend.writer(Brokers("unused:9092"), Names("sluice.")) as record:
        for number in range(3):
            record(call(number))
            await asyncio.sleep(0.01)
        assert logged(caplog) == ["call-2"], "what was handed to the producer still waits"
    assert logged(caplog) == ["call-2", "call-0", "call-1"]


async def test_what_was_spent_before_an_error_is_written_all_the_same(producer: FakeProducer) -> None:
    async def fail() -> None:
        async with spend.writer(Brokers("unused:9092"), Names("sluice.")) as record:
            record(call(1))
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as told:
        await fail()
    assert told.group_contains(ZeroDivisionError)
    assert producer.sent == [b"call-1"]
