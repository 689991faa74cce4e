"""One call about a few messages, in random order, with a control among them whose answer is known.

What has to be known to read its answer is little (`Asked`): with a Batch job's request it is kept at the provider, and
whoever finds the answer hours later reads it as it would be read at once.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from processors import answer_form, controls
from processors.answers import Answers, NoVerdict
from processors.asking import Answer, Ask, Model
from processors.clock import Clock, SystemClock
from processors.controls import Control
from processors.items import Item
from processors.output_room import OutputRoom
from processors.policy import Stream
from processors.prefix import CACHED_PRICE, Prefix
from processors.prompt import Prompt
from topics.messages import Lane, Tier, Tokens, Verdict

_OUTPUT_PRICE = 6.0  # of an output token beside one of input, with every model of the vendor (5 to 6.25)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call: one verdict a message, in order, and each one's share of the bill."""

    verdicts: Sequence[Verdict | NoVerdict]
    tokens: Tokens
    cost_usd_micros: float
    latency_s: float  # of the call alone, without waiting for a limit
    fixed_share: float  # of the bill: what does not grow with the messages (instructions, schema, control)
    lane: Lane = "realtime"  # that was billed


@dataclass(frozen=True, slots=True)
class Asked:
    """How a call was made, as far as its answer is read by it."""

    keys: Sequence[str]  # of the texts in their order, the control's among them
    control: Control | None
    prefix_share: float  # of the bytes that were sent: instructions and schema

    @property
    def note(self) -> str:
        """All but the messages' keys, for who reads the answer later."""
        told: list[object] = [round(self.prefix_share, 3)]
        if self.control is not None:
            told += [self.keys.index(self.control.key), self.control.key, self.control.code, self.control.permille]
        return orjson.dumps(told).decode()

    @classmethod
    def noted(cls, keys: Iterable[str], note: str) -> "Asked":
        """`keys`: the messages', in their order. Raises TypeError or ValueError where the note is none."""
        share, *rest = orjson.loads(note)
        if not rest:
            return cls(tuple(keys), None, float(share))
        place, key, code, permille = rest
        texts = list(keys)
        texts.insert(int(place), str(key))
        return cls(texts, Control(str(key), str(code), int(permille)), float(share))


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
        opening = self._prefix.open(self._clock.monotonic())
        keys, asked, ask = self._write(
            items, again=again, control_alone=control_alone, filled=opening.filled, cache_key=opening.key
        )
        answer = await self._model.ask(ask if self._asks is None else replace(ask, model=self._asks))
        self._prefix.heard(opening, answer.tokens.cached, self._clock.monotonic())
        verdicts, fixed_share = self._read(answer, asked)
        return Reply(
            [verdicts[key] for key in keys],
            answer.tokens.share(len(items)),
            answer.cost_usd_micros / len(items),
            answer.latency_ms / 1000,
            fixed_share,
            answer.lane,
        )

    def request(self, items: Mapping[str, Item], deadline_s: float) -> Ask:
        """The same as a Batch job's request, about messages by name; its answer is read by `reply`. `deadline_s`: from
        now until it is of use. Its prefix is short: nothing says that jobs find it in a cache."""
        keys, asked, ask = self._write(list(items.values()), control_alone=True)
        names = dict(zip(keys, items, strict=True))
        about = {names[key]: key for key in asked.keys if key in names}
        return replace(ask, deadline_s=deadline_s, about=about, note=asked.note)

    def reply(self, answer: Answer) -> Reply:
        """To what `request` asked, in the order of `answer.about`. Raises as Asked.noted."""
        verdicts, fixed_share = self._read(answer, Asked.noted(answer.about.values(), answer.note))
        return Reply(
            [verdicts[key] for key in answer.about.values()],
            answer.tokens.share(len(answer.about)),
            answer.cost_usd_micros / len(answer.about),
            answer.latency_ms / 1000,
            fixed_share,
            answer.lane,
        )

    def _write(
        self,
        items: Sequence[Item],
        *,
        again: int = 0,
        control_alone: bool = False,
        filled: bool = False,
        cache_key: str | None = None,
    ) -> tuple[Sequence[str], Asked, Ask]:
        """The call, how it is made, and the items' keys in their order."""
        *keys, control_key = map(str, self._keys(len(items) + 1))
        order = _shuffled(range(again), self.rng) + _shuffled(range(again, len(items)), self.rng)
        texts = [(keys[number], items[number].text) for number in order]
        control = None
        if control_alone or len(items) > 1:
            permille = self.rng.randint(0, controls.PERMILLE_MAX)
            control = Control(control_key, self.rng.choice(self._codes), permille)
            place = self.rng.randrange(len(texts) + 1) if len(items) > 1 else 1  # what is read first is judged best
            texts.insert(place, (control.key, control.text))
        ask = self._prompt.ask(
            dict(texts),
            tenant=items[0].tenant,
            messages=len(items),
            output_tokens=self._room.tokens(_answers(len(items), len(texts))),
            filled=filled,
            cache_key=cache_key,
            control=None if control is None else control.key,
        )
        prefix_bytes = self._prompt.filled_bytes if filled else self._prompt.prefix_bytes
        prefix_share = prefix_bytes / (prefix_bytes + len(ask.input.encode()))
        return keys, Asked([key for key, _ in texts], control, prefix_share), ask

    def _read(self, answer: Answer, asked: Asked) -> tuple[Mapping[str, Verdict | NoVerdict], float]:
        """A verdict a message's key, and the share of the bill that does not grow with the messages."""
        keys, control = asked.keys, asked.control
        messages = [key for key in keys if control is None or key != control.key]
        self._room.heard(_answers(len(messages), len(keys)), answer.tokens.output, complete=answer.complete)
        read = self._answers.read(answer.text, keys, control, answer.model, answer.sure)
        controls = len(keys) - len(messages)
        share = _fixed_share(answer.tokens, asked.prefix_share, controls=controls, answers=len(keys))
        return dict(zip(messages, read, strict=True)), share

    def _keys(self, count: int) -> list[int]:
        """Distinct random keys: a text cannot name its neighbours."""
        return self.rng.sample(range(answer_form.KEY_MIN, answer_form.KEY_MAX + 1), count)


def _answers(messages: int, texts: int) -> int:
    """That are given room. Beside a message alone there is enough for a control."""
    return texts if messages > 1 else 1


def _fixed_share(tokens: Tokens, prefix_share: float, *, controls: int, answers: int) -> float:
    """Of what a call costs, in fresh input tokens. What is cached is part of the prefix."""
    prefix = max(0.0, tokens.input * prefix_share - tokens.cached) + tokens.cached * CACHED_PRICE
    whole = tokens.input - tokens.cached * (1 - CACHED_PRICE) + tokens.output * _OUTPUT_PRICE
    fixed = prefix + tokens.output * _OUTPUT_PRICE * controls / answers
    return fixed / whole if whole > 0 else 0.0


def _shuffled(numbers: range, rng: random.Random) -> list[int]:
    return rng.sample(numbers, len(numbers))
