"""The records of `quality`: what is certified of each stream, and what an operator has ordered about it.

The trainer alone writes a stream's record (key: the stream). An order (key: `command/` and the stream) is written by
`sluice policy pin|release|rollback|off|on`; the newest of a stream holds, and says all that is ordered about it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import orjson
from pydantic import Field

from processors.quality.report import Report
from processors.quality.standing import Standing
from topics import codec
from topics.records import Record

log = logging.getLogger("sluice.quality")

_ORDER: Final = "command/"  # no name of a stream has a slash


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What follows from a stream's audits before `offset`, and from nothing else but the orders in force."""

    stream: str
    policy_version: str  # another version of the stream's policy is not certified by it
    claim: str = ""  # what it was earned under (standing.claim_of): nothing else is certified by it
    standing: Standing
    report: Mapping[str, Any]  # for people: a processors.quality.report.Report
    state: Mapping[str, Any]  # what the next audit is added to
    cost_usd_micros: float = 0.0  # of the audits so far
    offset: int  # of `audits`: the first that is not in it
    at_ms: int
    coin: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = field(default="", repr=False)
    """The stream's secret: workers toss by it which messages are audited, and a record's coin falls alike for all of
    them. Made once, shown nowhere; senders have no business on this topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator wants of a stream."""

    stream: str
    pin: str | None = None  # this version answers, if it is certified; None: the newest that is
    off: bool = False  # nothing below the reference answers
    candidate_model: str | None = None  # is asked in nano's place, and answers once it is certified
    at_ms: int = 0


def certificate_record(certificate: Certificate) -> tuple[bytes, bytes]:
    """Key and value."""
    return certificate.stream.encode(), codec.encode(certificate)


def report_of(certificate: Certificate) -> Report:
    """Raises codec.Undecodable for the report of a release that is older or much newer."""
    return codec.decode(Report, codec.encode(certificate.report))


def order_record(order: Order) -> tuple[bytes, bytes]:
    """Key and value."""
    return (_ORDER + order.stream).encode(), codec.encode(order)


class Newest:
    """The last word about each stream, from records in the order of the topic. It has one partition, and writers that
    follow each other: a trainer is fenced by the next one."""

    def __init__(self) -> None:
        self._certificates: dict[str, Certificate] = {}
        self._orders: dict[str, Order] = {}
        self._lost: dict[str, object] = {}
        self._unread: dict[bytes, Record] = {}  # by key: most of what a start reads is overtaken by what follows

    def take(self, record: Record) -> None:
        if record.key is not None:
            self._unread[record.key] = record

    @property
    def certificates(self) -> Mapping[str, Certificate]:
        """What cannot be read is told in the log, and what was known holds."""
        self._read()
        return self._certificates

    @property
    def lost(self) -> Mapping[str, object]:
        """By stream, where its last certificate cannot be read: what was in it for the state; None: nothing."""
        self._read()
        return self._lost

    @property
    def orders(self) -> Mapping[str, Order]:
        self._read()
        return self._orders

    def _read(self) -> None:
        unread, self._unread = self._unread, {}
        for record in unread.values():
            try:
                found = read(record)
            except codec.Undecodable as error:
                log.error("%s/%d/%d cannot be read: %s", record.topic, record.partition, record.offset, error)
                if record.key is not None and not _orders(record):
                    self._lost[record.key.decode(errors="replace")] = _state_in(record.value or b"")
                continue
            if isinstance(found, Certificate):
                self._certificates[found.stream] = found
                self._lost.pop(found.stream, None)
            elif found is not None:
                self._orders[found.stream] = found


def read(record: Record) -> Certificate | Order | None:
    """None for a tombstone. Raises codec.Undecodable."""
    if record.value is None:
        return None
    if _orders(record):
        return codec.decode(Order, record.value)
    return codec.decode(Certificate, record.value)


def _orders(record: Record) -> bool:
    return (record.key or b"").startswith(_ORDER.encode())


def _state_in(value: bytes) -> object:
    """Of a certificate that cannot be read. None for what is no JSON, or has none."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return found.get("state") if isinstance(found, dict) else None
