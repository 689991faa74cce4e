"""The local broker: real ones, started for the occasion."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.container import ContainerKafka
from local.kafka import LocalKafka, LocalKafkaError
from tests.conftest import IN_DOCKER, no_docker
from tests.kafka.bus import SOON_BACK, Bus, Send
from topics.catalog import DEAD_LETTERS
from topics.limits import INPUT_VALUE_BYTES_MAX

pytestmark = pytest.mark.skipif(IN_DOCKER, reason="SLUICE_KAFKA=docker: these tests are about the broker from its jars")

PARENT = """
import sys, time
from local.kafka import LocalKafka
with LocalKafka() as kafka:
    print(kafka.pid, kafka.bootstrap_servers, kafka.data_dir, flush=True)
    time.sleep(600)
"""


async def test_data_survives_a_kill_and_a_restart_at_the_same_address() -> None:
    async with LocalKafka(settings=SOON_BACK) as kafka:
        bus, address = Bus(kafka.brokers, "t."), kafka.bootstrap_servers
        topic = await bus.topic("survives", partitions=2)
        await bus.produce(topic, [b"before the kill"])

        await asyncio.to_thread(kafka.kill)
        assert not kafka.running
        await asyncio.to_thread(kafka.start)
        await bus.produce(topic, [b"after the kill"])

        await asyncio.to_thread(kafka.restart)
        assert kafka.bootstrap_servers == address
        assert set(await bus.values(topic)) == {b"before the kill", b"after the kill"}
        directory = kafka.data_dir
    assert not directory.exists()


async def test_two_at_once_and_a_named_directory_that_survives(tmp_path: Path, bus: Bus) -> None:
    async with LocalKafka(tmp_path / "data") as first:
        other = Bus(first.brokers, "t.")
        assert other.bootstrap_servers != bus.bootstrap_servers
        topic = await other.topic("kept")
        await other.produce(topic, [b"kept"])
    async with LocalKafka(tmp_path / "data") as second:
        assert await Bus(second.brokers, "t.").values(topic) == [b"kept"]


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_no_broker_outlives_its_parent(signum: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        pid, address, directory = parent.stdout.readline().split()
        os.kill(int(pid), 0)  # it is there
        parent.send_signal(signum)
    host, port = address.split(":")
    for _ in range(500):  # ten seconds, which only a failing test takes
        with socket.socket() as probe:
            gone = probe.connect_ex((host, int(port))) != 0
        if gone and not Path(directory).exists():
            break
        time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert not Path(directory).exists()


def test_a_port_that_is_taken_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalKafkaError, match=rf"port {port} .* choose another port"):
            LocalKafka(port=port).start()


def test_a_broker_that_cannot_start_says_why_with_the_end_of_its_log() -> None:
    kafka = LocalKafka(settings={"num.io.threads": "none"})
    with pytest.raises(LocalKafkaError, match=r"The end of its log(.|\n)*num\.io\.threads"):
        kafka.start()
    assert not kafka.running


def test_a_start_that_takes_too_long_is_ended() -> None:
    kafka = LocalKafka(start_seconds_max=0.01)
    with pytest.raises(LocalKafkaError, match=r"did not answer within 0.01 s"):
        kafka.start()
    assert not kafka.running


async def test_topics_are_not_created_by_mistake(bus: Bus) -> None:
    with pytest.raises(Exception, match="is missing"):
        await bus.read(bus.prefix + "misspelt")


async def test_the_largest_input_fits_the_dead_letters_topic(bus: Bus) -> None:
    topic = await bus.topic("large", config=DEAD_LETTERS.config())
    await bus.produce(topic, [Send(bytes(INPUT_VALUE_BYTES_MAX))])
    assert [len(record.value) for record in await bus.read(topic)] == [INPUT_VALUE_BYTES_MAX]


def test_the_same_broker_in_a_container() -> None:
    if reason := no_docker():
        pytest.skip(reason)

    async def round_trip(bus: Bus) -> list[bytes | None]:
        topic = await bus.topic("contained")
        await bus.produce(topic, [b"inside"])
        return await bus.values(topic)

    with ContainerKafka() as kafka:
        assert asyncio.run(round_trip(Bus(kafka.brokers, "t."))) == [b"inside"]
