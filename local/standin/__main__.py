"""`python -m local.standin`: runs the stand-in until it is stopped."""

import asyncio
import signal
import sys
from pathlib import Path

import click
import orjson

from local.standin import StandIn, StandInSettings
from local.standin.error_profile import DEFAULT_PROFILE


@click.command(help="A simulated model provider on 127.0.0.1. Example: python -m local.standin --gold logs.jsonl.gz")
@click.option("--port", default=0, show_default=True, help="0: any free one.")
@click.option(
    "--gold", "gold", multiple=True, type=click.Path(exists=True, path_type=Path), help="Labelled JSONL; repeatable."
)
@click.argument("more_gold", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--errors", default=DEFAULT_PROFILE, type=click.Path(exists=True, path_type=Path), help="Error profile.")
@click.option("--latency-scale", default=1.0, show_default=True, help="0: answers at once.")
@click.option("--key", default=None, help="The one API key that is accepted; without it any.")
@click.option("--rpm", default=600_000, show_default=True, help="Requests per minute and model.")
@click.option("--tpm", default=2_000_000_000, show_default=True, help="Tokens per minute and model.")
@click.option("--batch-seconds", default=3600.0, show_default=True, help="Of a Batch job, before --latency-scale.")
@click.option("--until-eof", is_flag=True, help="End when standard input does: with the parent, however it ends.")
def main(
    port: int,
    gold: tuple[Path, ...],
    more_gold: tuple[Path, ...],
    seed: int,
    errors: Path,
    latency_scale: float,
    key: str | None,
    rpm: int,
    tpm: int,
    batch_seconds: float,
    until_eof: bool,
) -> None:
    try:
        standin = StandIn(
            StandInSettings(
                port=port,
                gold=gold + more_gold,
                seed=seed,
                errors=errors,
                latency_scale=latency_scale,
                key=key,
                requests_per_minute=rpm,
                tokens_per_minute=tpm,
                batch_seconds=batch_seconds,
            )
        )
        asyncio.run(_run(standin, until_eof))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"port {port} cannot be used ({error}): choose another with --port") from None


async def _run(standin: StandIn, until_eof: bool) -> None:
    """Prints one JSON line once it listens; ends at SIGINT, SIGTERM, or the end of standard input if that is asked."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until_eof:
        loop.add_reader(sys.stdin, stopped.set)  # readable only at its end: nothing is ever written to it
    async with standin:
        line = {"base_url": standin.base_url, "simulated": True, "errors": standin.profile_hash}
        sys.stdout.write(orjson.dumps(line).decode() + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
