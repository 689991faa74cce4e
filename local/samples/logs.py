"""The sample logs: scenes that last, beats that come once, in many formats and shapes."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.samples import defects, wire
from local.samples.defects import DEFECTS, Defect
from local.samples.log_formats import FORMATS, Event, Written, as_line, clock_of_access_logs, pid_of
from local.samples.sample import SECONDS, Sample, moment, story_seconds, unlabelled
from local.samples.wording import Wording, read

_USER = 1  # syslog's facility for whatever names none
_SHAPES = {"bare": 55, "natural": 15, "quoted": 8, "connect_string": 7, "connect_struct": 8, "record": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Lines that one program writes while the scene lasts. Texts may have slots."""

    lines: tuple[str, ...]
    formats: tuple[str, ...]
    host: str
    program: str
    service: str
    label: str
    level: str
    cause: str | None
    facility: int
    pid: int | None  # None: one that follows from host and program
    weight: float
    after_s: int
    before_s: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A scene that has its turn at a moment of the story."""

    at_s: float
    scene: Scene


def logs(count: int, rng: random.Random, world: Mapping[str, Sequence[str]]) -> Iterator[Sample]:
    """`count` samples in order of time."""
    wording = Wording(world, rng)
    for number, planned in enumerate(_plan(count, rng), 1):
        if isinstance(planned, Defect):
            yield defects.sample(planned, "logs", number)
        else:
            yield _sample(planned, number, rng, wording)


def _plan(count: int, rng: random.Random) -> list[Planned | Defect]:
    texts = read("logs")
    scenes = [_scene(table, table["lines"], table["format"]) for table in texts["scenes"]]
    planned: list[Planned | Defect] = [
        Planned(story_seconds(table["at"]), _scene(table, [table["line"]], [table["format"]]))
        for table in texts["beats"]
    ]
    planned += DEFECTS["logs"]
    for _ in range(count - len(planned)):
        at_s = rng.uniform(0, SECONDS)
        weights = [scene.weight if scene.after_s <= at_s < scene.before_s else 0.0 for scene in scenes]
        planned.append(Planned(at_s, rng.choices(scenes, weights)[0]))
    return sorted(planned, key=lambda one: one.at_s)


def _scene(table: Mapping[str, Any], lines: Sequence[str], formats: Sequence[str]) -> Scene:
    return Scene(
        lines=tuple(lines),
        formats=tuple(formats),
        host=table["host"],
        program=table["program"],
        service=table.get("service", table["program"]),
        label=table.get("label", "routine"),
        level=table.get("level", "info"),
        cause=table.get("cause"),
        facility=table.get("facility", _USER),
        pid=table.get("pid"),
        weight=table.get("weight", 0.0),
        after_s=story_seconds(table.get("after", "00:00")),
        before_s=story_seconds(table["before"]) if "before" in table else SECONDS,
    )


def _sample(planned: Planned, number: int, rng: random.Random, wording: Wording) -> Sample:
    scene = planned.scene
    time = moment(planned.at_s)
    template = rng.choice(scene.lines)
    known = {"when": clock_of_access_logs(time)}
    host, service, message = (wording.fill(text, known) for text in (scene.host, scene.service, template))
    event = Event(
        time=time,
        host=host,
        program=scene.program,
        pid=pid_of(host, scene.program) if scene.pid is None else scene.pid,
        facility=scene.facility,
        level=scene.level,
        service=service,
        message=message,
        trace=wording.fill("{hex32}", known),
    )
    written = FORMATS[rng.choice(scene.formats)](event)
    sample_id, source = f"logs-{number:05}", f"brightwick/{host}"
    payload = {"line": as_line(event, written)}
    labels = {"template": template, "service": service}
    if isinstance(written, str):
        value = _value(written, rng, unlabelled(sample_id, "logs", source, time, payload))
    else:
        value = wire.json_value(written)
    return Sample(
        id=sample_id,
        stream="logs",
        source=source,
        time=time,
        payload=payload,
        label=scene.label,
        labels=labels if scene.cause is None else labels | {"cause": scene.cause},
        key=host.encode(),
        value=value,
        headers=_headers(event, written),
    )


def _value(line: str, rng: random.Random, record: Mapping[str, Any]) -> bytes:
    match rng.choices(list(_SHAPES), list(_SHAPES.values()))[0]:
        case "bare":
            return wire.bare(line)
        case "natural":
            return wire.json_value({"line": line})
        case "quoted":
            return wire.json_value(line)
        case "connect_string":
            return wire.connect_string(line)
        case "connect_struct":
            return wire.connect_struct({"line": line}, "brightwick.Syslog")
        case _:
            return wire.json_value(record)


def _headers(event: Event, written: Written) -> tuple[tuple[str, bytes], ...]:
    """Whoever logs a trace id has its context in the record's headers too (W3C Trace Context)."""
    if isinstance(written, Mapping) and "trace.id" in written:
        return (("traceparent", f"00-{event.trace}-{event.trace[:16]}-01".encode()),)
    return ()
