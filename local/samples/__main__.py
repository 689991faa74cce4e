"""`python -m local.samples --seed 7 --out DIR`: the sample streams as labelled JSONL files."""

from pathlib import Path

import click

from local.samples.generate import MESSAGES_MIN, generate
from local.samples.jsonl import write


@click.command()
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same streams.")
@click.option("--messages", default=3000, show_default=True, type=click.IntRange(min=MESSAGES_MIN))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder to write to.")
def main(seed: int, messages: int, out: Path) -> None:
    """Writes logs.jsonl, emails.jsonl and dialogues.jsonl with their gold labels.

    Records that are no messages (bytes that are no text, tombstones) are not in the files.

    Example: python -m local.samples --seed 7 --out samples/
    """
    for path, count in write(generate(seed, messages), out).items():
        click.echo(f"{path}: {count:,} records")


if __name__ == "__main__":
    main()
