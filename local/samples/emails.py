"""The sample mail: who writes, when, and in which shape it lies on Kafka."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.samples import defects, wire
from local.samples.defects import DEFECTS, Defect
from local.samples.letters import Letter, Letters
from local.samples.rounds import Rounds
from local.samples.sample import SECONDS, Sample, moment, story_seconds, unlabelled
from local.samples.wording import Wording, read

_PLAIN_SHAPES = {"bytes": 35, "raw": 15, "natural": 22, "connect_struct": 14, "record": 14}
_RAW_SHAPES = {"bytes": 60, "raw": 25, "record_raw": 15}  # an HTML part or a header of its own needs the whole mail
_TRADE_SHARE = 0.08  # of the mail comes through the wholesale arm, a tenant of its own
_ASKED_FOR_SHARE = 0.01  # is marked by the mailbox's own rules: somebody important writes


@dataclass(frozen=True, slots=True)
class Planned:
    """A mail that comes at a moment of the story."""

    at_s: float
    mail: Mapping[str, Any]  # a table of texts/emails.toml


def emails(count: int, rng: random.Random, world: Mapping[str, Sequence[str]]) -> Iterator[Sample]:
    """`count` samples in order of time."""
    texts = read("emails")
    letters = Letters(Wording(world, rng), texts["greeting"], texts["closing"], rng)
    for number, planned in enumerate(_plan(count, rng, texts), 1):
        if isinstance(planned, Defect):
            yield defects.sample(planned, "emails", number)
        else:
            yield _sample(planned, number, rng, letters)


def _plan(count: int, rng: random.Random, texts: Mapping[str, Any]) -> list[Planned | Defect]:
    share: Mapping[str, float] = texts["share"]
    planned: list[Planned | Defect] = [Planned(story_seconds(m["at"]), m) for m in texts["mails"] if "at" in m]
    rounds = {
        label: Rounds([m for m in texts["mails"] if m["label"] == label and "at" not in m], rng) for label in share
    }
    planned += DEFECTS["emails"]
    for label in rng.choices(list(share), list(share.values()), k=count - len(planned)):
        mail = rounds[label].next()
        after, before = story_seconds(mail.get("after", "00:00")), story_seconds(mail.get("before", "40:00"))
        planned.append(Planned(rng.uniform(after, min(before, SECONDS)), mail))
    return sorted(planned, key=lambda one: one.at_s)


def _sample(planned: Planned, number: int, rng: random.Random, letters: Letters) -> Sample:
    time = moment(planned.at_s)
    sample_id, source = f"emails-{number:05}", "brightwick/mail-1"
    letter = letters.write(planned.mail, time, sample_id)
    shapes = _RAW_SHAPES if letter.whole_only else _PLAIN_SHAPES
    shape = rng.choices(list(shapes), list(shapes.values()))[0]
    payload = {"raw": letter.readable()} if shape in ("bytes", "raw", "record_raw") else letter.parts()
    labels: dict[str, Any] = {"template": planned.mail["subject"]}
    if letter.order is not None:
        labels["order_id"] = letter.order
    if "tag" in planned.mail:
        labels[planned.mail["tag"]] = True
    return Sample(
        id=sample_id,
        stream="emails",
        source=source,
        time=time,
        payload=payload,
        label=planned.mail["label"],
        labels=labels,
        key=letter.to.encode(),
        value=_value(shape, letter, payload, unlabelled(sample_id, "emails", source, time, payload)),
        headers=_headers(rng),
    )


def _value(shape: str, letter: Letter, payload: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    match shape:
        case "bytes":
            return letter.sent()
        case "raw" | "natural":
            return wire.json_value(payload)
        case "connect_struct":
            return wire.connect_struct(payload, "brightwick.Mail")
        case _:
            return wire.json_value(record)


def _headers(rng: random.Random) -> tuple[tuple[str, bytes], ...]:
    draw = rng.random()
    if draw < _TRADE_SHARE:
        return (("tenant", b"brightwick-trade"),)
    if draw > 1 - _ASKED_FOR_SHARE:
        return (("sluice-escalate", b"mini"),)
    return ()
