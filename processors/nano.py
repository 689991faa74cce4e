"""One call about a few messages, in random order, with a control among them whose answer is known."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from processors import answer_form, controls
from processors.answers import Answers, NoVerdict
from processors.asking import Model
from processors.clock import Clock, SystemClock
from processors.controls import Control
from processors.items import Item
from processors.output_room import OutputRoom
from processors.policy import Stream
from processors.prefix import CACHED_PRICE, Prefix
from processors.prompt import Prompt
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
        asks: str | None = None,
    ) -> None:
        """`asks`: another model in the place of the tier's."""
        self._prompt = Prompt(name, stream, tier)
        self._answers = Answers(stream, tier)
        self._codes = tuple(self._prompt.codes.values())
        self._room = OutputRoom(self._prompt.item_tokens)
        key = f"{stream.version}.{name}"[:48]
        salt = f"{rng.getrandbits(16):04x}."
        self._prefix = Prefix(key, self._prompt.prefix_bytes, self._prompt.filled_bytes, salt)
        self._model = model
        self._asks = asks
        self.rng = rng
        self._clock = clock or SystemClock()

    async def call(self, items: Sequence[Item], *, again: int = 0, control_alone: bool = False) -> Reply:
        """Asks about `items`, all of one tenant. Two or more get a control, and one where `control_alone`: where it
        fails, no answer counts. The first `again` of them are read before the others: what stands last in a batch is
        answered worst, and of these the answer was doubtful already.

        Raises what Model.ask raises.
        """
        *keys, control_key = map(str, self._keys(len(items) + 1))
        order = _shuffled(range(again), self.rng) + _shuffled(range(again, len(items)), self.rng)
        texts = [(keys[number], items[number].text) for number in order]
        control = None
        if control_alone or len(items) > 1:
            permille = self.rng.randint(0, controls.PERMILLE_MAX)
            control = Control(control_key, self.rng.choice(self._codes), permille)
            place = self.rng.randrange(len(texts) + 1) if len(items) > 1 else 1  # what is read first is judged best
            texts.insert(place, (control.key, control.text))
        answers = len(texts) if len(items) > 1 else 1  # alone, there is room for a control besides
        opening = self._prefix.open(self._clock.monotonic())
        ask = self._prompt.ask(
            dict(texts),
            tenant=items[0].tenant,
            messages=len(items),
            output_tokens=self._room.tokens(answers),
            filled=opening.filled,
            cache_key=opening.key,
            control=None if control is None else control.key,
        )
        answer = await self._model.ask(ask if self._asks is None else replace(ask, model=self._asks))
        tokens = answer.tokens
        self._room.heard(answers, tokens.output, complete=answer.complete)
        self._prefix.heard(opening, tokens.cached, self._clock.monotonic())
        prefix_bytes = self._prompt.filled_bytes if opening.filled else self._prompt.prefix_bytes
        sent_bytes = prefix_bytes + len(ask.input.encode())
        read = self._answers.read(answer.text, [key for key, _ in texts], control, answer.model, answer.sure)
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


def _shuffled(numbers: range, rng: random.Random) -> list[int]:
    return rng.sample(numbers, len(numbers))
