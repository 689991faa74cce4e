"""Topics on a real broker: created as the catalog says, left alone where somebody decided otherwise, and checked."""

import socket
from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaConsumer

from processors.errors import ConfigurationError
from streams import topics_admin
from streams.brokers import Brokers
from streams.topics_admin import BrokerUnreachable
from tests.kafka.bus import Bus
from tests.kafka.engines import until
from topics.catalog import DEAD_LETTERS, DECISIONS, OWNED, RESOLUTIONS


async def own_config(bus: Bus, topic: str) -> Mapping[str, str]:
    async with topics_admin.connected(bus.brokers) as admin:
        return (await topics_admin.existing(admin, [topic]))[topic].own_config


async def test_apply_creates_what_is_missing_and_then_changes_nothing(bus: Bus) -> None:
    inputs = [bus.prefix + "emails"]
    first = await topics_admin.apply(bus.brokers, bus.names, partitions=3, replication_factor=1, inputs=inputs)
    assert set(first.created) == {*(bus.names.topic(topic) for topic in OWNED), *inputs}
    assert await own_config(bus, bus.names.topic(RESOLUTIONS)) == RESOLUTIONS.config()
    assert await topics_admin.check(bus.brokers, bus.names, inputs=inputs) == []

    second = await topics_admin.apply(bus.brokers, bus.names, partitions=9, replication_factor=1, inputs=inputs)
    assert second.created == ()
    assert second.configured == {}
    assert set(second.unchanged) == set(first.created)
    assert all(line.startswith("unchanged") for line in second.lines())


async def test_inputs_are_created_only_when_asked(bus: Bus) -> None:
    await topics_admin.apply(bus.brokers, bus.names, partitions=1, replication_factor=1)
    problems = await topics_admin.check(bus.brokers, bus.names, inputs=["emails"])
    with pytest.raises(ConfigurationError, match="not as the stages need them:\n  input emails is missing"):
        await topics_admin.require(bus.brokers, bus.names, inputs=["emails"])
    assert problems == [
        "input emails is missing, or hidden from us: create it as its producer needs it, or with"
        " `sluice topics apply --inputs`; where it is there, allow Read on it"
    ]


async def test_inputs_that_are_created_may_be_kept_for_ever(bus: Bus) -> None:
    inputs = [bus.prefix + "logs"]
    await topics_admin.apply(
        bus.brokers, bus.names, partitions=1, replication_factor=1, inputs=inputs, inputs_retention_ms=-1
    )
    await topics_admin.require(bus.brokers, bus.names, inputs=inputs)
    assert await own_config(bus, inputs[0]) == {"retention.ms": "-1"}


async def test_a_broker_that_lets_a_request_wait_is_named(bus: Bus) -> None:
    async def ask_impatiently() -> None:
        async with topics_admin.connected(bus.brokers) as admin:
            for connection in admin._client._conns.values():
                connection._request_timeout = 0
            await admin.describe_topics()

    with pytest.raises(
        BrokerUnreachable, match=r"let a request wait .*: it is overloaded, or cut off; look at its log"
    ):
        await ask_impatiently()


async def test_apply_adds_what_a_topic_lacks_and_keeps_what_it_sets(bus: Bus) -> None:
    name = await bus.topic(RESOLUTIONS.name, config={"retention.ms": "5000", "segment.ms": "60000"})
    report = await topics_admin.apply(bus.brokers, bus.names, partitions=1, replication_factor=1)
    added = {key: value for key, value in RESOLUTIONS.config().items() if key != "retention.ms"}
    assert report.configured == {name: added}
    wanted = {**added, "retention.ms": "5000", "segment.ms": "60000"}

    async def is_there() -> bool:
        return await own_config(bus, name) == wanted

    await until(is_there, "the configuration, which a broker that is making topics shows a little later")


async def test_check_names_every_difference_with_its_remedy(bus: Bus) -> None:
    compacted = await bus.topic(DECISIONS.name, partitions=2, config={"cleanup.policy": "compact"})
    small = await bus.topic(DEAD_LETTERS.name, config={"max.message.bytes": "1000", "min.insync.replicas": "2"})
    problems = await topics_admin.check(bus.brokers, bus.names, replication_factor=3)
    missing = [problem for problem in problems if "is missing: `sluice topics apply` creates it" in problem]
    assert len(missing) == len(OWNED) - 2
    rest = "\n".join(problem for problem in problems if problem not in missing)
    assert f"{compacted} has cleanup.policy=compact where delete is needed" in rest
    assert f"{small} has max.message.bytes=1000 where {DEAD_LETTERS.max_message_bytes} is needed" in rest
    assert f"{compacted}, {small}: fewer than 3 replicas" in rest
    assert f"{small} has min.insync.replicas=2 and only 1 replicas, so every write is refused" in rest
    assert f"partition counts are unequal ({compacted} 2, {small} 1)" in rest


async def test_a_broker_that_refuses_is_quoted(bus: Bus) -> None:
    with pytest.raises(ConfigurationError, match=rf"topic {bus.prefix}.* cannot be created: .*replication factor"):
        await topics_admin.apply(bus.brokers, bus.names, partitions=1, replication_factor=3)


@pytest.mark.parametrize(
    ("from_beginning", "expected"), [(True, [b"before", b"after"]), (False, [b"after"])], ids=["beginning", "end"]
)
async def test_assign_begins_where_it_is_told(bus: Bus, from_beginning: bool, expected: list[bytes]) -> None:
    topic = await bus.topic("read")
    await bus.produce(topic, [b"before"])
    async with AIOKafkaConsumer(bootstrap_servers=bus.bootstrap_servers) as consumer:
        await topics_admin.assign(consumer, [topic], from_beginning=from_beginning)
        await bus.produce(topic, [b"after"])
        assert [(await consumer.getone()).value for _ in expected] == expected


async def test_assign_names_a_missing_topic(bus: Bus) -> None:
    async with AIOKafkaConsumer(bootstrap_servers=bus.bootstrap_servers) as consumer:
        with pytest.raises(ConfigurationError, match=r"topic misspelt is missing .*`sluice topics apply`"):
            await topics_admin.assign(consumer, ["misspelt"], from_beginning=True)


async def test_nobody_at_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and not listening
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(
            BrokerUnreachable, match=rf"no Kafka broker answers at {address}: .*KAFKA_BOOTSTRAP_SERVERS"
        ):
            await topics_admin.reach(Brokers(address))


async def test_somebody_who_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BrokerUnreachable, match=rf"no Kafka broker answers at {address}"):
            await topics_admin.reach(Brokers(address), seconds_max=0.2)


async def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"'broker:kafka' are no addresses .*`host:port`"):
        await topics_admin.reach(Brokers("broker:kafka"))
