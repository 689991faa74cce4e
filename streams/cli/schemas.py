"""`sluice schemas`: what travels on each topic, for whoever reads or writes it."""

from importlib.metadata import version

import click
import orjson

from processors.errors import ConfigurationError
from topics import schemas as published
from topics.catalog import DEFAULT_PREFIX, OWNED, Names


@click.command()
@click.argument("topic", required=False)
@click.option("--prefix", default=DEFAULT_PREFIX, show_default=True, help="Of the topics' names.")
def schemas(topic: str | None, prefix: str) -> None:
    """Print the AsyncAPI document, or the JSON Schema of one topic.

    \b
    Example:
      sluice schemas > asyncapi.json
      sluice schemas escalations.mini
    """
    if topic is None:
        document = published.asyncapi(Names(prefix), version("sluice-streams"))
    else:
        known = {owned.name: owned for owned in OWNED if owned.value is not None}
        name = topic.removeprefix(prefix)
        if name not in known:
            raise ConfigurationError(f"topic '{topic}' has no schema: use one of {', '.join(known)}.")
        document = published.json_schema(known[name])
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
