"""The administrative side of a broker: is it there, are the topics right, which partitions are to be read."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaError, RequestTimedOutError, for_code

from processors.errors import ConfigurationError
from streams import refusal
from streams.brokers import Brokers
from topics.catalog import OWNED, Names
from topics.limits import BROKER_ANSWER_SECONDS_MAX, BROKER_REQUEST_SECONDS_MAX, TOPIC_CREATION_SECONDS_MAX

_NO_ERROR, _TOPIC_ALREADY_EXISTS = 0, 36  # Kafka's error codes
_SET_BY_THE_TOPIC = 1  # Kafka's config source DYNAMIC_TOPIC_CONFIG: not a default of the broker
_LOOK_AGAIN_SECONDS = 0.05


class BrokerUnreachable(ConfigurationError):
    """No broker answers at the address, or none lets us in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What `apply` did, as full names of topics."""

    created: tuple[str, ...]
    configured: Mapping[str, Mapping[str, str]]  # what was added to topics that were there
    unchanged: tuple[str, ...]

    def lines(self) -> list[str]:
        """One sentence a topic."""
        return [
            *(f"created {name}" for name in self.created),
            *(
                f"configured {name}: " + ", ".join(f"{key}={value}" for key, value in config.items())
                for name, config in self.configured.items()
            ),
            *(f"unchanged {name}" for name in self.unchanged),
        ]


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as the broker has it."""

    partitions: int
    replication_factor: int  # of the partition that has the fewest
    ready: bool  # every partition has a leader
    config: Mapping[str, str]  # in effect
    own_config: Mapping[str, str]  # set by the topic itself


async def reach(brokers: Brokers, seconds_max: float = BROKER_ANSWER_SECONDS_MAX) -> None:
    """Returns when a broker answers and lets us in.

    Raises BrokerUnreachable after at most about `seconds_max`.
    """
    async with connected(brokers, seconds_max):
        pass


async def cluster_id(brokers: Brokers) -> str:
    """The name that the cluster gave itself when it was made: another one, made at the same address, has another."""
    async with connected(brokers) as admin:
        described = await admin.describe_cluster()
    return str(described["cluster_id"])


async def apply(
    brokers: Brokers,
    names: Names,
    *,
    partitions: int,
    replication_factor: int,
    inputs: Sequence[str] = (),
    inputs_retention_ms: int | None = None,
) -> Applied:
    """Creates the owned topics that are missing, and those of `inputs`; adds configuration that a topic lacks.

    `inputs_retention_ms`: of inputs that are created; -1 for ever, None as the broker does by default.

    Nothing is removed or shrunk: what a topic sets itself is somebody's decision, and a changed partition count would
    move keys. Raises BrokerUnreachable, or ConfigurationError where the broker refuses.
    """
    owned = {names.topic(topic): topic for topic in OWNED}
    async with connected(brokers) as admin:
        before = await existing(admin, list(owned), inputs)
        new = [
            NewTopic(name, topic.partitions or partitions, replication_factor, topic_configs=topic.config())
            for name, topic in owned.items()
            if name not in before
        ]
        input_config = {} if inputs_retention_ms is None else {"retention.ms": str(inputs_retention_ms)}
        new += [
            NewTopic(name, partitions, replication_factor, topic_configs=input_config)
            for name in dict.fromkeys(inputs)
            if name not in before
        ]
        await _create(admin, new)
        lacking = {
            name: {key: value for key, value in topic.config().items() if key not in before[name].own_config}
            for name, topic in owned.items()
            if name in before
        }
        lacking = {name: config for name, config in lacking.items() if config}
        # The request replaces a topic's whole configuration, so what is there goes along.
        await _configure(admin, {name: {**before[name].own_config, **config} for name, config in lacking.items()})
    return Applied(
        created=tuple(topic.name for topic in new),
        configured=lacking,
        unchanged=tuple(name for name in before if name not in lacking),
    )


async def check(
    brokers: Brokers, names: Names, *, replication_factor: int = 1, inputs: Sequence[str] = ()
) -> list[str]:
    """What is wrong with the owned topics and `inputs`, a sentence each with its remedy; empty when all is well."""
    owned = {names.topic(topic): topic for topic in OWNED}
    async with connected(brokers) as admin:
        there = await existing(admin, list(owned), inputs)
    problems = [f"{name} is missing: `sluice topics apply` creates it" for name in owned if name not in there]
    problems += [
        f"input {name} is missing, or hidden from us: create it as its producer needs it, or with"
        " `sluice topics apply --inputs`; where it is there, allow Read on it"
        for name in dict.fromkeys(inputs)
        if name not in there
    ]
    for name, topic in owned.items():
        if name not in there:
            continue
        found, wanted = there[name], topic.config()
        if set(found.config["cleanup.policy"].split(",")) != set(topic.cleanup.split(",")):
            problems.append(
                _wrong(name, "cleanup.policy", found.config, wanted, "records would be lost or kept for ever")
            )
        if int(found.config["max.message.bytes"]) < topic.max_message_bytes:
            problems.append(_wrong(name, "max.message.bytes", found.config, wanted, "large records would be refused"))
        if topic.partitions and found.partitions != topic.partitions:
            problems.append(
                f"{name} has {found.partitions} partitions where {topic.partitions} are needed: create it again"
            )
    thin = [name for name in owned if name in there and there[name].replication_factor < replication_factor]
    if thin:
        problems.append(
            f"{', '.join(thin)}: fewer than {replication_factor} replicas, as kafka.replication_factor asks for:"
            " `kafka-reassign-partitions` adds them, or lower the setting"
        )
    problems += [
        f"{name} has min.insync.replicas={minimum} and only {found.replication_factor} replicas, so every write is"
        " refused: lower the one or add the other"
        for name, found in there.items()
        if name in owned and int(minimum := found.config["min.insync.replicas"]) > found.replication_factor
    ]
    counts = {name: there[name].partitions for name, topic in owned.items() if name in there and not topic.partitions}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(
            f"partition counts are unequal ({listed}), so one key's records are not in one partition number:"
            " `kafka-topics --alter --partitions` raises the smaller ones while they are empty"
        )
    return problems


async def require(brokers: Brokers, names: Names, *, inputs: Sequence[str] = ()) -> None:
    """Raises ConfigurationError with everything that `check` finds; returns where all is well."""
    if problems := await check(brokers, names, inputs=inputs):
        raise ConfigurationError("the topics are not as the stages need them:\n  " + "\n  ".join(problems))


async def assign(consumer: AIOKafkaConsumer, topics: Sequence[str], *, from_beginning: bool) -> None:
    """Gives a started consumer without a group all partitions of `topics`, at their beginning or their end.

    Raises ConfigurationError where a topic is missing.
    """
    consumer.assign(await partitions(consumer, topics))
    await (consumer.seek_to_beginning() if from_beginning else consumer.seek_to_end())


async def partitions(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of `topics`. Raises ConfigurationError where a topic is missing."""
    cluster = await consumer._client.fetch_all_metadata()
    if missing := [topic for topic in topics if not cluster.partitions_for_topic(topic)]:
        raise ConfigurationError(
            f"topic {', '.join(missing)} is missing on the broker: `sluice topics apply` creates what Sluice owns"
        )
    return [TopicPartition(topic, p) for topic in topics for p in sorted(cluster.partitions_for_topic(topic))]


@asynccontextmanager
async def connected(
    brokers: Brokers, seconds_max: float = BROKER_ANSWER_SECONDS_MAX
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises BrokerUnreachable, or ConfigurationError where the address is none.

    `seconds_max`: for the first answer.
    """
    admin = AIOKafkaAdminClient(
        **brokers.client_options, client_id="sluice-admin", request_timeout_ms=int(BROKER_REQUEST_SECONDS_MAX * 1000)
    )
    try:
        await _connect(admin, brokers, seconds_max)
        yield admin
    except RequestTimedOutError as error:
        raise BrokerUnreachable(
            f"the Kafka broker at {brokers.bootstrap_servers} let a request wait for"
            f" {BROKER_REQUEST_SECONDS_MAX:.0f} s: it is overloaded, or cut off; look at its log, and try again"
        ) from error
    finally:
        await admin.close()


async def _connect(admin: AIOKafkaAdminClient, brokers: Brokers, seconds_max: float) -> None:
    try:
        collect_hosts(brokers.bootstrap_servers)
    except ValueError as error:
        raise ConfigurationError(
            f"bootstrap servers {brokers.bootstrap_servers!r} are no addresses ({error}):"
            " `host:port`, several with commas"
        ) from error
    try:
        async with asyncio.timeout(seconds_max):
            await admin.start()
            await admin.describe_cluster()  # by the address that the broker gives for itself
    except (KafkaError, OSError, ValueError, TimeoutError) as error:
        if not isinstance(error, TimeoutError) and (why := await refusal.reason(brokers, seconds_max)):
            raise BrokerUnreachable(why) from error
        given = ", ".join(f"{node.host}:{node.port}" for node in admin._client.cluster.brokers())
        raise BrokerUnreachable(
            f"no Kafka broker answers at {brokers.bootstrap_servers}"
            + (f" (it gives {given} as its own address, which must be reachable from here)" if given else "")
            + (f" within {seconds_max:g} s" if isinstance(error, TimeoutError) else "")
            + ": start it, or name the right one in KAFKA_BOOTSTRAP_SERVERS or kafka.bootstrap_servers;"
            " `sluice up` starts a local one"
        ) from error


async def existing(
    admin: AIOKafkaAdminClient, names: Sequence[str], unconfigured: Sequence[str] = ()
) -> dict[str, Existing]:
    """Those of `names` and `unconfigured` that the broker has; the latter without their configuration, which needs a
    right of its own (DescribeConfigs) and is not looked at.

    Metadata of all topics is asked for: a request that names a missing topic would create it where a broker allows.
    """
    listed = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
    there = [name for name in dict.fromkeys([*names, *unconfigured]) if name in listed]
    config: dict[str, dict[str, str]] = {}
    own: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there if name in names]
    for response in await admin.describe_configs(resources) if resources else []:
        for code, message, _, name, entries in response.resources:
            _refuse(code, f"the configuration of {name} cannot be read", message)
            config[name] = {key: value for key, value, *_ in entries}
            own[name] = {key: value for key, value, _, source, *_ in entries if source == _SET_BY_THE_TOPIC}
    return {
        name: Existing(
            partitions=len(listed[name]),
            replication_factor=min(len(partition["replicas"]) for partition in listed[name]),
            ready=all(partition["leader"] >= 0 for partition in listed[name]),
            config=config.get(name, {}),
            own_config=own.get(name, {}),
        )
        for name in there
    }


async def _create(admin: AIOKafkaAdminClient, new: Sequence[NewTopic]) -> None:
    """Creates topics and returns when all of them can be written to."""
    if not new:
        return
    response = await admin.create_topics(list(new))
    for name, code, message in response.topic_errors:
        if code != _TOPIC_ALREADY_EXISTS:  # another worker was faster
            _refuse(code, f"topic {name} cannot be created", message)
    wanted = [topic.name for topic in new]
    try:
        async with asyncio.timeout(TOPIC_CREATION_SECONDS_MAX):
            while True:
                there = await existing(admin, wanted)
                if len(there) == len(wanted) and all(topic.ready for topic in there.values()):
                    return
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    except TimeoutError as error:
        raise ConfigurationError(
            f"topics {', '.join(wanted)} were created but have no leader after {TOPIC_CREATION_SECONDS_MAX:g} s:"
            " look at the brokers' logs"
        ) from error


async def _configure(admin: AIOKafkaAdminClient, configs: Mapping[str, Mapping[str, str]]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(config)) for name, config in configs.items()]
    for response in await admin.alter_configs(resources) if resources else []:
        for code, message, _, name in response.resources:
            _refuse(code, f"{name} cannot be configured", message)


def _refuse(code: int, what: str, message: str | None) -> None:
    """Raises ConfigurationError unless `code` is success."""
    if code != _NO_ERROR:
        reason = for_code(code)
        raise ConfigurationError(f"{what}: {message or reason.description} ({reason.message})")


def _wrong(name: str, key: str, found: Mapping[str, str], wanted: Mapping[str, str], harm: str) -> str:
    return (
        f"{name} has {key}={found[key]} where {wanted[key]} is needed, or {harm}: `kafka-configs --alter"
        f" --entity-type topics --entity-name {name} --add-config {key}={wanted[key]}`"
    )
