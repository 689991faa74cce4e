"""The console's numbers are those of the broker."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import CliRunner

from local.kafka import LocalKafka
from processors.errors import ConfigurationError
from streams.brokers import Brokers
from streams.cli.console import console as command
from streams.settings import Runtime
from tests.conftest import IN_DOCKER
from tests.kafka import consoles
from tests.kafka.bus import SOON_BACK, Bus, Send
from tests.kafka.consoles import console, story, write
from tests.unit.console import build
from topics import catalog, limits

SECONDS_MAX = 60.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONSOLE_STATE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "CONSOLE_RETRY_SECONDS", 0.2)
    monkeypatch.setattr("streams.console.watch.CONSOLE_LAG_SECONDS", 0.2)


async def get(url: str, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url + path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def until(url: str, holds: Callable[[Any], object]) -> Any:
    """The state of which it holds."""
    state: Any = None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not holds(state := await get(url, "/state.json")):  # noqa: ASYNC110 (a page tells nobody)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"it never held: {state}") from None
    return state


async def test_what_was_produced_is_on_the_page(bus: Bus) -> None:
    await story(bus)
    await consoles.abort(bus, catalog.DECISIONS, build.decision(99))
    async with consoles.worker(bus, done=15), console(bus) as url:
        state = await until(
            url,
            lambda s: (
                s["decided"]["hour"] == 19
                and s["alerts"]["firing"] == 1
                and s["money"]["one_call_each_usd"]
                and s["workers"]
                and s["letters"]["hour"]
            ),
        )
        assert state["trouble"] is None
        assert {part["means"]: part["count"] for part in state["decided"]["means"]} == {"rule": 5, "nano": 14}
        assert state["decided"]["streams"] == [{"stream": "logs", "kind": "log", "count": 19, "climbed": 1}]
        assert state["money"]["usd"] == {"nano": 0.0003, "mini": 0.0, "flagship": 0.0007}
        assert state["money"]["today_usd"] == 0.001
        assert state["simulated"] == 0.5
        assert [one["id"] for one in state["climbed"]] == ["logs/0/18"]
        assert state["letters"]["listed"][0]["reason"] == "undecodable"
        assert state["budgets"][0]["spent_usd"] == 0.001
        triage = state["flow"]["triage"]
        assert (triage["lag"], triage["workers"]) == (5, 1)
        assert triage["partitions"][0] == {"topic": f"{bus.prefix}logs", "partition": 0, "lag": 5}
        assert state["workers"][0]["client"].startswith("a-worker …")
        assert state["flow"]["mini"]["verdict"] == "nobody"
        path = await get(url, "/messages/logs/0/18")
        assert list(path["escalations"]) == ["mini", "flagship"]
        assert path["resolutions"]["flagship"]["status"] == "resolved"
        assert [alert["revision"] for alert in path["alerts"]] == [2]
        assert build.SECRET not in str(state) + str(path)
        assert (await get(url, "/messages/logs/0/9"))["letters"][0]["reason"] == "undecodable"


async def test_what_comes_is_shown_and_what_is_erased_goes(bus: Bus) -> None:
    await story(bus)
    async with console(bus, content=True) as url:
        await until(url, lambda s: s["alerts"]["firing"] == 1 and s["decided"]["hour"] == 19)
        await write(bus, catalog.DECISIONS, build.decision(50, decided_by="memory"))
        state = await until(url, lambda s: s["decided"]["hour"] == 20)
        assert {"means": "memory", "count": 1} in state["decided"]["means"]
        assert state["alerts"]["listed"][0]["annotations"]["summary"] == build.SECRET
        id_ = build.alert(18)["id"]
        await bus.produce(bus.names.topic(catalog.ALERTS), [Send(None, key=id_.encode())])
        await until(url, lambda s: s["alerts"]["firing"] == 0)


async def test_a_flood_is_sampled_and_counted_all_the_same(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONSOLE_DECISIONS_PER_SECOND_MAX", 200)
    monkeypatch.setattr(limits, "CONSOLE_DECISIONS_BEHIND_MAX", 400)
    await bus.owned(partitions=2)
    async with console(bus) as url:
        await until(url, lambda s: s["trouble"] is None)
        await write(bus, catalog.DECISIONS, *(build.decision(n, decided_by="rule") for n in range(6_000)))
        await until(url, lambda s: 0 < (s["sampled"] or 0) < 0.5)
        state = await until(url, lambda s: s["decided"]["hour"] == 6_000)
        assert state["decided"]["means"] == [{"means": "rule", "count": 6_000}]


async def test_it_reads_without_a_group_and_whatever_somebody_writes(bus: Bus) -> None:
    await story(bus)
    for topic in (catalog.DECISIONS, catalog.ALERTS, catalog.SPEND, catalog.DEAD_LETTERS, catalog.RESOLUTIONS):
        nonsense = (b"no json", b"[]", b"{}", b'"text"', b'{"id": 1, "to": []}')
        await bus.produce(bus.names.topic(topic), [Send(value, key=b"k") for value in nonsense])
    async with console(bus) as url:
        await until(
            url, lambda s: s["decided"]["hour"] == 19 and s["alerts"]["firing"] == 1 and s["letters"]["hour"] == 6
        )
        admin = AIOKafkaAdminClient(**bus.brokers.client_options)
        await admin.start()
        try:
            groups = [name for name, _ in await admin.list_consumer_groups() if name.startswith(bus.prefix)]
        finally:
            await admin.close()
        assert groups == []


async def test_topics_that_are_not_there_yet_are_told_and_waited_for(bus: Bus) -> None:
    async with console(bus) as url:
        state = await until(url, lambda s: "is missing" in (s["trouble"] or ""))
        assert "sluice topics apply" in state["trouble"]
        await story(bus)
        await until(url, lambda s: s["trouble"] is None and s["decided"]["hour"] == 19)


async def test_a_broker_that_is_away_is_told() -> None:
    nobody: Any = Bus(Brokers("127.0.0.1:1"), "t.")
    async with console(nobody) as url:
        await until(url, lambda s: "no Kafka broker answers at 127.0.0.1:1" in (s["trouble"] or ""))


@pytest.mark.slow
@pytest.mark.skipif(IN_DOCKER, reason="SLUICE_KAFKA=docker: this test ends a broker of its own")
async def test_a_broker_that_ends_and_comes_back_is_read_on() -> None:
    async with LocalKafka(settings=SOON_BACK) as kafka:
        bus = Bus(kafka.brokers, "t.")
        await story(bus)
        async with console(bus) as url:
            await until(url, lambda s: s["decided"]["hour"] == 19 and s["flow"]["triage"]["lag"] is not None)
            await asyncio.to_thread(kafka.kill)
            await until(url, lambda s: s["trouble"])
            await asyncio.to_thread(kafka.start)
            await write(bus, catalog.DECISIONS, build.decision(70))
            await until(url, lambda s: s["trouble"] is None and s["decided"]["hour"] == 20)
            await until(url, lambda s: s["flow"]["triage"]["age_s"] < 2)


def test_the_command_refuses_to_listen_beyond_this_machine_without_a_token(bus: Bus, tmp_path: Any) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text(
        f'[kafka]\nbootstrap_servers = "{bus.bootstrap_servers}"\n'
        '[streams.logs]\nkind = "log"\ntopics = ["logs"]\n'
        'labels = { one = { means = "This" }, two = { means = "That" } }\n'
    )
    ran = CliRunner().invoke(command, ["--host", "0.0.0.0", "--port", "0"], obj=Runtime(config=file))
    refused = ran.exception
    while isinstance(refused, ExceptionGroup):
        [refused] = refused.exceptions
    assert isinstance(refused, ConfigurationError)
    assert "SLUICE_CONSOLE_HOST = 0.0.0.0" in str(refused)
