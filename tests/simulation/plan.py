"""What one schedule does, drawn from its seed: settings, records and when they come, faults and when they strike."""

import random
from dataclasses import dataclass
from typing import Literal

from streams.engine.settings import EngineSettings
from tests.simulation.workload import KINDS, Kind, value

FAULTS_UNTIL_SECONDS = 6.0
_SESSION_MS = 1_500
_PARTITIONS_MAX = 3
_RECORDS_MAX = 90
_KEYS_MAX = 6
_MANY_BYTES = 2_000  # of a record: a few of them fill a partition's limit

FaultKind = Literal[
    "kill", "freeze", "stop", "join", "broker away", "network lossy", "model away", "model slow", "account closed"
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, or one change on purpose."""

    kind: FaultKind
    at_s: float
    seconds: float  # it lasts; after a kill or a stop: until somebody takes the place
    pick: float  # of the workers that run then, or how bad it is; 0 to 1
    amid: bool  # it strikes whoever sends offsets next, in the middle of that transaction


@dataclass(frozen=True, slots=True)
class Send:
    """Records of one partition, written together."""

    at_s: float
    partition: int
    records: tuple[tuple[bytes | None, bytes], ...]  # key and value
    transaction: Literal["none", "commit", "abort"]
    open_s: float  # the transaction


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a schedule takes from its seed, but for the order of events."""

    seed: int
    latency_s: float
    workers: int
    static_members: bool
    partitions: int
    start: Literal["earliest", "latest"]
    order: Literal["none", "key"]
    lookback: int
    process_bytes_max: int
    dead_letter_bytes_max: int
    settings: EngineSettings
    sends: tuple[Send, ...]
    faults: tuple[Fault, ...]


def draw(seed: int) -> Plan:
    """The same seed gives the same plan, on every machine."""
    rng = random.Random(seed)
    partitions = rng.randint(1, _PARTITIONS_MAX)
    settings = EngineSettings(
        delivery="at_least_once" if rng.random() < 0.1 else "exactly_once",
        producers_max=rng.choice((0, 8, 8)),  # with none of their own, partitions share a producer
        in_flight_records_max=rng.choice((4, 8, 30)),
        in_flight_bytes_max=rng.choice((5_000, 20_000, 1_000_000)),
        transaction_records_max=rng.choice((3, 10, 100)),
        transaction_bytes_max=rng.choice((5_000, 1_000_000)),
        transaction_timeout_ms=2_000,
        session_timeout_ms=_SESSION_MS,
        poll_records_max=rng.choice((3, 10, 50)),
        attempts_max=4,
        revoke_seconds_max=0.5,
        shutdown_seconds=8.0,
    )
    return Plan(
        seed=seed,
        latency_s=rng.choice((0.0005, 0.003, 0.01)),
        workers=rng.randint(1, 3),
        static_members=rng.random() < 0.2,
        partitions=partitions,
        start="latest" if rng.random() < 0.15 else "earliest",
        order=rng.choice(("none", "key")),
        lookback=rng.choice((0, 0, 5)),
        process_bytes_max=rng.choice((10_000, 1_000_000)),
        dead_letter_bytes_max=rng.choice((3_000, 1_000_000)),
        settings=settings,
        sends=tuple(_sends(rng, partitions)),
        faults=tuple(sorted(_faults(rng), key=lambda fault: fault.at_s)),
    )


def _sends(rng: random.Random, partitions: int) -> list[Send]:
    kinds: list[Kind] = rng.choices(KINDS, (10, 20, 6, 1, 1, 1, 0.5, 0.5), k=rng.randint(20, _RECORDS_MAX))
    keys = [None if rng.random() < 0.2 else b"k%d" % number for number in range(rng.randint(1, _KEYS_MAX))]
    sends = []
    while kinds:
        batch, kinds = kinds[: (count := rng.choice((1, 3, 10, 30)))], kinds[count:]
        padding = _MANY_BYTES if rng.random() < 0.2 else 10
        sends.append(
            Send(
                at_s=rng.uniform(0, FAULTS_UNTIL_SECONDS) * rng.choice((0, 1)),
                partition=rng.randrange(partitions),
                records=tuple((rng.choice(keys), value(kind, rng.randrange(padding))) for kind in batch),
                transaction=rng.choices(("none", "commit", "abort"), (6, 2, 2))[0],
                open_s=rng.uniform(0.0, 1.0),
            )
        )
    return sends


def _faults(rng: random.Random) -> list[Fault]:
    kinds: tuple[FaultKind, ...] = (
        "kill", "kill", "freeze", "freeze", "stop", "join",
        "broker away", "network lossy", "model away", "model slow", "account closed",
    )  # fmt: skip
    return [
        Fault(
            kind=rng.choice(kinds),
            at_s=rng.uniform(0.1, FAULTS_UNTIL_SECONDS),
            seconds=rng.choice((rng.uniform(0, 0.3), rng.uniform(0, 4.0))),
            pick=rng.random(),
            amid=rng.random() < 0.5,
        )
        for _ in range(rng.randint(1, 6))
    ]
