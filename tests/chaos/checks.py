"""What must be true when all is worked off: nothing lost, doubled, out of order or paid twice.

Pure: from the records of the topics, the workers' journals and what was done to the workers.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import ConsumerRecord

from tests.chaos.fleet import Fault
from tests.chaos.journal import Entry
from tests.chaos.load import Job
from topics.records import Record

# An answer that came so long before a fault may not be committed yet: the engine gathers results for 0.05 s, and a
# transaction takes a few round trips on a machine that restarts Python processes meanwhile.
_COMMIT_NS_MAX = 2_000_000_000

_MS = 1_000_000
_PROBLEMS_SHOWN = 10


class Input(NamedTuple):
    """Which record: partition and offset in the input topic."""

    partition: int
    offset: int


class Ending(NamedTuple):
    """A decision or a dead letter, as a reader of committed records sees it."""

    of: Input
    dead: bool
    call: str  # whose answer it is; empty where none was asked
    key: bytes | None
    where: tuple[int, int]  # partition and offset in its own topic
    value: bytes | None
    written_ns: int  # put into a batch, which a transaction sends soon after


@dataclass(slots=True)
class Counts:
    """What came out."""

    records: int
    decisions: int
    dead_letters: int
    lost: int
    duplicated: int
    disordered: int
    calls: int = 0
    in_flight: int = 0  # calls that ran, or whose answer was not committed, when their worker was hit or let them go
    repeated: int = 0  # of them, those that another process had to make again
    zombie: int = 0  # asked about by a woken worker that did not know yet that it had lost the partition
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list, repr=False)


def decision(record: ConsumerRecord) -> Ending:
    """From the topic of decisions, as the worker's stage writes them."""
    name, _, call = record.value.decode().partition(" ")
    partition, offset = name.split("/")
    where = (record.partition, record.offset)
    return Ending(Input(int(partition), int(offset)), False, call, record.key, where, None, record.timestamp * _MS)


def dead_letter(record: ConsumerRecord) -> Ending:
    """From the topic of dead letters. The last refusal's text names the call."""
    headers = dict(record.headers)
    origin = Input(int(headers["sluice.origin.partition"]), int(headers["sluice.origin.offset"]))
    refused, _, call = headers["sluice.error"].decode().partition(": ")
    where = (record.partition, record.offset)
    call = call if refused == "AnswerRefused" else ""
    return Ending(origin, True, call, record.key, where, record.value, record.timestamp * _MS)


def count(
    inputs: Iterable[Record],
    endings: Sequence[Ending],
    entries: Sequence[Entry],
    faults: Sequence[Fault],
    *,
    ordered: bool,
    exactly_once: bool = True,
) -> Counts:
    """Everything, with a line in `problems` for each thing that may not be.

    `ordered`: whether the order of a key's decisions is looked at. Without `exactly_once`, duplicates and repeated
    calls are counted and are no problem.
    """
    asked = {Input(record.partition, record.offset): record for record in inputs}
    times = Counter(ending.of for ending in endings)
    counts = Counts(
        records=len(asked),
        decisions=sum(not ending.dead for ending in endings),
        dead_letters=sum(ending.dead for ending in endings),
        lost=len(asked.keys() - times.keys()),
        duplicated=sum(times.values()) - len(times),
        disordered=0,
        faults=_told(faults, entries),
    )
    problems = counts.problems
    problems += (f"lost: {one}" for one in sorted(asked.keys() - times.keys()))
    if exactly_once:
        problems += (f"{number} times: {one}" for one, number in sorted(times.items()) if number > 1)
    for ending in endings:
        problems += _wrong(ending, asked.get(ending.of))
    if ordered:
        disordered = list(_disordered(endings))
        counts.disordered = len(disordered)
        problems += disordered
    _count_calls(counts, endings, entries, faults)
    if not exactly_once:
        counts.problems = [problem for problem in problems if not problem.startswith("call")]
    return counts


def shown(counts: Counts) -> str:
    """The first problems, for an assertion's message."""
    rest = len(counts.problems) - _PROBLEMS_SHOWN
    lines = counts.problems[:_PROBLEMS_SHOWN] + ([f"and {rest} more"] if rest > 0 else [])
    return "\n".join(lines)


def _wrong(ending: Ending, record: Record | None) -> Iterable[str]:
    """What an ending is itself, whatever the others are."""
    if record is None:
        yield f"of no record: {ending}"
        return
    assert record.value is not None
    if Job.of(record.value).dies != ending.dead:
        yield f"{'a dead letter' if ending.dead else 'a decision'}, which {record.value!r} does not ask for: {ending}"
    if record.key != ending.key:
        yield f"key {ending.key!r} in place of {record.key!r}: {ending}"
    if ending.dead and record.value != ending.value:
        yield f"not byte for byte {record.value!r}: {ending}"


def _disordered(endings: Iterable[Ending]) -> Iterable[str]:
    """Decisions of a key that do not come in the order of its inputs. A key's outputs share a partition."""
    newest: dict[tuple[int, bytes | None], Ending] = {}
    for ending in sorted((ending for ending in endings if not ending.dead), key=lambda ending: ending.where):
        before = newest.setdefault((ending.of.partition, ending.key), ending)
        if ending.of.offset < before.of.offset:
            yield f"key {ending.key!r}: {before} comes before {ending}"
        else:
            newest[ending.of.partition, ending.key] = ending


def _told(faults: Sequence[Fault], entries: Sequence[Entry]) -> Counter[str]:
    """How many of each, and how many of them met a worker that had partitions, and one in a transaction."""
    told: Counter[str] = Counter(fault.what for fault in faults)
    for fault in faults:
        if fault.what != "woken":
            before = [entry for entry in entries if entry.worker == fault.worker and entry.at_ns < fault.at_ns]
            health = [entry for entry in before if entry.what == "health"]
            told["at work"] += bool(health) and health[-1].partition > 0
            transactions = Counter(entry.call for entry in before if entry.what == "began")
            transactions.subtract(entry.call for entry in before if entry.what in ("committed", "aborted"))
            told["in a transaction"] += any(transactions.values())
    return told


@dataclass(slots=True)
class _Asking:
    """All tries of one process at one record."""

    call: str
    worker: str
    of: Input
    began_ns: int
    calls: int = 1
    ended_ns: int | None = None  # None: the process never came so far
    cancelled: bool = False


def _count_calls(counts: Counts, endings: Iterable[Ending], entries: Sequence[Entry], faults: Sequence[Fault]) -> None:
    askings = _askings(entries)
    written = {ending.call: ending.written_ns for ending in endings if ending.call}
    let_go = _LetGo(entries, faults)
    counts.calls = sum(asking.calls for asking in askings)
    by_input: dict[Input, list[_Asking]] = defaultdict(list)
    for asking in askings:
        if asking.call not in written and let_go.zombie(asking):
            counts.zombie += 1
        else:
            by_input[asking.of].append(asking)
            counts.in_flight += let_go.in_flight(asking, written.get(asking.call))
    for of, chain in by_input.items():
        counts.repeated += len(chain) - 1
        for asking, again in itertools.pairwise(chain):
            before_ns = None if let_go.zombie(again) else again.began_ns  # a zombie's call may come through as well
            if not let_go.in_flight(asking, written.get(asking.call), before_ns):
                told = f"{of} asked by {asking.call} and again by {again.call}"
                counts.problems.append(f"call repeated though nothing happened while it was in flight: {told}")
    counts.problems += (f"call of one record twice at once in one process: {call}" for call in _overlapping(entries))


def _askings(entries: Sequence[Entry]) -> list[_Asking]:
    """In the order of their beginning."""
    found: dict[str, _Asking] = {}
    for entry in entries:
        if entry.what == "call":
            if entry.call in found:
                found[entry.call].calls += 1
            else:
                of = Input(entry.partition, entry.offset)
                found[entry.call] = _Asking(entry.call, entry.worker, of, entry.at_ns)
        elif entry.what == "ended":
            found[entry.call].ended_ns = entry.at_ns
        elif entry.what == "cancelled":
            found[entry.call].cancelled = True
    return list(found.values())


class _LetGo:
    """When workers lost partitions: by death, by a stop that was too long, or in a rebalance."""

    def __init__(self, entries: Iterable[Entry], faults: Iterable[Fault]) -> None:
        self._hit: dict[str, list[int]] = defaultdict(list)
        self._woken: dict[str, list[int]] = defaultdict(list)
        self._released: dict[tuple[str, int], list[int]] = defaultdict(list)
        self._began: dict[tuple[str, str], int] = {}  # transactions under way
        self._committed: dict[str, list[tuple[int, int]]] = defaultdict(list)  # beginning and end of transactions
        for fault in faults:
            (self._woken if fault.what == "woken" else self._hit)[fault.worker].append(fault.at_ns)
        for entry in entries:
            if entry.what == "released":
                self._released[entry.worker, entry.partition].append(entry.at_ns)
            elif entry.what == "began":
                self._began[entry.worker, entry.call] = entry.at_ns
            elif entry.what == "committed":
                self._committed[entry.worker].append((self._began[entry.worker, entry.call], entry.at_ns))

    def in_flight(self, asking: _Asking, written_ns: int | None, before_ns: int | None = None) -> bool:
        """Whether its worker lost the partition, before `before_ns`, while its answer was not out.

        The answer may be published all the same, and is `written_ns` then: where the partition came back. Else it may
        have come a moment before the loss.
        """
        out_ns: int | None = None
        if written_ns is not None:
            out_ns = written_ns + _MS  # a record's timestamp is cut to milliseconds
        elif asking.ended_ns is not None:
            out_ns = asking.ended_ns + _COMMIT_NS_MAX
        return any(
            asking.began_ns < at_ns and (out_ns is None or at_ns < out_ns) and (before_ns is None or at_ns < before_ns)
            for at_ns in (*self._hit[asking.worker], *self._released[asking.worker, asking.of.partition])
        )

    def zombie(self, asking: _Asking) -> bool:
        """Whether it began in a woken worker that had committed nothing since: its membership may be over."""
        return any(
            woken < asking.began_ns
            and not any(woken < began and ended < asking.began_ns for began, ended in self._committed[asking.worker])
            for woken in self._woken[asking.worker]
        )


def _overlapping(entries: Iterable[Entry]) -> Iterable[str]:
    running: dict[tuple[str, int, int], str] = {}
    for entry in entries:
        record = (entry.worker, entry.partition, entry.offset)
        if entry.what == "call":
            if record in running:
                yield f"{running[record]} and {entry.call}"
            running[record] = entry.call
        elif entry.what in ("failed", "unavailable", "cancelled", "ended"):
            running.pop(record, None)
