"""One call about a few messages, in random order, with a control among them whose answer is known."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from processors import answer_form
from processors.answers import Answers, NoVerdict
from processors.asking import Model
from processors.clock import Clock, SystemClock
from processors.controls import Control
from processors.items import Item
from processors.output_room import OutputRoom
from processors.policy import Stream
from processors.prefix import CACHED_PRICE, Prefix
from processors.prompt import Example, Prompt
from topics.limits import EXAMPLES_MAX
from topics.messages import Tier, Tokens, Verdict

_OUTPUT_PRICE = 6.0  # of an output token beside one of input, with every model of the vendor (5 to 6.25)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call: one verdict a message, in order, and each one's share of the bill."""

    verdicts: Sequence[Verdict | NoVerdict]
    tokens: Tokens
    cost_usd_micros: float
    latency_s: float  # of the call alone, without waiting for a limit
    fixed_share: float  # of the bill: what does not grow with the messages (instructions, schema, control)


class Nano:
    """Asks a model of `tier` about messages of one stream. `rng` should be unpredictable to senders: keys, controls and
    the order come from it."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        model: Model,
        rng: random.Random,
        tier: Tier = "nano",
        *,
        clock: Clock | None = None,
    ) -> None:
        self._prompt = Prompt(name, stream, tier)
        self._answers = Answers(stream, tier)
        self._codes = tuple(self._prompt.codes.values())
        self._room = OutputRoom(self._prompt.item_tokens)
        self._prefix = Prefix(f"{stream.version}.{name}"[:48], self._prompt.prefix_bytes, f"{rng.getrandbits(16):04x}.")
        self._examples: tuple[Example, ...] = ()
        self._model = model
        self.rng = rng
        self._clock = clock or SystemClock()

    def show(self, examples: Sequence[Example]) -> None:
        """Messages whose labels are known, to fill the prefix with where that makes calls cheaper: once a few calls
        were measured, and for as long as the provider finds the prefix in its cache. They are shown with every
        tenant's messages, and their texts must give no orders (processors.injection)."""
        self._examples = tuple(examples[:EXAMPLES_MAX])

    async def call(self, items: Sequence[Item]) -> Reply:
        """Asks about `items`, all of one tenant. Two or more get a control: where it fails, no answer counts.

        Raises what Model.ask raises.
        """
        *keys, control_key = map(str, self._keys(len(items) + 1))
        order = self.rng.sample(range(len(items)), len(items))
        texts = [(keys[number], items[number].text) for number in order]
        control = None
        if len(items) > 1:
            percent = self.rng.randint(0, answer_form.PERCENT_MAX)
            control = Control(control_key, self.rng.choice(self._codes), percent)
            texts.insert(self.rng.randrange(len(texts) + 1), (control.key, control.text))
        now_s = self._clock.monotonic()
        if self._examples and self._prefix.wants_filling(now_s):
            self._prompt.fill(self._examples, self._prefix.bytes_wanted)
            self._prefix.filled_to(self._prompt.filled_bytes, now_s)
        filled = self._prefix.pays
        ask = self._prompt.ask(
            dict(texts),
            tenant=items[0].tenant,
            messages=len(items),
            output_tokens=self._room.tokens(len(texts)),
            filled=filled,
            cache_key=self._prefix.key(now_s),
        )
        answer = await self._model.ask(ask)
        tokens = answer.tokens
        self._room.heard(len(texts), tokens.output, complete=answer.complete)
        prefix_bytes = self._prompt.filled_bytes if filled else self._prompt.prefix_bytes
        sent_bytes = prefix_bytes + len(ask.input.encode())
        self._prefix.heard(sent_bytes, tokens.input, tokens.cached, filled=filled, now_s=self._clock.monotonic())
        read = self._answers.read(answer.text, [key for key, _ in texts], control, answer.model)
        verdicts = dict(zip((key for key, _ in texts if key != control_key), read, strict=True))
        return Reply(
            [verdicts[key] for key in keys],
            tokens.share(len(items)),
            answer.cost_usd_micros / len(items),
            answer.latency_ms / 1000,
            _fixed_share(tokens, prefix_bytes / sent_bytes, controls=len(texts) - len(items), answers=len(texts)),
        )

    def _keys(self, count: int) -> list[int]:
        """Distinct random keys: a text cannot name its neighbours."""
        return self.rng.sample(range(answer_form.KEY_MIN, answer_form.KEY_MAX + 1), count)


def _fixed_share(tokens: Tokens, prefix_share: float, *, controls: int, answers: int) -> float:
    """Of what a call costs, in fresh input tokens. What is cached is part of the prefix."""
    prefix = max(0.0, tokens.input * prefix_share - tokens.cached) + tokens.cached * CACHED_PRICE
    whole = tokens.input - tokens.cached * (1 - CACHED_PRICE) + tokens.output * _OUTPUT_PRICE
    fixed = prefix + tokens.output * _OUTPUT_PRICE * controls / answers
    return fixed / whole if whole > 0 else 0.0
