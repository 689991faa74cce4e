"""`sluice schemas`: what travels on each topic, for whoever reads or writes it."""

from importlib.metadata import version

import click
import orjson

from processors.errors import ConfigurationError
from streams import columns, settings
from streams.settings import Runtime
from topics import schemas as published
from topics.catalog import DEFAULT_PREFIX, OWNED, Names


@click.command()
@click.argument("topic", required=False)
@click.option("--prefix", default=DEFAULT_PREFIX, show_default=True, help="Of the topics' names.")
@click.option("--connect", is_flag=True, help="For Kafka Connect's JsonConverter, on one line.")
@click.pass_obj
def schemas(runtime: Runtime, topic: str | None, prefix: str, connect: bool) -> None:
    """Print the AsyncAPI document, or the JSON Schema of one topic.

    With --connect it is the schema that sinks need to make tables, for JsonConverter's setting schema.content; the
    values on the topic stay plain JSON. Extracted fields and alert labels are those of sluice.toml, where there is
    one: print it anew when they change.

    \b
    Example:
      sluice schemas > asyncapi.json
      sluice schemas escalations.mini
      export DECISIONS_SCHEMA="$(sluice schemas decisions --connect)"
    """
    known = {owned.name: owned for owned in OWNED if owned.value is not None}
    name = None if topic is None else topic.removeprefix(prefix)
    if name is None:
        if connect:
            raise ConfigurationError(f"--connect is for one topic: name one of {', '.join(known)}.")
        document = published.asyncapi(Names(prefix), version("sluice-streams"))
    elif name not in known:
        raise ConfigurationError(f"topic '{topic}' has no schema: use one of {', '.join(known)}.")
    elif connect:
        document = columns.schema(known[name], settings.given(runtime))
    else:
        document = published.json_schema(known[name])
    click.echo(orjson.dumps(document, option=0 if connect else orjson.OPT_INDENT_2))
