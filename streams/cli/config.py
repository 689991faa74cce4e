"""`sluice config`: checks a policy, and gives the schema that editors use."""

from pathlib import Path
from typing import get_args

import click
import orjson

from processors.errors import ConfigurationError
from processors.gateway.prices import price_of
from processors.policy import Policy
from streams import settings
from streams.settings import Runtime
from topics.messages import Tier


@click.group()
def config() -> None:
    """Check sluice.toml, or print its JSON Schema for an editor.

    \b
    Example:
      sluice config check
      sluice config schema > sluice.schema.json
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="The policy as it is understood, defaults filled in.")
@click.pass_obj
def check(runtime: Runtime, as_json: bool) -> None:
    """Read the policy and say what it means, or everything that is wrong with it.

    \b
    Example:
      sluice --config team.toml config check
    """
    policy = settings.load(runtime.config)
    _priced(policy, runtime.config)
    if as_json:
        click.echo(policy.model_dump_json(indent=2, by_alias=True))
        return
    click.echo(f"{runtime.config}: good")
    for name, stream in policy.streams.items():
        labels = ", ".join(
            f"{label} → {spec.escalate}" if spec.escalate and spec.escalate != "never" else label
            for label, spec in stream.labels.items()
        )
        click.echo(f"  {name} ({stream.kind}, version {stream.version}) from {', '.join(stream.topics)}: {labels}")
    for tier in ("nano", "mini", "flagship"):
        chosen = policy.tiers.of(tier)
        click.echo(f"  {tier}: {chosen.model} at {policy.providers[chosen.provider].base_url}")
    click.echo(f"  Kafka: {policy.kafka.bootstrap_servers}, prefix {policy.kafka.prefix!r}")


def _priced(policy: Policy, path: Path) -> None:
    """Raises ConfigurationError for every tier without a price: `run` and `test` would refuse them one by one."""
    wrong = []
    for tier in get_args(Tier):
        try:
            price_of(tier, policy.tiers.of(tier))
        except ConfigurationError as error:
            wrong.append(f"{path}: {error}.")
    if wrong:
        raise ConfigurationError("\n".join(wrong))


@config.command()
def schema() -> None:
    """Print the JSON Schema of sluice.toml.

    \b
    Example:
      sluice config schema > sluice.schema.json
      # then, as the first line of sluice.toml:
      #:schema ./sluice.schema.json
    """
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Policy.model_json_schema()
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
