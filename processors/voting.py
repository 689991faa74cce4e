"""Asks nano about a message, and once or twice more where its answer is doubtful: alone where that costs little more
than company does, else in other company."""

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import replace

from processors.batches import Batches
from processors.errors import SluiceError
from processors.items import Item
from processors.policy import Stream
from processors.proposals import Proposal
from processors.questions import Answered, Question
from processors.revote import Revote
from topics.limits import ESCALATION_USD_MICROS, REVOTE_ALONE_BELOW, REVOTE_ALONE_SHARE, REVOTE_SHARE


class Voting:
    """Of one stream and model."""

    def __init__(self, batches: Batches, stream: Stream, rng: random.Random) -> None:
        self._batches = batches
        self._deadline_s = stream.deadline
        self._revote = Revote(stream.confidence_min, rng)
        self._asked: dict[tuple[str, str], _Asked] = {}  # by tenant and text

    async def answer(self, item: Item, opinion: Proposal | None = None) -> Answered:
        """All votes as one answer, with one bill. Raises as Batches.put says."""
        return await self.more(item, await self._batches.put(item).answer(), opinion)

    async def more(
        self,
        item: Item,
        first: Answered,
        opinion: Proposal | None = None,
        in_company: Callable[[Item], Question] | None = None,
    ) -> Answered:
        """`first`, and further votes where they are worth their price and the deadline leaves time. `opinion`: what a
        free means says of the message. `in_company`: asks again in other company than that of Batches.put."""
        if first.suspect:  # what its text may have dictated does not get better by repeating it
            return first
        votes, bill, seconds = [first.verdict], first.bill, first.seconds
        alone, price, share = self._terms(first)
        ask: Callable[[Item], Question] = functools.partial(self._batches.put, alone=alone, again=True)
        if in_company is not None and not alone:
            ask = in_company
        vote_usd_micros = price * first.bill.cost_usd_micros
        while self._revote.wanted(votes, vote_usd_micros, ESCALATION_USD_MICROS, share, opinion):
            if seconds + first.seconds > self._deadline_s:
                break  # a vote takes about as long as the first did
            try:
                last = await ask(item).answer()
            except SluiceError:
                break  # there is an answer already
            votes.append(last.verdict)
            seconds += last.seconds
            bill = bill.with_also(last.bill)
            if last.suspect:
                return Answered(first.verdict, bill, suspect=True)
        return Answered(self._revote.settle(votes, opinion), bill)

    async def shared(self, item: Item, opinion: Proposal | None = None) -> Answered:
        """As `answer`; the same text of the same tenant, while it is asked about, is not asked again. One of them pays.

        Who is cancelled takes nothing from the others.
        """
        key = item.tenant, item.memory_text
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked(asyncio.ensure_future(self.answer(item, opinion)))
            asked.answer.add_done_callback(lambda _: self._asked.pop(key, None))
        answered, first = await asked.wait()
        return answered if first else replace(answered, bill=answered.bill.paid())

    def _terms(self, first: Answered) -> tuple[bool, float, float]:
        """Whether further votes are asked alone, what one costs in first answers, and the share of these, at most, that
        get one for being doubtful."""
        saves = self._batches.controller.alone_share
        if first.bill.batch_size <= 1:
            return True, 1.0, 0.0
        if saves < REVOTE_ALONE_BELOW:
            return True, 1 / (1 - saves), REVOTE_ALONE_SHARE * (1 - saves)
        return False, 1.0, REVOTE_SHARE * saves


class _Asked:
    """Votes about a text, on behalf of all that wait for them."""

    def __init__(self, answer: "asyncio.Future[Answered]") -> None:
        self.answer = answer
        self._waiters = 0
        self._claimed = False

    async def wait(self) -> tuple[Answered, bool]:
        """The answer, and whether it is this caller who pays. With the last that is cancelled it is given up."""
        self._waiters += 1
        try:
            answered = await asyncio.shield(self.answer)
        finally:
            self._waiters -= 1
            if self._waiters == 0 and not self.answer.done():
                self.answer.cancel()
        first, self._claimed = not self._claimed, True
        return answered, first
