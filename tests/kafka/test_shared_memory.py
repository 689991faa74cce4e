"""Memory that workers share, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import pytest
from click.testing import CliRunner

from processors.clock import SystemClock
from processors.near import NearDuplicates
from processors.policy import Kafka
from processors.remembered import Remembered
from processors.templates import Templates
from streams import shared_memory
from streams.cli.memory import memory as command
from streams.settings import Runtime
from streams.shared_memory import SharedMemory
from tests.kafka.bus import Bus
from tests.unit.memory import test_near
from tests.unit.memory.build import line, stream, verdict
from topics import limits
from topics.catalog import MEMORY

MAIL = test_near.MAIL


@dataclass
class Worker:
    """One process with template and near memory; what others tell it, too."""

    shared: SharedMemory
    templates: Templates
    near: NearDuplicates

    def pay(self, *texts: str, tenant: str = "acme", label: str = "routine") -> None:
        for text in texts:
            item = line(text, tenant=tenant)
            (self.near if text == MAIL else self.templates).learn(item, verdict(label))

    def answers(self, text: str, tenant: str = "acme") -> str | None:
        item = line(text, tenant=tenant)
        proposal = (self.near if "invoice" in text else self.templates).propose(item)
        return proposal and proposal.verdict.label


@asynccontextmanager
async def worker(bus: Bus, by: str) -> AsyncIterator[Worker]:
    shared = SharedMemory(SystemClock(), by)
    logs, mail = stream(), stream(kind="email")
    made = Worker(
        shared,
        Templates("logs", logs, "nano", remember=shared.remember),
        NearDuplicates("mail", mail, "nano", remember=shared.remember),
    )
    shared.listen("logs", "template", made.templates)
    shared.listen("mail", "near", made.near)
    async with shared.open(bus.brokers, bus.names):
        yield made


async def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 (memory tells nobody)
            await asyncio.sleep(0.05)


async def created(bus: Bus) -> None:
    await bus.topic(MEMORY.name, partitions=3, config=MEMORY.config())


LINES = tuple(f"disk {n} is fine" for n in range(4))


async def test_what_one_worker_paid_for_others_answer_now_and_after_a_restart(bus: Bus) -> None:
    await created(bus)
    async with worker(bus, "a") as one, worker(bus, "b") as other:
        one.pay(*LINES, MAIL)
        assert other.answers("disk 9 is fine") is None
        await until(lambda: other.answers("disk 9 is fine") == "routine")
        await until(lambda: other.answers(MAIL.replace("4711", "5")) == "routine")
        assert other.answers("disk 9 is fine", tenant="umbrella") is None
    async with worker(bus, "c") as restarted:  # read whole before the context is entered
        assert restarted.answers("disk 9 is fine") == "routine"
        assert restarted.answers(MAIL) == "routine"
        assert restarted.shared.dropped == 0


async def test_what_waits_at_the_end_is_told(bus: Bus) -> None:
    await created(bus)
    async with worker(bus, "a") as one:
        one.pay(*LINES)
    async with worker(bus, "b") as other:
        assert other.answers("disk 9 is fine") == "routine"


async def test_an_erased_tenant_is_forgotten_by_workers_that_run_and_by_those_that_start(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEMORY_ERASE_SECONDS", 0.5)
    await created(bus)
    async with worker(bus, "a") as one, worker(bus, "b") as other:
        one.pay(*LINES, MAIL, tenant="acme")
        one.pay(*LINES, tenant="umbrella")
        await until(lambda: other.answers("disk 9 is fine", tenant="umbrella") == "routine")
        await until(lambda: other.answers("disk 9 is fine") == other.answers(MAIL) == "routine")
        assert await shared_memory.erase(bus.brokers, bus.names, SystemClock(), tenant="acme") == 2
        for each in (one, other):
            await until(lambda each=each: each.answers("disk 9 is fine") is None and each.answers(MAIL) is None)  # type: ignore[misc]
            assert each.answers("disk 9 is fine", tenant="umbrella") == "routine"
        assert await shared_memory.erase(bus.brokers, bus.names, SystemClock(), tenant="acme") == 0
        await asyncio.sleep(0.6)
        one.pay(*LINES, label="noise")  # what is learnt afterwards stays
        await until(lambda: other.answers("disk 9 is fine") == "noise")
    async with worker(bus, "c") as restarted:
        assert restarted.answers("disk 9 is fine") == "noise"
        assert restarted.answers(MAIL) is None
        assert restarted.answers("disk 9 is fine", tenant="umbrella") == "routine"


async def test_what_was_learnt_from_one_message_is_erased(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_ERASE_SECONDS", 0.5)
    await created(bus)
    async with worker(bus, "a") as one:
        one.pay(*LINES, *(text.replace("fine", "quiet") for text in LINES))
        await asyncio.sleep(0.2)
        assert await shared_memory.erase(bus.brokers, bus.names, SystemClock(), id=line(LINES[2]).id) == 1
        await until(lambda: one.answers("disk 9 is fine") is None)
        assert one.answers("disk 9 is quiet") == "routine"


async def test_the_command_counts_and_erases(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_ERASE_SECONDS", 0.5)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bus.bootstrap_servers)
    await created(bus)
    async with worker(bus, "a") as one:
        one.pay(*LINES, MAIL)
        one.pay("disk 7 is fine", label="alert")
    monkeypatch.setattr("streams.cli.memory._kafka", lambda _: Kafka(prefix=bus.prefix))

    def run(*words: str) -> str:
        result = CliRunner().invoke(command, words, obj=Runtime())
        assert result.exit_code == 0, result.output
        return result.output

    shown = orjson.loads(await asyncio.to_thread(run, "show", "--stream", "logs", "--json"))["memory"]
    assert [(one["kind"], one["entries"], one["answers"], one["contradicted"]) for one in shown] == [
        ("template", 1, 5.0, 1)
    ]
    assert "near" in await asyncio.to_thread(run, "show")
    assert "disk" not in await asyncio.to_thread(run, "show")
    erased = orjson.loads(await asyncio.to_thread(run, "erase", "--tenant", "acme", "--json"))
    assert erased["erased"] == 2
    assert "nothing" in await asyncio.to_thread(run, "show")


async def test_a_large_entry_stays_with_the_worker_that_paid_for_it(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMORY_ENTRY_BYTES_MAX", 100)
    await created(bus)
    async with worker(bus, "a") as one:
        one.pay(*LINES)
    assert one.shared.dropped > 0
    assert await bus.read(bus.names.topic(MEMORY)) == []
    assert one.answers("disk 9 is fine") == "routine"


def test_an_entry_without_a_topic_waits() -> None:
    shared = SharedMemory(SystemClock(), "a")
    told: list[Remembered] = []
    Templates("logs", stream(), "nano", remember=told.append).learn(line("disk 1 is fine"), verdict("routine"))
    shared.remember(told[0])
    assert shared.dropped == 0
