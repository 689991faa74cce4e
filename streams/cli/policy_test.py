"""`sluice test`: the policy's own tests, against the provider that it names."""

import asyncio
import os
import random
import sys

import click
import orjson

from processors import policy_tests
from processors.clock import SystemClock
from processors.errors import ConfigurationError
from processors.gateway.gateway import Gateway
from processors.policy import Policy
from streams import settings
from streams.settings import Runtime


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One object with every result.")
@click.pass_obj
def test(runtime: Runtime, as_json: bool) -> None:
    """Run the policy's own [[tests]].

    Rules cost nothing, the rest is asked of nano. Exit code 1 where one fails.

    Needs a provider (OPENAI_API_KEY, or OPENAI_BASE_URL for another server), and no Kafka.

    \b
    Example:
      sluice --config team.toml test
    """
    policy = settings.load(runtime.config)
    if not policy.tests:  # said before the gateway wants a key
        raise ConfigurationError(f"{runtime.config} has no [[tests]], so nothing can fail. {_example(policy)}")

    async def go() -> list[policy_tests.Result]:
        clock, rng = SystemClock(), random.SystemRandom()
        async with Gateway(policy, env=os.environ, clock=clock, rng=rng, on_spend=lambda _spend: None) as gateway:
            return await policy_tests.run(policy, gateway, clock=clock, rng=rng)

    results = asyncio.run(go())
    failed = [result for result in results if not result.passed]
    if as_json:
        click.echo(orjson.dumps({"tests": results, "failed": len(failed)}, option=orjson.OPT_INDENT_2))
    else:
        for result in results:
            click.echo(str(result))
        click.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if failed:
        sys.exit(1)


def _example(policy: Policy) -> str:
    """How to write a test, in the names of this policy."""
    name, stream = next(iter(policy.streams.items()))
    label = next(iter(stream.labels))
    return (
        "Add one, as\n"
        f'  [[tests]]\n  stream = "{name}"\n  text = "a message as it arrives"\n  expect = {{ label = "{label}" }}'
    )
