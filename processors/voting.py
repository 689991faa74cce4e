"""Asks nano about a message, and once or twice more in other company where its answer is unsure."""

import random
from collections.abc import Callable

from processors.batches import Batches
from processors.errors import SluiceError
from processors.items import Item
from processors.questions import Answered, Bill, Question
from processors.revote import Revote
from topics.limits import ESCALATION_USD_MICROS, REVOTE_SHARE


class Voting:
    """Of one stream and model."""

    def __init__(self, batches: Batches, confidence_min: float, rng: random.Random) -> None:
        self._batches = batches
        self._revote = Revote(confidence_min, rng)

    async def answer(self, item: Item) -> Answered:
        """All votes as one answer, with one bill. Raises as Batches.put says."""
        return await self.more(item, await self._batches.put(item).answer())

    async def more(self, item: Item, first: Answered, put: Callable[[Item], Question] | None = None) -> Answered:
        """`first`, and further votes where they are worth their price. `put`: asks, instead of Batches.put."""
        if first.suspect:  # what its text may have dictated does not get better by repeating it
            return first
        votes, bill, last = [first.verdict], first.bill, first
        share = REVOTE_SHARE * self._batches.controller.alone_share if first.bill.batch_size > 1 else 0.0
        while self._revote.wanted(votes, last.bill.cost_usd_micros, ESCALATION_USD_MICROS, share):
            try:
                last = await (put or self._batches.put)(item).answer()
            except SluiceError:
                break  # there is an answer already
            votes.append(last.verdict)
            cost = bill.cost_usd_micros + last.bill.cost_usd_micros
            bill = Bill(max(bill.batch_size, last.bill.batch_size), bill.tokens + last.bill.tokens, round(cost, 3))
            if last.suspect:
                return Answered(first.verdict, bill, suspect=True)
        return Answered(self._revote.settle(votes), bill)
