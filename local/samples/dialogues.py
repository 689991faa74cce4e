"""The sample dialogues: talks written as plays, told turn by turn, many at a time."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.samples import defects, wire
from local.samples.defects import DEFECTS, Defect
from local.samples.rounds import Rounds
from local.samples.sample import SECONDS, Sample, moment, story_seconds, unlabelled
from local.samples.wording import Wording, read

_LINE = re.compile(r"(?P<speaker>customer|agent)(?: (?P<label>\w+))?: (?P<text>.+)")
_SHAPES = {"natural": 55, "connect_struct": 25, "record": 20}
_PAUSE_S = {"customer": (6.0, 48.0), "agent": (8.0, 35.0)}  # before a turn


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation at a moment of the story. `label`: the truth about the talk so far."""

    at_s: float
    conversation: str
    title: str
    number: int
    speaker: str
    text: str
    label: str | None
    order: str | None


def dialogues(count: int, rng: random.Random, world: Mapping[str, Sequence[str]]) -> Iterator[Sample]:
    """`count` samples in order of time; the turns of one conversation keep their order."""
    for number, planned in enumerate(_plan(count, rng, Wording(world, rng)), 1):
        if isinstance(planned, Defect):
            yield defects.sample(planned, "dialogues", number)
        else:
            yield _sample(planned, number, rng)


def _plan(count: int, rng: random.Random, wording: Wording) -> list[Turn | Defect]:
    """Talks with a place in the story first, then others until there are enough turns; the last may break off."""
    talks = read("dialogues")["talks"]
    turns: list[Turn] = []
    for talk in talks:
        if "at" in talk:
            turns += _turns(talk, story_seconds(talk["at"]), rng, wording)
    others = Rounds([talk for talk in talks if "at" not in talk], rng)
    wanted = count - len(DEFECTS["dialogues"])
    while len(turns) < wanted:
        talk = others.next()
        begin = rng.uniform(story_seconds(talk.get("after", "00:00")), SECONDS - 300)
        turns += _turns(talk, begin, rng, wording)[: wanted - len(turns)]
    return sorted([*turns, *DEFECTS["dialogues"]], key=lambda one: one.at_s)


def _turns(talk: Mapping[str, Any], at_s: float, rng: random.Random, wording: Wording) -> list[Turn]:
    known: dict[str, str] = {}
    if "customer" in talk:
        known["first"], known["last"] = talk["customer"].split()
    conversation = wording.fill("chat-{hex8}", {})
    turns: list[Turn] = []
    label: str | None = None
    for number, line in enumerate(talk["lines"].strip().splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(
                f"talk '{talk['title']}': '{line}' is no turn: write `customer label: text` or `agent: text`"
            )
        label = found["label"] or label
        text = wording.fill(found["text"], known)
        judged = label if found["speaker"] == "customer" else None
        turns.append(
            Turn(at_s, conversation, talk["title"], number, found["speaker"], text, judged, known.get("order"))
        )
        at_s += rng.uniform(*_PAUSE_S[found["speaker"]])
    return turns


def _sample(turn: Turn, number: int, rng: random.Random) -> Sample:
    time = moment(turn.at_s)
    sample_id, source = f"dialogues-{number:05}", "brightwick/chat"
    payload = {"conversation_id": turn.conversation, "speaker": turn.speaker, "text": turn.text}
    labels: dict[str, Any] = {"conversation": turn.conversation, "turn": turn.number, "talk": turn.title}
    if turn.order is not None:
        labels["order_id"] = turn.order
    return Sample(
        id=sample_id,
        stream="dialogues",
        source=source,
        time=time,
        payload=payload,
        label=turn.label,
        labels=labels,
        key=turn.conversation.encode(),
        value=_value(payload, rng, unlabelled(sample_id, "dialogues", source, time, payload)),
    )


def _value(payload: Mapping[str, str], rng: random.Random, record: Mapping[str, Any]) -> bytes:
    match rng.choices(list(_SHAPES), list(_SHAPES.values()))[0]:
        case "natural":
            return wire.json_value(payload)
        case "connect_struct":
            return wire.connect_struct(payload, "brightwick.ChatTurn")
        case _:
            return wire.json_value(record)
