"""Asks nano about a message, and once or twice more in other company where its answer is unsure."""

from processors.batches import Batches
from processors.errors import AnswerError
from processors.items import Item
from processors.questions import Answered, Bill
from processors.revote import Revote
from topics.limits import ESCALATION_USD_MICROS


class Voting:
    """Of one stream."""

    def __init__(self, batches: Batches, confidence_min: float) -> None:
        self._batches = batches
        self._revote = Revote(confidence_min)

    async def answer(self, item: Item) -> Answered:
        """All votes as one answer, with one bill. Raises as Batches.put says."""
        return await self.more(item, await self._batches.put(item).answer())

    async def more(self, item: Item, first: Answered) -> Answered:
        """`first`, and further votes where they are worth their price."""
        if first.suspect:  # what its text may have dictated does not get better by repeating it
            return first
        votes, bill, last = [first.verdict], first.bill, first
        while self._revote.wanted(votes, last.bill.cost_usd_micros, ESCALATION_USD_MICROS):
            try:
                last = await self._batches.put(item).answer()
            except AnswerError:
                break  # there is an answer already
            votes.append(last.verdict)
            cost = bill.cost_usd_micros + last.bill.cost_usd_micros
            bill = Bill(last.bill.batch_size, bill.tokens + last.bill.tokens, round(cost, 3))
            if last.suspect:
                return Answered(first.verdict, bill, suspect=True)
        return Answered(self._revote.settle(votes), bill)
