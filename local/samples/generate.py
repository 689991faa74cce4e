"""The three sample streams, merged by time."""

import heapq
import random
from collections.abc import Iterator

from local.samples.dialogues import dialogues
from local.samples.emails import emails
from local.samples.logs import logs
from local.samples.sample import Sample
from local.samples.wording import read

MESSAGES_MIN = 600  # fewer cannot hold what the story needs
_MAIL_SHARE = 0.15
_DIALOGUE_SHARE = 7 / 60  # 350 of 3,000


def generate(seed: int, messages: int = 3000) -> Iterator[Sample]:
    """Exactly `messages` samples in order of time; the same for the same seed, on any machine.

    More messages make the same forty minutes denser. ValueError below MESSAGES_MIN.
    """
    if messages < MESSAGES_MIN:
        raise ValueError(f"messages = {messages}: the story needs at least {MESSAGES_MIN}")
    world = read("world")
    mail, turns = round(messages * _MAIL_SHARE), round(messages * _DIALOGUE_SHARE)
    streams = (
        logs(messages - mail - turns, _chance(seed, "logs"), world),
        emails(mail, _chance(seed, "emails"), world),
        dialogues(turns, _chance(seed, "dialogues"), world),
    )
    return heapq.merge(*streams, key=lambda sample: sample.time)


def _chance(seed: int, stream: str) -> random.Random:
    """A stream's own, so that a text more in one leaves the others as they were."""
    return random.Random(f"{seed}/{stream}")
