"""`sluice init`: a first policy, from three answers."""

import sys
from dataclasses import dataclass
from typing import get_args

import click
import orjson

from processors.errors import ConfigurationError
from streams import settings
from streams.settings import PolicyInvalid, Runtime
from topics.messages import Kind


@dataclass(frozen=True, slots=True)
class _Words:
    """What a first policy says about messages of one kind."""

    messages: str
    stream: str
    nothing: tuple[str, str]  # label and meaning of what nobody needs to see
    something: tuple[str, str]  # of what somebody must


_WORDS: dict[Kind, _Words] = {
    "log": _Words(
        "log lines",
        "logs",
        ("routine", "Normal operation; no one needs to look"),
        ("alert", "A failure that an operator must see now"),
    ),
    "email": _Words(
        "emails",
        "emails",
        ("other", "An ordinary mail that can wait its turn"),
        ("urgent", "Someone must act today: harm, a threat, a deadline, or a customer who is about to leave"),
    ),
    "dialogue": _Words(
        "conversations with customers",
        "dialogues",
        ("service", "An ordinary request"),
        ("urgent", "A person must take over now: fraud, danger, or a customer who has lost patience"),
    ),
}

_POLICY = """\
# A first policy. `sluice config check` reads it; every key is in docs/settings.md.
[streams.{stream}]
kind = "{kind}"
topics = [{topics}]

[streams.{stream}.labels.{nothing}]
means = {nothing_means}

[streams.{stream}.labels.{something}]
means = {something_means}
severity = "critical"         # what has one counts toward an alert
escalate = "mini"             # a mini agent looks at each of them
"""


@click.command()
@click.option("--kind", type=click.Choice(get_args(Kind)), help="What the messages are.")
@click.option("--topic", "topics", multiple=True, help="A topic that they arrive on; several with commas.")
@click.option("--watch-for", help="In your own words: which of them somebody must see.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.pass_obj
def init(runtime: Runtime, kind: Kind | None, topics: tuple[str, ...], watch_for: str | None, force: bool) -> None:
    """Write a first sluice.toml. Asks three questions, or takes the answers as options.

    \b
    Example:
      sluice init
      sluice init --kind log --topic syslog --watch-for "A disk that fails"
    """
    path = runtime.config
    if path.exists() and not force:
        raise ConfigurationError(f"{path} is there already: name another with --config, or write over it with --force.")
    if topics and not (topics := _apart(*topics)):
        raise ConfigurationError("--topic names no topic: write one, or several with commas, as --topic app,web.")
    if watch_for is not None and not watch_for.strip():
        raise ConfigurationError("--watch-for is empty: say in words which messages somebody must see.")
    if not (kind and topics and watch_for) and not sys.stdin.isatty():
        missing = [
            option
            for option, answer in (("--kind", kind), ("--topic", topics), ("--watch-for", watch_for))
            if not answer
        ]
        raise ConfigurationError(
            f"there is no terminal to ask at: give {', '.join(missing)} (see `sluice init --help`)."
        )
    kind = kind or click.prompt("What are the messages?", type=click.Choice(get_args(Kind)), default="log")
    words = _WORDS[kind]
    if not topics:
        given: str = click.prompt("Which topics do they arrive on (several with commas)?", default=words.stream)
        topics = _apart(given)
    watch_for = watch_for or click.prompt(
        f"Which of the {words.messages} must somebody see? In your own words", default=words.something[1]
    )
    text = policy(kind, topics, watch_for)
    try:
        settings.parse(text, path)
    except PolicyInvalid as error:  # its lines are of a file that nobody has
        told = "\n".join(problem.what for problem in error.problems)
        raise ConfigurationError(
            f"{told.rstrip('.')}. Nothing is written: answer otherwise, and run this again."
        ) from None
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Name another file with --config."
        ) from None
    click.echo(f"{path} is written. Next:")
    named = "" if str(path) == "sluice.toml" else f" --config {path}"
    click.echo(f"  sluice{named} try FILE          decide messages of a file, models simulated")
    click.echo(f"  sluice{named} config check      after you have changed it")
    click.echo(f"  sluice{named} topics apply      with your Kafka: create what Sluice owns, then `sluice run`")


def _apart(*given: str) -> tuple[str, ...]:
    """The topics in what was given, each once."""
    named = (topic.strip() for topics in given for topic in topics.split(","))
    return tuple(dict.fromkeys(topic for topic in named if topic))


def policy(kind: Kind, topics: tuple[str, ...], watch_for: str) -> str:
    """A whole sluice.toml."""
    words = _WORDS[kind]
    return _POLICY.format(
        stream=words.stream,
        kind=kind,
        topics=", ".join(map(_quoted, topics)),
        nothing=words.nothing[0],
        nothing_means=_quoted(words.nothing[1]),
        something=words.something[0],
        something_means=_quoted(watch_for),
    )


def _quoted(text: str) -> str:
    """A TOML string: JSON's, but for one character that TOML wants escaped too."""
    return orjson.dumps(text).decode().replace("\x7f", "\\u007f")
