"""The log of one partition: records, transaction markers, and what a reader of committed records may see of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from topics.records import Headers


class StoredRecord(NamedTuple):
    """A record as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Unsaved(NamedTuple):
    """A record of a batch on its way to the broker."""

    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


class Transaction:
    """One transaction of one transactional id. Compared by identity."""

    __slots__ = ("committed", "groups", "id", "logs", "number")

    def __init__(self, id_: str, number: int) -> None:
        self.id = id_
        self.number = number
        self.committed: bool | None = None  # None while it is open
        self.logs: dict[Log, None] = {}  # written to, in order
        self.groups: dict[str, None] = {}  # whose offsets are in it

    def __str__(self) -> str:
        return f"{self.id}#{self.number}"


class Log:
    """Offsets are positions in a list; each marker takes one."""

    def __init__(self, topic: str, partition: int, *, batch_bytes_max: int) -> None:
        self.topic = topic
        self.partition = partition
        self.batch_bytes_max = batch_bytes_max
        self.entries: list[tuple[StoredRecord | None, Transaction | None]] = []  # a record, or a marker
        self._open: dict[Transaction, int] = {}  # without a marker yet: their first offsets
        self._watchers: list[Callable[[], None]] = []

    @property
    def end(self) -> int:
        """Beyond the last entry."""
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        """Beyond the last entry that lies before every open transaction."""
        return min(self._open.values(), default=self.end)

    def append(self, records: Sequence[Unsaved], transaction: Transaction | None, now_ms: int) -> int:
        """One batch. Gives its first offset."""
        first = self.end
        if transaction is not None:
            transaction.logs[self] = None
            self._open.setdefault(transaction, first)
        for offset, (timestamp, key, value, headers) in enumerate(records, first):
            stamped = now_ms if timestamp is None else timestamp
            stored = StoredRecord(self.topic, self.partition, offset, stamped, key, value, tuple(headers))
            self.entries.append((stored, transaction))
        self._tell()
        return first

    def mark(self, transaction: Transaction) -> None:
        """The marker that ends a transaction here."""
        self.entries.append((None, transaction))
        del self._open[transaction]
        self._tell()

    def read(self, offset: int, records_max: int) -> tuple[list[StoredRecord], int]:
        """Committed records from `offset` on, and where to go on: beyond markers and aborted records passed."""
        found: list[StoredRecord] = []
        end = self.stable_end
        while offset < end and len(found) < records_max:
            record, transaction = self.entries[offset]
            if record is not None and (transaction is None or transaction.committed):
                found.append(record)
            offset += 1
        return found, offset

    def visible(self) -> Iterator[StoredRecord]:
        """What a reader of committed records sees in the end."""
        return iter(self.read(0, self.end)[0])

    def watch(self, watcher: Callable[[], None]) -> None:
        """Calls it once, when the log has changed."""
        self._watchers.append(watcher)

    def _tell(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()
