"""`sluice console`: one live page of what flows, lags, fires and costs."""

import asyncio
import random

import click

from processors.clock import SystemClock
from streams import kafka_security, settings, shutdown, topics_admin
from streams.settings import Runtime


@click.command()
@click.option("--host", help="Where to listen.  [default: $SLUICE_CONSOLE_HOST, else 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="0: a free one.  [default: $SLUICE_CONSOLE_PORT, else 6066]",
)
@click.pass_obj
def console(runtime: Runtime, host: str | None, port: int | None) -> None:
    """Serve the console, until SIGTERM or Ctrl-C.

    Needs a broker (KAFKA_BOOTSTRAP_SERVERS) and the policy; no provider. It reads Kafka without a group and writes
    nothing, so that any number of them may run. It shows no content of messages unless SLUICE_CONSOLE_CONTENT=1, and
    wants SLUICE_CONSOLE_TOKEN to listen beyond this machine.

    \b
    Example:
      sluice console
      SLUICE_CONSOLE_TOKEN="$(openssl rand -hex 24)" sluice console --host 0.0.0.0
    """
    from streams.console.serving import serving  # not for --help of the others

    policy = settings.load(runtime.config)
    brokers = kafka_security.brokers(policy.kafka)
    given = {name: value for name, value in (("console_host", host), ("console_port", port)) if value is not None}
    chosen = runtime.model_copy(update=given)

    async def serve() -> None:
        await topics_admin.reach(brokers)
        with shutdown.on_signals() as stop:
            async with serving(policy, brokers, chosen, SystemClock(), random.SystemRandom()) as url:
                click.echo(f"console: {url}")
                await stop.wait()

    asyncio.run(serve())
