"""A real Alertmanager and the topic say the same: what fires fires, for as long as it does."""

import asyncio
from pathlib import Path

import pytest

from local.kafka import HOST, free_port
from tests.kafka.alertmanager import Alertmanager, needed
from tests.kafka.bus import Bus
from tests.kafka.notify import alert, running, tell, topics
from topics import codec
from topics.catalog import ALERTS, NOTIFY_DEAD_LETTERS
from topics.messages import Alert

pytestmark = needed

REPEAT_SECONDS = 1.0
OVER_SECONDS = 4 * REPEAT_SECONDS + 0.5  # without a repeat, Alertmanager takes an alert for over before that


@pytest.fixture
def alertmanager(tmp_path: Path) -> Alertmanager:
    return Alertmanager(f"http://{HOST}:{free_port()}", tmp_path)


def notify(alertmanager: Alertmanager) -> str:
    return f'[[notify]]\nkind = "alertmanager"\nurl = "{alertmanager.url}"\nrepeat = "{REPEAT_SECONDS * 1000:.0f}ms"\n'


async def on_topic(bus: Bus) -> set[str]:
    """The label `number` of each alert whose last word on the topic is that it fires."""
    last = {record.key: record.value for record in await bus.read(bus.names.topic(ALERTS))}
    alerts = [codec.decode(Alert, value) for value in last.values() if value is not None]
    return {one.labels["number"] for one in alerts if one.status == "firing"}


async def test_alertmanager_and_the_topic_say_the_same(bus: Bus, alertmanager: Alertmanager) -> None:
    await topics(bus, partitions=3)
    async with alertmanager.running():
        async with running(bus, notify(alertmanager)):
            await tell(bus, *(alert(number) for number in range(1, 8)))
            await alertmanager.fires(*range(1, 8))
            await asyncio.sleep(OVER_SECONDS)
            assert await alertmanager.firing() == await on_topic(bus), "it goes on as long as nothing says it is over"
            await tell(bus, alert(1, revision=2), *(alert(number, revision=2, status="resolved") for number in (2, 3)))
            await alertmanager.fires(1, 4, 5, 6, 7)
            assert await alertmanager.firing() == await on_topic(bus)
        await alertmanager.fires()  # nobody repeats it: this is what the repeating is for
        async with running(bus, notify(alertmanager)):
            await alertmanager.fires(1, 4, 5, 6, 7)  # a restart needs no new alert


async def test_an_alertmanager_that_was_down_hears_all_of_it(bus: Bus, alertmanager: Alertmanager) -> None:
    await topics(bus)
    async with running(bus, notify(alertmanager)):
        await tell(bus, alert(1), alert(2))
        async with alertmanager.running():
            await alertmanager.fires(1, 2)
        await tell(bus, alert(2, revision=2, status="resolved"), alert(3))
        async with alertmanager.running():
            await alertmanager.fires(1, 3)
            assert await on_topic(bus) == {"1", "3"}


async def test_labels_that_alertmanager_would_refuse_are_put_so_that_it_does_not(
    bus: Bus, alertmanager: Alertmanager
) -> None:
    await topics(bus)
    async with alertmanager.running(), running(bus, notify(alertmanager)):
        labels = {"alertname": "x", "number": "1", "k8s.pod-name": "a", "empty": "", "text": 'ünïcode "quoted" {x}\n'}
        await tell(bus, alert(1, labels=labels, startsAt="2999-01-01T00:00:00.000Z"))
        await alertmanager.fires(1)
    assert await bus.read(bus.names.topic(NOTIFY_DEAD_LETTERS)) == []
