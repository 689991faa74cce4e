"""What must hold after a schedule, whatever went wrong in it: each checker gives findings, none if all is well.

They look at what a reader of committed records sees, at what the group committed, and at what the stage and the model
were asked; never into the engine.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from aiokafka.structs import TopicPartition

from streams.engine.broker import Committed
from streams.engine.tracker import Tracker
from tests.simulation.history import Event
from tests.simulation.log import StoredRecord, Transaction
from tests.simulation.schedule import Schedule
from tests.simulation.worker import INPUT, NAMES, OUTPUT
from tests.simulation.workload import DECIDED, decided, kind_of
from topics.catalog import DEAD_LETTERS

Place = tuple[int, int]  # partition and offset of an input record


class Finding(NamedTuple):
    """What is wrong."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


def check(schedule: Schedule) -> list[Finding]:
    """All checkers, on a schedule that has run to its end."""
    findings = [Finding("error", error) for error in schedule.errors]
    findings += lost_or_doubled(schedule)
    findings += calls_at_once(schedule)
    if schedule.plan.settings.delivery == "exactly_once":
        findings += offsets_that_lie(schedule)
        findings += calls_for_nothing(schedule)
        findings += bytes_beyond_the_limit(schedule)
        if schedule.plan.order == "key":
            findings += keys_out_of_order(schedule)
    return findings


def lost_or_doubled(schedule: Schedule) -> Iterator[Finding]:
    """Every input is one decision or one dead letter, as its kind demands; where delivery allows it, or several.

    What is before the place where the group began is neither.
    """
    decisions = Counter(decided(record) for record in _visible(schedule, OUTPUT))
    letters = Counter(decided(record) for record in _visible(schedule, NAMES.topic(DEAD_LETTERS)))
    begin = _begin(schedule)
    for record in _visible(schedule, INPUT):
        place = record.partition, record.offset
        found, other = decisions.pop(place, 0), letters.pop(place, 0)
        if kind_of(record) not in DECIDED:
            found, other = other, found
        told = f"{_name(place)}, a {kind_of(record)} record"
        if record.offset < begin[record.partition]:
            if found + other:
                yield Finding("invented", f"{told}: the group began at {begin[record.partition]}")
        elif found + other == 0:
            yield Finding("lost", told)
        elif found == 0:
            yield Finding("wrong", f"{told}: it should {'' if kind_of(record) in DECIDED else 'not '}be decided")
        elif found + other > 1 and schedule.plan.settings.delivery == "exactly_once":
            yield Finding("doubled", f"{told}: {found + other} times")
    for place in [*decisions, *letters]:
        yield Finding("invented", f"{_name(place)} is decided, but was never there")


def keys_out_of_order(schedule: Schedule) -> Iterator[Finding]:
    """Decisions of one key and input partition are in the order of their inputs."""
    last: dict[tuple[bytes, int], int] = {}
    for record in _visible(schedule, OUTPUT):
        if record.key is not None:
            partition, offset = decided(record)
            before = last.get((record.key, partition), -1)
            if offset < before:
                yield Finding("order", f"key {record.key!r}: {partition}/{before} came before {partition}/{offset}")
            last[record.key, partition] = offset


def offsets_that_lie(schedule: Schedule) -> Iterator[Finding]:
    """After every commit, offset and metadata say that exactly those records are done whose outputs are committed."""
    outputs = _committed_by(schedule)
    begin = _begin(schedule)
    delivered: dict[int, set[int]] = defaultdict(set)
    for record in _visible(schedule, INPUT):
        if record.offset >= begin[record.partition]:
            delivered[record.partition].add(record.offset)
    pending: dict[Transaction, list[tuple[TopicPartition, Committed]]] = defaultdict(list)
    done: dict[int, set[int]] = defaultdict(set)
    for event in schedule.history.of("pending", "commit"):
        transaction = event.details[0]
        if event.what == "pending":
            pending[transaction].append((event.details[1], event.details[2]))
            continue
        for partition, offset in outputs.get(transaction, ()):
            done[partition].add(offset)
        for at, committed in pending[transaction]:
            tracker = Tracker.resume(*committed)
            told = {o for o in delivered[at.partition] if o < committed.offset or tracker.done_before(o)}
            if told != done[at.partition]:
                yield Finding(
                    "offset",
                    f"{transaction} commits {tuple(committed)} of partition {at.partition}: that is done but not "
                    f"committed: {sorted(told - done[at.partition])}, committed but not done: "
                    f"{sorted(done[at.partition] - told)}",
                )


def calls_at_once(schedule: Schedule) -> Iterator[Finding]:
    """No record is asked about twice at the same time by one worker, and never more records than may be in flight."""
    running: dict[str, set[str]] = defaultdict(set)
    settings, partitions = schedule.plan.settings, schedule.plan.partitions
    for event in schedule.history.of("call", "answered", "failed", "dropped"):
        (place,) = event.details
        if event.what != "call":
            running[event.process].discard(place)
            continue
        if place in running[event.process]:
            yield Finding("call", f"{event.process} asks about {place} twice at once")
        running[event.process].add(place)
        if len(running[event.process]) > settings.in_flight_records_max * partitions:
            yield Finding("bound", f"{event.process} has {len(running[event.process])} calls in flight")


def bytes_beyond_the_limit(schedule: Schedule) -> Iterator[Finding]:
    """Whoever holds as much as its process may hold takes no more. Held is what is taken and not committed yet."""
    size = {(r.partition, r.offset): len(r.value or b"") for r in _visible(schedule, INPUT)}
    committed = _committed_by(schedule)
    held: dict[str, dict[Place, int]] = defaultdict(dict)
    polled_at: dict[str, float] = {}
    for event in schedule.history.of("take", "forget", "commit"):
        if event.what == "commit":
            for place in committed.get(event.details[0], ()):
                for of_worker in held.values():
                    of_worker.pop(place, None)
            continue
        mine = held[event.process]
        if event.what == "forget":
            held[event.process] = {p: bytes_ for p, bytes_ in mine.items() if p[0] != event.details[0].partition}
        elif event.what == "take":
            if polled_at.get(event.process) != event.at_s and sum(mine.values()) >= schedule.plan.process_bytes_max:
                yield Finding("bound", f"{event.process} holds {sum(mine.values())} bytes and takes more")
            polled_at[event.process] = event.at_s  # one poll: all that it gives is taken at once
            partition = event.details[0].partition
            mine |= {(partition, offset): size[partition, offset] for offset in event.details[1:]}


def calls_for_nothing(schedule: Schedule) -> Iterator[Finding]:
    """A record is asked about again only after its worker lost the partition, died, or slept through its end.

    That is: no worker asks again about what it has an answer to while the partition stays its own; and nobody asks
    about what was committed before it fetched the offset that it started from.
    """
    committed_at = _committed_at(schedule)
    fetched_at: dict[tuple[str, int], float] = {}
    since: dict[tuple[str, int], float] = {}  # when that was fetched from which the worker reads now
    answered: set[tuple[str, str]] = set()
    for event in schedule.history.of("fetch", "seek", "assigned", "answered", "call", "crash"):
        who = event.process
        if event.what == "fetch":
            fetched_at |= {(who, at.partition): event.at_s for at in event.details}
        elif event.what == "seek":
            since[who, event.details[0].partition] = fetched_at[who, event.details[0].partition]
        elif event.what == "assigned":
            kept = {at.partition for at in event.details}
            answered = {(w, p) for w, p in answered if w != who or int(p.split("/")[0]) in kept}
        elif event.what == "answered":
            answered.add((who, event.details[0]))
        elif event.what == "crash":
            answered = {(w, p) for w, p in answered if w != who}
        elif event.what == "call":
            yield from _call_for_nothing(event, committed_at, since, answered)


def _call_for_nothing(
    event: Event,
    committed_at: dict[str, float],
    since: dict[tuple[str, int], float],
    answered: set[tuple[str, str]],
) -> Iterator[Finding]:
    (place,) = event.details
    if (event.process, place) in answered:
        yield Finding("repeated", f"{event.process} asks again about {place}, at {event.at_s:.4f} s")
    read_from = since[event.process, int(place.split("/")[0])]
    if committed_at.get(place, read_from) < read_from:
        yield Finding("repeated", f"{event.process} asks about {place}, which was committed before it came")


def _committed_by(schedule: Schedule) -> dict[Transaction, list[Place]]:
    """Inputs whose outputs are in each transaction."""
    outputs: dict[Transaction, list[Place]] = defaultdict(list)
    for topic in (OUTPUT, NAMES.topic(DEAD_LETTERS)):
        for log in schedule.cluster.topics[topic]:
            for record, transaction in log.entries:
                if record is not None and transaction is not None:
                    outputs[transaction].append(decided(record))
    return outputs


def _committed_at(schedule: Schedule) -> dict[str, float]:
    """When each input's outputs were committed."""
    outputs = _committed_by(schedule)
    return {
        _name(place): event.at_s
        for event in schedule.history.of("commit")
        for place in outputs.get(event.details[0], ())
    }


def _begin(schedule: Schedule) -> dict[int, int]:
    """By partition, the offset from which on records are decided."""
    begin = dict.fromkeys(range(schedule.plan.partitions), 0)
    if schedule.plan.start == "latest":  # the first that is committed, before anything is decided
        offsets = [(event.details[0].partition, event.details[1].offset) for event in schedule.history.of("offset")]
        begin |= reversed(offsets)
    return begin


def _visible(schedule: Schedule, topic: str) -> Iterator[StoredRecord]:
    """By partition, then by offset."""
    return (record for log in schedule.cluster.topics[topic] for record in log.visible())


def _name(place: Place) -> str:
    return f"{place[0]}/{place[1]}"
