"""The engine's limits, and what it says about its health."""

from dataclasses import dataclass
from typing import Literal

from topics import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Limits of one engine; the defaults and their reasons are in topics/limits.py."""

    in_flight_records_max: int = limits.INFLIGHT_RECORDS_MAX  # a partition
    in_flight_bytes_max: int = limits.INFLIGHT_BYTES_MAX  # a partition
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    instance_id: str | None = None  # static membership: a restart within the session's timeout moves no partition
    producers_max: int = limits.PRODUCERS_MAX  # one a partition; with more partitions they share so many
    transaction_records_max: int = limits.TRANSACTION_RECORDS_MAX
    transaction_bytes_max: int = limits.TRANSACTION_BYTES_MAX
    transaction_interval_s: float = limits.TRANSACTION_INTERVAL_SECONDS
    transaction_timeout_ms: int = limits.TRANSACTION_TIMEOUT_MS
    session_timeout_ms: int = limits.SESSION_TIMEOUT_MS
    poll_records_max: int = limits.POLL_RECORDS_MAX
    attempts_max: int = limits.ATTEMPTS_MAX
    provider_outage_seconds_max: float = limits.PROVIDER_OUTAGE_SECONDS_MAX
    revoke_seconds_max: float = limits.REVOKE_SECONDS_MAX
    shutdown_seconds: float = limits.SHUTDOWN_SECONDS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What probes look at."""

    joined: bool  # the group has given this worker its partitions, be it none, and each is being read
    partitions: int  # assigned
    in_flight: int  # records that wait for their Later
    held: str | None  # why intake is held, e.g. `account_spent`; None while it is open
    poll_age_s: float  # since the poll loop last turned
