"""The honest comparisons: one plain call a message, and the floor that no way of asking about every message beats.

The plain call is what anybody would write first: the labels in the policy's own words, one message, a small JSON
answer, no schema and no examples. The provider caches its instructions by itself where they are long enough.
"""

import orjson

from local.standin.tokens import count
from processors.errors import AnswerInvalid
from processors.gateway.context import Context
from processors.gateway.gateway import Gateway
from processors.gateway.prices import Price
from processors.gateway.wire import bare_json
from processors.items import Item
from processors.policy import Stream
from topics.messages import Tier, Verdict

FLOOR_OUTPUT_TOKENS = 5  # of an answer that is one label's code and little else
_OUTPUT_TOKENS_MAX = 64
_TRIES = 2


class Plain:
    """Asks one tier about messages of one stream."""

    def __init__(self, name: str, stream: Stream, tier: Tier, gateway: Gateway) -> None:
        self._name = name
        self._tier: Tier = tier
        self._severities = {label: spec.severity for label, spec in stream.labels.items()}
        self._instructions = instructions(name, stream)
        self._gateway = gateway

    async def ask(self, item: Item) -> Verdict:
        """Raises what Gateway.send raises, or AnswerInvalid where twice no label of the stream came back."""
        body = orjson.dumps(
            {
                "model": self._tier,
                "instructions": self._instructions,
                "input": item.text,
                "max_output_tokens": _OUTPUT_TOKENS_MAX,
                "reasoning": {"effort": "none"},
                "store": False,
            }
        )
        for _ in range(_TRIES):
            context = Context(tier=self._tier, stream=self._name, tenant=item.tenant, purpose="plain")
            reply = await self._gateway.send("/responses", body, context)
            if (verdict := self._read(reply.reading.text, reply.reading.model)) is not None:
                return verdict
        raise AnswerInvalid(f"{self._tier} named no label of stream {self._name}: {reply.reading.text[:200]}")

    def _read(self, text: str, model: str | None) -> Verdict | None:
        try:
            answer = orjson.loads(bare_json(text))
            label, confidence, priority = answer["label"], float(answer["confidence"]), int(answer["priority"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return None
        if label not in self._severities or not 0 <= confidence <= 1 or not 0 <= priority <= 100:
            return None
        return Verdict(
            tier=self._tier,
            label=label,
            severity=self._severities[label],
            confidence=confidence,
            priority=priority,
            fields={},
            summary=None,
            model=model,
        )


def instructions(name: str, stream: Stream) -> str:
    """As somebody would write them by hand."""
    labels = "\n".join(f"- {label}: {' '.join(spec.means.split())}" for label, spec in stream.labels.items())
    example = orjson.dumps({"label": next(iter(stream.labels)), "confidence": 0.97, "priority": 10}).decode()
    return f'Classify the message of "{name}" by one of these labels.\n{labels}\nAnswer with JSON only, as {example}\n'


def floor_usd(text: str, price: Price) -> float:
    """USD for a message's own tokens once, as the stand-in counts them, and a shortest answer: no instructions."""
    return (count(text.encode()) * price.input + FLOOR_OUTPUT_TOKENS * price.output) / 1e6
