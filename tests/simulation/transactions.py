"""The broker's transaction coordinator: who owns a transactional id, and how transactions end.

As in Kafka an end is decided first and answered at once; the markers come a little later, each log's and each group's
in its own time, and until all are written the id can neither write nor be taken over.
"""

import asyncio
from collections.abc import Callable

from streams.engine.broker import Fenced
from tests.simulation.group import Group
from tests.simulation.history import History
from tests.simulation.log import Transaction


class EpochOver(Fenced):
    """Fenced by a later producer of the transactional id, or by the transaction's timeout."""


class TransactionalId:
    """What the broker knows of one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0  # of its present owner: who comes with another is fenced
        self.timeout_s = 0.0
        self.open: Transaction | None = None
        self.ending: asyncio.Future[None] | None = None  # until all markers are written
        self.count = 0  # of its transactions
        self.timer: asyncio.TimerHandle | None = None


class Transactions:
    """The coordinator. Its methods are the effects of requests: they take place at once and do not wait."""

    def __init__(self, groups: Callable[[str], Group], latency_s: Callable[[], float], history: History) -> None:
        """`latency_s`: until one marker is written."""
        self._groups = groups
        self._latency_s = latency_s
        self._history = history
        self._ids: dict[str, TransactionalId] = {}

    def open_transactions(self) -> int:
        """Those that are not ended everywhere."""
        return sum(id_.open is not None or id_.ending is not None for id_ in self._ids.values())

    def of(self, name: str) -> TransactionalId:
        return self._ids.setdefault(name, TransactionalId(name))

    def take_over(self, id_: TransactionalId, timeout_s: float) -> asyncio.Future[int]:
        """InitProducerId: ends what its last owner left open and, once that is done, gives the new owner's epoch."""
        id_.epoch += 1  # the last owner is fenced already
        if id_.open is not None:
            self._decide(id_, commit=False, why="taken over")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def own() -> None:
            if answer.done():
                return
            if id_.ending is not None:  # another's, who came first
                id_.ending.add_done_callback(lambda _: own())
                return
            id_.epoch += 1
            id_.timeout_s = timeout_s
            self._history.note("owner", id_.name, f"epoch {id_.epoch}")
            answer.set_result(id_.epoch)

        own()
        return answer

    def join(self, id_: TransactionalId, epoch: int) -> Transaction:
        """The open transaction of the owner; begins one. Raises EpochOver; a caller waits for `ending` first."""
        self.check(id_, epoch)
        assert id_.ending is None
        if id_.open is None:
            id_.count += 1
            id_.open = Transaction(id_.name, id_.count)
            id_.timer = asyncio.get_running_loop().call_later(id_.timeout_s, self._time_out, id_)
        return id_.open

    def end(self, id_: TransactionalId, epoch: int, *, commit: bool) -> None:
        """EndTxn. Without an open transaction there is nothing to do: it was ended before, and the answer was lost."""
        self.check(id_, epoch)
        if id_.open is not None:
            self._decide(id_, commit=commit, why="by its producer")

    def check(self, id_: TransactionalId, epoch: int) -> None:
        """Raises EpochOver for anyone but the owner."""
        if epoch != id_.epoch:
            self._history.note("fenced", id_.name, f"epoch {epoch}, the owner has {id_.epoch}")
            raise EpochOver(f"{id_.name}: epoch {epoch} is over")

    def _time_out(self, id_: TransactionalId) -> None:
        id_.epoch += 1
        self._decide(id_, commit=False, why="timed out")

    def _decide(self, id_: TransactionalId, *, commit: bool, why: str) -> None:
        transaction, id_.open = id_.open, None
        assert transaction is not None
        assert id_.timer is not None
        id_.timer.cancel()
        transaction.committed = commit
        self._history.note("commit" if commit else "abort", transaction, why)
        loop = asyncio.get_running_loop()
        ending = id_.ending = loop.create_future()
        ends: list[Callable[[], None]] = [lambda log=log: log.mark(transaction) for log in transaction.logs]  # type: ignore[misc]
        ends += [lambda name=name: self._groups(name).end(transaction) for name in transaction.groups]  # type: ignore[misc]
        left = len(ends)

        def mark(end: Callable[[], None]) -> None:
            nonlocal left
            end()
            left -= 1
            if left == 0:
                done()

        def done() -> None:
            id_.ending = None
            ending.set_result(None)

        for end in ends:
            loop.call_later(self._latency_s(), mark, end)
        if not ends:
            done()
