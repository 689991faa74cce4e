"""The seam between the engine and what a stage does with its records."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, Protocol

from topics.messages import Parked, Rejected
from topics.records import Out, Record

Outs = Sequence[Out]
"""Everything that one input record leads to; written with its offset in one transaction."""

Outputs = Outs | Rejected | Parked

Later = Callable[[], Coroutine[Any, Any, Outputs]]
"""Work that has to wait for something. Not started yet: the engine starts it, and again after a failure."""


class Stage(Protocol):
    """What a stage does. The engine calls every method on its event loop, for one partition at a time in offset order.

    The engine promises: every record delivered is taken exactly once an assignment; its outputs and its offset
    become visible together or not at all; `Later` is never running twice for one record.
    """

    def order(self, topic: str) -> Literal["none", "key"]:
        """Asked once a partition. `key`: work of one key runs one after the other, in offset order; others go on."""
        ...

    def lookback(self, topic: str) -> int:
        """Records before the committed offset that `recall` sees when a partition is assigned; 0 for none."""
        ...

    def take(self, records: Sequence[Record]) -> Sequence[Outputs | Later]:
        """One result a record, in the same order: ready, or to be waited for. Does not block and does not raise.

        The records are of one topic: also those that were parked come as they were when they were read first. Only
        records that keep no order and that nothing is remembered of may be answered with Parked.

        Where no order is kept, all that is ready goes into one transaction: an output may stand for several records
        that are ready with it.

        A `Later` may raise BudgetSpent (the record waits, others go on), another AccountError (the engine pauses
        intake and tries again), ProviderUnavailable (tries again after a growing delay, within
        PROVIDER_OUTAGE_SECONDS_MAX) and AnswerError or any Exception (tries again ATTEMPTS_MAX times in all, then
        dead-letters). Cancelled, it leaves nothing behind.
        """
        ...

    def recall(self, records: Sequence[Record]) -> None:
        """Records that were decided before: state may be rebuilt from them, nothing is decided."""
        ...

    def forget(self, topic: str, partition: int) -> None:
        """The partition is another worker's now: drop what was kept for it."""
        ...
