"""One call to nano about a few messages, with a control among them whose answer is known."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from processors.answers import Answers, NoVerdict
from processors.asking import Model
from processors.controls import Control
from processors.items import Item
from processors.policy import Stream
from processors.prompt import Prompt
from topics.messages import Tokens, Verdict

_ID_LETTERS = "0123456789abcdefghijkmnpqrstuvwxyz"  # without l and o, which models confuse with digits
_ID_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call: one verdict a message, in order, and each one's share of the bill."""

    verdicts: Sequence[Verdict | NoVerdict]
    tokens: Tokens
    cost_usd_micros: float


class Nano:
    """Asks about messages of one stream. `rng` should be unpredictable to senders: ids and controls come from it."""

    def __init__(self, name: str, stream: Stream, model: Model, rng: random.Random) -> None:
        self._prompt = Prompt(name, stream)
        self._answers = Answers(stream)
        self._labels = tuple(stream.labels)
        self._model = model
        self._rng = rng

    async def call(self, items: Sequence[Item]) -> Reply:
        """Asks about `items`, all of one tenant. Two or more get a control: where it fails, no answer counts.

        Raises what Model.ask raises.
        """
        *ids, control_id = self._ids(len(items) + 1)
        texts = [(id_, item.text) for id_, item in zip(ids, items, strict=True)]
        control = None
        if len(items) > 1:
            control = Control(control_id, self._rng.choice(self._labels), self._rng.randint(0, 100))
            texts.insert(self._rng.randrange(len(texts) + 1), (control.id, control.text))
        sent = dict(texts)
        answer = await self._model.ask(self._prompt.ask(sent, tenant=items[0].tenant, messages=len(items)))
        verdicts = self._answers.read(answer.text, list(sent), control, answer.model)
        return Reply(verdicts, answer.tokens.share(len(items)), answer.cost_usd_micros / len(items))

    def _ids(self, count: int) -> list[str]:
        """Distinct random ids: a text cannot name its neighbours."""
        numbers = self._rng.sample(range(len(_ID_LETTERS) ** _ID_LENGTH), count)
        return [
            "".join(_ID_LETTERS[number // len(_ID_LETTERS) ** place % len(_ID_LETTERS)] for place in range(_ID_LENGTH))
            for number in numbers
        ]
