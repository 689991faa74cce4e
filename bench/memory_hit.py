"""What a message costs that memory decides: from the record as it was read to one that is ready to be written."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from bench import messages
from bench.cost import compare
from bench.remembered import STREAM, Remembered, recalled, remember, remembered
from bench.result import Result
from processors.items import Item
from topics.catalog import Names

ABOUT = (
    "CPU of one core, best of five rounds; the demo's policy with its rules, every answer put in memory beforehand. "
    "Raw log lines have 200 bytes, and no two are the same: times and process ids differ. Of the turns of a dialogue "
    "those of the agents are ignored, as they are in life. The floor is the least that any decision costs: "
    "orjson.dumps of a Decision as a ready dict."
)
_COLUMNS = {"cpu_us_each": "CPU µs each", "per_s": "a second and core", "ratio": "CPU × the floor"}
_BYTES_EACH = 200
_BATCH_RECORDS = 500


def run(seconds: float = 2.0) -> Result:
    """`seconds` for each line."""
    known = remembered(_BYTES_EACH)
    items = [item for record in known.records if isinstance(item := known.normaliser.read(record), Item)]
    dicts = [asdict(triaged.decision) for item in items if (triaged := known.triage.free(item))]
    works: dict[str, Callable[[], int]] = {
        "orjson.dumps of a dict (the floor)": _each(orjson.dumps, dicts),
        "one by one: Triage.free, no reading": _each(known.triage.free, items),
        "TriageStage.take: raw log line": _taking(known),
        "TriageStage.take: raw log line, by template": _taking(asyncio.run(recalled(_BYTES_EACH))),
    }
    for shape, records in messages.by_shape().items():
        if shape != "raw log line":
            stream = {"JSON log": STREAM, "dialogue turn": "dialogues"}.get(shape, "emails")
            works[f"TriageStage.take: {shape}"] = _taking(remember(stream, records))
    costs = compare(works, seconds)
    floor = next(iter(costs.values())).cpu_us_each
    lines = {
        name: {"cpu_us_each": cost.cpu_us_each, "per_s": 1e6 / cost.cpu_us_each, "ratio": cost.cpu_us_each / floor}
        for name, cost in costs.items()
    }
    return Result(suite="memory_hit", about=ABOUT, columns=_COLUMNS, lines=lines)


def _taking(known: Remembered) -> Callable[[], int]:
    """The whole stage, with batches as they come from Kafka."""
    topic = known.records[0].topic
    stage = known.stage(Names(), topic)
    batches = [known.records[at : at + _BATCH_RECORDS] for at in range(0, len(known.records), _BATCH_RECORDS)]

    def work() -> int:
        stage.forget(topic, 0)  # conversations begin anew
        return sum(len(stage.take(batch)) for batch in batches)

    return work


def _each(do: Callable[[Any], object], values: Sequence[Any]) -> Callable[[], int]:
    def work() -> int:
        for value in values:
            do(value)
        return len(values)

    return work
