"""`sluice schemas`: what travels on each topic, for whoever reads or writes it."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import click
import orjson

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from processors.policy import Kafka
from streams import columns, registry_access, settings
from streams.schema_registry import RegistryAccess, SchemaRegistry
from streams.settings import Runtime
from topics import schemas as published
from topics.catalog import DEFAULT_PREFIX, OWNED, Names, Topic


@click.command()
@click.argument("topic", required=False)
@click.option("--prefix", help=f"Of the topics' names.  [default: {DEFAULT_PREFIX}; with --register the policy's]")
@click.option("--connect", is_flag=True, help="For Kafka Connect's JsonConverter, on one line.")
@click.option("--register", is_flag=True, help="Write the JSON Schemas to the schema registry.")
@click.pass_obj
def schemas(runtime: Runtime, topic: str | None, prefix: str | None, connect: bool, register: bool) -> None:
    """Print the AsyncAPI document, or one topic's JSON Schema.

    With --connect it is the schema that sinks need to make tables, for JsonConverter's setting schema.content; the
    values on the topic stay plain JSON. Extracted fields and alert labels are those of sluice.toml, where there is
    one: print it anew when they change.

    With --register the JSON Schemas of all topics, or of one, become the latest of the subjects <topic>-value in the
    registry of kafka.schema_registry or SCHEMA_REGISTRY_URL, for catalogues and code generators; what is there already
    stays as it is. The values on the topics stay plain JSON, without a registry's framing.

    \b
    Example:
      sluice schemas > asyncapi.json
      sluice schemas escalations.mini
      export DECISIONS_SCHEMA="$(sluice schemas decisions --connect)"
      sluice schemas --register
    """
    kafka = _kafka(runtime) if register else Kafka()
    names = kafka.names if prefix is None else Names(prefix)
    known = {owned.name: owned for owned in OWNED if owned.value is not None}
    name = None if topic is None else topic.removeprefix(names.prefix)
    if register and connect:
        raise ConfigurationError("--register and --connect are of two kinds of schema: use one of them at a time.")
    if name is None:
        if register:
            _register(kafka, names, list(known.values()))
            return
        if connect:
            raise ConfigurationError(f"--connect is for one topic: name one of {', '.join(known)}.")
        document = published.asyncapi(names, version("sluice-streams"))
    elif name not in known:
        raise ConfigurationError(f"topic '{topic}' has no schema: use one of {', '.join(known)}.")
    elif register:
        _register(kafka, names, [known[name]])
        return
    elif connect:
        document = columns.schema(known[name], settings.given(runtime))
    else:
        document = published.json_schema(known[name])
    click.echo(orjson.dumps(document, option=0 if connect else orjson.OPT_INDENT_2))


def _kafka(runtime: Runtime) -> Kafka:
    policy = settings.given(runtime)
    return policy.kafka if policy else Kafka()


def _register(kafka: Kafka, names: Names, topics: Sequence[Topic]) -> None:
    access = registry_access.access(kafka)
    if access is None:
        raise ConfigurationError(
            f"no schema registry is named: set kafka.schema_registry.url in the policy, or {registry_access.URL}"
        )
    for subject, id_ in asyncio.run(_ids(access, {f"{names.topic(topic)}-value": topic for topic in topics})).items():
        click.echo(f"{id_}\t{subject}")


def _for_registries(topic: Topic) -> str:
    """In the older dialect: registries compare schemas by libraries that know no later one. All that our schemas say
    means the same in both."""
    return orjson.dumps(published.json_schema(topic) | {"$schema": "http://json-schema.org/draft-07/schema#"}).decode()


async def _ids(access: RegistryAccess, subjects: Mapping[str, Topic]) -> dict[str, int]:
    async with SchemaRegistry(access, SystemClock()) as registry:
        return {
            subject: await registry.register(subject, _for_registries(topic)) for subject, topic in subjects.items()
        }
