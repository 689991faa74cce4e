"""Identical messages in flight share one answer, as if the first had been remembered already."""

from processors.batches import Batches
from processors.errors import AnswerError
from processors.items import Item
from processors.memory import Key
from processors.questions import Answered, Question


class Sharing:
    """The questions of one stream that are being asked, by memory key. `alone`: without company. `suspect`: about texts
    that were in a batch that failed its control."""

    def __init__(self, batches: Batches, *, alone: bool = False, suspect: bool = False) -> None:
        self._batches = batches
        self._alone = alone
        self._suspect = suspect
        self._asked: dict[Key, Question] = {}

    async def answer(self, key: Key, item: Item) -> tuple[Answered, bool]:
        """The answer, and whether it is this message's own: one of the sharers pays for it, the others do not.

        An AnswerError is one message's own, too: the others are asked once more, together, and share what comes of
        that. Raises what a question fails with (Batches.put).
        """
        question = self._question(key, item)
        try:
            return await self._wait(key, question), question.claim()
        except AnswerError:
            if question.claim():
                raise
        question = self._question(key, item)
        return await self._wait(key, question), question.claim()

    def _question(self, key: Key, item: Item) -> Question:
        question = self._asked.get(key)
        if question is None or not question.joinable:
            question = self._asked[key] = self._batches.put(item, alone=self._alone, suspect=self._suspect)
        return question

    async def _wait(self, key: Key, question: Question) -> Answered:
        try:
            return await question.answer()
        finally:
            if not question.waiters and self._asked.get(key) is question:
                del self._asked[key]
