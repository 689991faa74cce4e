"""Records to messages where values may be framed: in offset order, though a schema may have to be waited for."""

import logging
from collections import deque
from dataclasses import dataclass

from processors.items import Ignored, Item
from processors.normalise.normaliser import Normaliser
from streams.engine.stage import Forgotten
from streams.framed import Framed
from topics.messages import Rejected
from topics.records import Record, message_id

log = logging.getLogger(__name__)

Seen = Item | Ignored | Rejected


@dataclass(slots=True, eq=False)
class Waiting:
    """A record that is read when its schema is known, and those before it are read."""

    record: Record
    normaliser: Normaliser
    recalled: bool  # decided before: it is only remembered
    queue: "deque[Waiting]"  # it, and what is read before and after it
    seen: Seen | None = None


class Reading:
    """Reads each record when its schema is known.

    A dialogue's turn is judged with those before it. So where a normaliser remembers, a partition's records wait behind
    the first that waits, plain ones among them; elsewhere each waits for its own schema alone.
    """

    def __init__(self, framed: Framed) -> None:
        self._framed = framed
        self._queues: dict[tuple[str, int], deque[Waiting]] = {}  # of partitions that are remembered

    def read(self, normaliser: Normaliser, record: Record) -> Seen | Waiting:
        """What the record says, or that it waits: then `seen` tells."""
        queue = self._queue(normaliser, record)
        if not queue and (natural := self._framed.at_once(record)) is not None:
            return natural if isinstance(natural, Rejected) else normaliser.read(natural)
        waiting = Waiting(record, normaliser, recalled=False, queue=queue)
        queue.append(waiting)
        return waiting

    def recall(self, normaliser: Normaliser, record: Record) -> None:
        """A record that was decided before."""
        queue = self._queue(normaliser, record)
        queue.append(Waiting(record, normaliser, recalled=True, queue=queue))
        self._go_on(queue)

    async def seen(self, waiting: Waiting) -> Seen:
        """What the record says. Learns what schemas it takes, and reads what comes before it as well: so it waits for
        no other call. Raises ProviderUnavailable or AccountError where the registry does not tell, and Forgotten.
        """
        while waiting.seen is None:
            if not waiting.queue:
                raise Forgotten
            await self._framed.learn(waiting.queue[0].record)
            self._go_on(waiting.queue)
        return waiting.seen

    def forget(self, topic: str, partition: int) -> None:
        """The partition is another worker's: what waits is read no more."""
        if queue := self._queues.pop((topic, partition), None):
            queue.clear()

    def _queue(self, normaliser: Normaliser, record: Record) -> deque[Waiting]:
        """What is to be read before the record, as far as schemas are known already."""
        if not normaliser.lookback:
            return deque()
        queue = self._queues.setdefault((record.topic, record.partition), deque())
        self._go_on(queue)
        return queue

    def _go_on(self, queue: deque[Waiting]) -> None:
        """Reads up to the first whose schema is not known."""
        while queue and (natural := self._framed.at_once(queue[0].record)) is not None:
            waiting = queue.popleft()
            try:
                if waiting.recalled:
                    if not isinstance(natural, Rejected):
                        waiting.normaliser.recall(natural)
                else:
                    waiting.seen = natural if isinstance(natural, Rejected) else waiting.normaliser.read(natural)
            except Exception as error:  # one record's: those after it are read all the same
                log.error("triage: %s cannot be read", message_id(waiting.record), exc_info=error)
                waiting.seen = Rejected("internal", f"{type(error).__name__}: {error}")
