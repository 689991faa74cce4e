"""What a message costs that memory decides: from the normalised item to a record that is ready to be written."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from bench.cost import compare
from bench.remembered import remembered
from bench.result import Result
from processors.items import Item
from topics import codec
from topics.catalog import DECISIONS, Names
from topics.headers import EventHeaders
from topics.records import Out

ABOUT = (
    "CPU of one core, best of five rounds; 200-byte log lines under the demo's policy with its rules, every answer "
    "put in memory beforehand. The floor is the least that any decision costs: orjson.dumps of the same Decision "
    "as a ready dict."
)
_COLUMNS = {"cpu_us_each": "CPU µs each", "per_s": "a second and core", "ratio": "CPU × the floor"}
_BYTES_EACH = 200


def run(seconds: float = 2.0) -> Result:
    """`seconds` for each line."""
    known = remembered(_BYTES_EACH)
    items = [item for record in known.records if isinstance(item := known.normaliser.read(record), Item)]
    dicts = [asdict(triaged.decision) for item in items if (triaged := known.triage.free(item))]
    topic, names = known.records[0].topic, Names()
    stage = known.stage(names, topic)
    headers = EventHeaders("triage", "decision")
    decisions = names.topic(DECISIONS)

    def written(item: Item) -> Out:
        triaged = known.triage.free(item)
        assert triaged is not None
        decision = triaged.decision
        value = codec.encode(decision)
        return Out(decisions, None, value, headers(decision.id, int(time.time() * 1000), item.traceparent))

    def whole_stage() -> int:
        return len(stage.take(known.records))

    works: dict[str, Callable[[], int]] = {
        "orjson.dumps of a dict (the floor)": _each(orjson.dumps, dicts),
        "Triage.free": _each(known.triage.free, items),
        "Triage.free, encoding, headers": _each(written, items),
        "TriageStage.take: reading, too": whole_stage,
    }
    costs = compare(works, seconds)
    floor = next(iter(costs.values())).cpu_us_each
    lines = {
        name: {"cpu_us_each": cost.cpu_us_each, "per_s": 1e6 / cost.cpu_us_each, "ratio": cost.cpu_us_each / floor}
        for name, cost in costs.items()
    }
    return Result(suite="memory_hit", about=ABOUT, columns=_COLUMNS, lines=lines)


def _each(do: Callable[[Any], object], values: Sequence[Any]) -> Callable[[], int]:
    def work() -> int:
        for value in values:
            do(value)
        return len(values)

    return work
