"""`sluice run`: the stages against a Kafka and a provider of one's own."""

import asyncio
import os
import random

import click

from processors.clock import SystemClock
from processors.errors import ConfigurationError
from streams import heap, pipeline, settings, shutdown
from streams.settings import Runtime
from topics.catalog import STAGES


@click.command()
@click.argument("stage", type=click.Choice(["all", *STAGES]), default="all")
@click.pass_obj
def run(runtime: Runtime, stage: str) -> None:
    """Run one stage, or all of them, until SIGTERM or Ctrl-C.

    Needs a broker (KAFKA_BOOTSTRAP_SERVERS) and a provider (OPENAI_API_KEY, or OPENAI_BASE_URL for another
    server): nothing is simulated here. Metrics and probes are on $SLUICE_HTTP_PORT (9464).

    When the policy file changes, labels, rules, fields, alerts and budgets are taken over without a restart; a
    change that takes one is told in the log, and the policy before it goes on.

    \b
    Example:
      export KAFKA_BOOTSTRAP_SERVERS=localhost:9092 OPENAI_API_KEY=sk-...
      sluice run             # everything in one process
      sluice run triage      # one stage a process, to scale them apart
    """
    policy = settings.load(runtime.config)
    if stage == "notify" and not policy.notify:
        raise ConfigurationError(
            f"{runtime.config}: there is nobody to notify: add a [[notify]] with its kind, see docs/alerting.md"
        )
    chosen = STAGES if stage == "all" else tuple(s for s in STAGES if s == stage)

    async def serve() -> None:
        with shutdown.on_signals() as stop:
            await pipeline.run(
                policy,
                chosen,
                runtime=runtime,
                env=os.environ,
                clock=SystemClock(),
                rng=random.SystemRandom(),
                stop=stop,
                on_ready=heap.suit_batches,
                policy_file=runtime.config,
            )

    asyncio.run(serve())
