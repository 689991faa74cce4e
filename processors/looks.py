"""Cheap looks at answers that nobody audits: nano is asked about some of them too, many messages a call.

Audits prove what is claimed of a whole stream, and are too few to find a change of one kind of message in time. A look
costs a hundredth of the reference's. Where nano says otherwise than was published the reference is asked about that
very message: nano errs more often than what is certified, and its word alone would close regions for nothing. What
comes of it is told to the regions (regions.py) and is no audit: it was drawn by what nano said.

Nobody waits for a look. Looks have batches of their own, so that a text which dictates its batch's answers costs no
answer anything, and are put there many at once. They change nothing that was published.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from processors.batches import Batches
from processors.clock import Clock
from processors.errors import SluiceError
from processors.injection import gives_orders
from processors.items import Item
from processors.metrics import LOOKED
from processors.questions import Answered
from topics.limits import LOOKS_MAX, LOOKS_WAIT_SECONDS
from topics.messages import Verdict

log = logging.getLogger("sluice.triage")

_OUTCOMES = ("agreed", "differed", "none")


@dataclass(frozen=True, slots=True)
class _Noted:
    item: Item
    published: Verdict
    at_s: float


class Looks:
    """Of one stream."""

    def __init__(
        self,
        name: str,
        batches: Batches,
        reference: Callable[[Item], Awaitable[Answered]],
        judged: Callable[[Item, Verdict, bool], None],
        clock: Clock,
        *,
        affordable: Callable[[], bool],
        spend: Callable[[float], None],
    ) -> None:
        """`batches`: of nano, for looks alone. `reference`: asks it about one message; raises as Batches.put says.
        `judged`: told what was published and whether the reference disagrees. `spend`: takes micro-dollars."""
        self._name = name
        self._batches = batches
        self._reference = reference
        self._judged = judged
        self._affordable = affordable
        self._spend = spend
        self._clock = clock
        self._noted: list[_Noted] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = {outcome: LOOKED.labels(name, outcome) for outcome in _OUTCOMES}

    @property
    def room(self) -> bool:
        """Where there is none, messages go by: looks follow a sample, and are no part of any proof."""
        return len(self._noted) + len(self._tasks) < LOOKS_MAX

    def note(self, item: Item, published: Verdict) -> None:
        """Takes a message that was answered for nothing. Raises nothing of what becomes of it."""
        if not self.room or gives_orders(item.text):
            return
        now_s = self._clock.monotonic()
        self._noted.append(_Noted(item, published, now_s))
        waited_s = now_s - self._noted[0].at_s
        if len(self._noted) >= self._batches.controller.size or waited_s >= LOOKS_WAIT_SECONDS:
            self._begin()

    async def close(self) -> None:
        """Abandons the looks under way."""
        self._noted = []
        for task in (tasks := tuple(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._batches.close()

    def _begin(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # they wait for one
            return
        noted, self._noted = self._noted, []
        for each in noted:
            task = loop.create_task(self._look(each))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _look(self, noted: _Noted) -> None:
        differed: bool | None = None
        try:
            differed = await self._differed(noted)
        except SluiceError as error:
            log.debug("stream %s: a look found nobody to ask: %s", self._name, error)
        except Exception as error:  # the answer is published, whatever comes of this
            log.error("stream %s: a look failed", self._name, exc_info=error)
        self._count["none" if differed is None else "differed" if differed else "agreed"].inc()
        if differed is not None:
            self._judged(noted.item, noted.published, differed)

    async def _differed(self, noted: _Noted) -> bool | None:
        """Whether the reference says otherwise, as far as nano can tell. None: nobody can."""
        if not self._affordable():
            return None
        looked = await self._batches.put(noted.item).answer()
        self._spend(looked.bill.cost_usd_micros)
        if looked.suspect:
            return None
        if looked.verdict.label == noted.published.label:
            return False
        if not self._affordable():
            return None
        judged = await self._reference(noted.item)
        self._spend(judged.bill.cost_usd_micros)
        return None if judged.suspect else judged.verdict.label != noted.published.label
