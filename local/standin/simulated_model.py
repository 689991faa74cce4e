"""The model behind the stand-in: from a call that keeps the API's rules to what the model says."""

from collections.abc import Mapping
from typing import Any

import orjson

from local.standin.answering import Answers, coded_labels, label_choices
from local.standin.calls import Answer, Call
from local.standin.deciding import break_decisions, decide
from local.standin.faults import break_items
from local.standin.filling import fill
from local.standin.judging import Judge, with_accidents
from local.standin.reading import Reading, find_example, find_schema, read
from local.standin.tool_use import choose_calls
from topics.messages import Tier

_REFUSAL = "I'm sorry, but I can't help with that."
_GARBAGE = "Sure! Here is what I think about your messages: they look"


class SimulatedModel:
    """Scripted, not a language model: it reads the prompt's messages, judges them and fills what is asked for."""

    def __init__(self, judge: Judge, seed: int) -> None:
        self._judge = judge
        self._seed = seed

    async def answer(self, call: Call, tier: Tier, now: float, fault: str | None = None) -> Answer:
        """`fault`: the kind of a fault that concerns what the model says. `now`: seconds since the epoch."""
        if call.questions:
            return Answer(decisions=break_decisions(await decide(call, self._judge, tier, now), fault))
        if fault == "refusal":
            return Answer(refusal=_REFUSAL)
        if fault == "garbage_text":
            return Answer(text=_GARBAGE)
        reading = read(call)
        if calls := choose_calls(call, reading, self._seed):
            return Answer(tool_calls=calls)
        schema = call.format.schema if call.format is not None else None
        if schema is None:
            schema = find_schema(call.system) or find_example(call.system)
        if schema is None:
            return Answer(text=self._prose(reading, as_json=call.format is not None))
        value = await self._filled(schema, reading, tier, now)
        return Answer(text=orjson.dumps(break_items(value, fault) if fault else value).decode())

    async def _filled(self, schema: Mapping[str, Any], reading: Reading, tier: Tier, now: float) -> Any:
        labels = label_choices(schema) or coded_labels(schema, reading)
        if not labels:
            return fill(schema, schema, Answers(reading, reading.messages[0], None, self._seed))
        await self._judge.prepare(labels)
        judged = self._judge.judge(reading, labels, tier, now)
        return fill(schema, schema, Answers(reading, judged[0].message, judged[0], self._seed, with_accidents(judged)))

    def _prose(self, reading: Reading, *, as_json: bool) -> str:
        """An answer where no shape is asked for."""
        text = Answers(reading, reading.messages[0], None, self._seed).scalar("summary", "string", {})
        return orjson.dumps({"answer": text}).decode() if as_json else str(text)
