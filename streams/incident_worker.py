"""One life of the incidents worker: from joining the group to leaving it or failing.

A kill at any moment loses and doubles nothing, because of the order in `_settle`: (1) states are written, and in them
the alerts that follow; (2) these are told; (3) states are written without them, and then (4) the signals' offset may be
committed. Whoever has the partition next does again what lies between two steps: an alert that a state still holds is
told again, the same to the byte, and a signal that is read again is known to its state by its offset.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from faust import Stream
from faust.exceptions import ConsistencyError
from faust.types import TP, EventT, StreamT

from processors import incidents, metrics
from processors.clock import Clock
from processors.incidents import Incident
from processors.policy import Alerts
from streams.brokers import Brokers
from streams.faust_app import App, Consumer, Row, RowTable
from streams.incident_agenda import Agenda, StreamTime
from topics import codec, limits
from topics.catalog import ALERTS, SIGNALS, Names
from topics.headers import EventHeaders
from topics.messages import Alert, Signal

log = logging.getLogger("sluice.incidents")

_FROZEN_SECONDS = limits.SESSION_TIMEOUT_MS / 1000 / 2  # without a turn: others may have the partitions by then
_ROWS_BETWEEN_YIELDS = 200  # decoding so many takes about 10 ms


class WorkerFailed(Exception):
    """The worker can go on only by starting anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A row of the table."""

    incident: Incident
    untold: tuple[Alert, ...] = ()  # alerts that may not have been told


@dataclass(slots=True)
class _Part:
    """What is in memory of a partition."""

    time: StreamTime
    moved_s: float  # when signals of it were heard last, or none was there
    agenda: Agenda = field(default_factory=Agenda)


@dataclass(slots=True)
class _Turn:
    """What changes together, by partition and key."""

    kept: dict[tuple[int, bytes], Kept] = field(default_factory=dict)
    forgotten: dict[tuple[int, bytes], Incident] = field(default_factory=dict)
    durable: dict[TP, int] = field(default_factory=dict)


class Worker:
    """Faust's app, its agent and what the agent does. To be run once."""

    def __init__(
        self,
        names: Names,
        alerts: Callable[[str], Alerts],
        brokers: Brokers,
        *,
        data: Path,
        instance_id: str | None,
        clock: Clock,
    ) -> None:
        """`alerts`: those of a stream, asked for each signal."""
        self.turned_s = clock.monotonic()
        self.joined = False
        self._era = 0  # of partitions that we have together
        self._alerts_by_stream = alerts
        self._clock = clock
        self._signals = names.topic(SIGNALS)
        self._alerts = names.topic(ALERTS)
        self._headers = EventHeaders("incidents", "alert")
        self._app = App(brokers, names, data, instance_id)
        self._table = RowTable.of(self._app, names)
        self._parts: dict[int, _Part] = {}
        self._turn = asyncio.Lock()  # held by who changes states
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wire()

    @property
    def partitions(self) -> int:
        return len(self._parts)

    async def run(self, stop: asyncio.Event) -> None:
        """Returns once `stop` is set and the group is left; raises whatever the worker cannot go on with."""
        tasks = [asyncio.create_task(work) for work in (self._serve(), self._pulse(), self._pass_time())]
        works: list[asyncio.Future[None]] = [*tasks, self._failure]
        stopping: asyncio.Future[Any] = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*works, stopping}, return_when=asyncio.FIRST_COMPLETED)
            ended = [work for work in works if work.done()]
        finally:
            await self._end([*tasks, stopping])
        for work in ended:
            work.result()

    def remove_data(self) -> None:
        """So that the next life reads the whole changelog. Only after `run`."""
        self._table.reset_state()

    # --- Faust's side ----------------------------------------------------------------------------

    def _wire(self) -> None:
        self._app.agent(self._app.bytes_topic(self._signals), name="incidents")(self._listen)
        self._app.on_partitions_revoked.connect(self._let_go, weak=False)
        self._table.on_recover(self._take_over)

    async def _serve(self) -> None:
        """Returns only by an exception: an app that has started runs by itself."""
        async with asyncio.timeout(limits.INCIDENT_START_SECONDS_MAX):
            await self._app.start()
        self._consumer.open()
        await asyncio.Event().wait()

    async def _listen(self, stream: StreamT[Any]) -> None:
        batches = cast(Stream[bytes], stream).take_events(
            limits.SIGNALS_BATCH_MAX, within=limits.SIGNALS_LINGER_SECONDS
        )
        async for events in batches:
            with self._failing():
                async with self._turn:
                    await self._hear(events)

    async def _take_over(self) -> None:
        """The table is as its changelog: what it holds untold is told, and the agenda is made."""
        with self._failing():
            async with self._turn:
                era, turn = self._era, _Turn()
                parts = {tp.partition: self._part() for tp in self._consumer.assignment() if tp.topic == self._signals}
                for partition, part in parts.items():
                    for number, (key, value) in enumerate(self._table.rows(partition), start=1):
                        if (kept := _kept(value)) is None:
                            continue
                        part.time.heard(kept.incident.seen_ms)
                        part.agenda.look(key, incidents.due_ms(kept.incident, self._alerts_of(kept.incident)))
                        if kept.untold:
                            turn.kept[partition, key] = kept
                        if number % _ROWS_BETWEEN_YIELDS == 0:
                            await asyncio.sleep(0)
                if era == self._era:  # else they went while we looked
                    self._parts, self.joined = parts, True
                    await self._settle(turn)

    async def _let_go(self, *_: object, **__: object) -> None:
        """Everything is taken away, what comes back too. Waits for the turn that is under way, but not for ever: the
        whole group waits for us."""
        with self._failing():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.INCIDENT_REVOKE_SECONDS_MAX), self._turn:
                    await self._consumer.commit()
            self._forget()

    async def _end(self, tasks: Sequence["asyncio.Future[Any]"]) -> None:
        """Lets the turn under way end, leaves the group and frees the data."""
        try:
            async with asyncio.timeout(limits.INCIDENT_REVOKE_SECONDS_MAX), self._turn:
                await self._consumer.commit()
                self._forget()  # before the next turn begins
        except Exception as error:  # noqa: BLE001 what is not committed is read again
            log.warning("incidents: the last signals were not committed: %r", error)
        self._forget()
        for task in tasks:
            task.cancel()
        try:
            async with asyncio.timeout(limits.INCIDENT_STOP_SECONDS_MAX):
                await self._app.stop()
        except Exception as error:  # noqa: BLE001 the group misses it after the session's timeout
            log.warning("incidents: Faust did not end in order: %r", error)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        """What belongs to partitions that are ours no longer. A turn that is under way finds that it lost them."""
        for partition in self._parts:
            metrics.INCIDENTS.remove(str(partition))
            metrics.LAG.remove("incidents", self._signals, str(partition))
        self._era += 1
        self._parts, self.joined = {}, False
        self._consumer.forget()

    def _part(self) -> _Part:
        return _Part(StreamTime(self._clock), moved_s=self._clock.monotonic())

    @property
    def _consumer(self) -> Consumer:
        return cast(Consumer, self._app.consumer)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Faust would go on with the next record after an exception; here it ends this life, and what is under way."""
        try:
            yield
        except _Lost:
            log.info("incidents: partitions went before a turn ended; whoever has them does it again")
        except Exception as error:  # noqa: BLE001 raised by `run`
            if not self._failure.done():
                self._failure.set_exception(error)

    # --- turns: the lock is held -----------------------------------------------------------------

    async def _hear(self, events: Iterable[EventT[bytes]]) -> None:
        turn = _Turn()
        received = metrics.RECEIVED.labels("incidents", self._signals)
        for event in events:
            message = event.message
            part = self._parts.get(message.partition)
            if part is None or message.generation_id != self._app.consumer_generation_id:
                continue  # of before a rebalance: it is read again
            received.inc()
            part.moved_s = self._clock.monotonic()
            turn.durable[TP(message.topic, message.partition)] = message.offset + 1
            try:
                signal = codec.decode(Signal, message.value or b"")
            except codec.Undecodable as error:  # ours is a topic that nobody else should write to
                log.error("%s/%d/%d is passed over: %s", message.topic, message.partition, message.offset, error)
                metrics.SIGNALS_SKIPPED.labels(type(error).__name__).inc()
                continue
            part.time.heard(signal.at_ms)
            self._hear_one(turn, message.partition, message.offset, signal)
        await self._settle(turn)

    def _hear_one(self, turn: _Turn, partition: int, offset: int, signal: Signal) -> None:
        at = partition, signal.fingerprint.encode()
        before = turn.kept.get(at) or self._row(*at)
        incident, told = incidents.heard(before.incident if before else None, signal, offset, self._alerts_of(signal))
        if before is None or incident is not before.incident:
            turn.kept[at] = Kept(incident=incident, untold=(*(before.untold if before else ()), *told))

    async def _look(self) -> None:
        """At what time alone does. Time passes in a partition only where every signal that is there has been heard."""
        turn = _Turn()
        for partition, part in self._parts.items():
            behind = self._behind(partition)
            now_ms = part.time.pass_(waiting=behind != 0)
            metrics.LAG.labels("incidents", self._signals, str(partition)).set(behind or 0)
            metrics.INCIDENTS.labels(str(partition)).set(len(part.agenda))
            if behind == 0:
                part.moved_s = self._clock.monotonic()
            if now_ms is None or behind != 0:
                continue
            for key in part.agenda.due(now_ms, limits.INCIDENT_LOOKS_MAX):
                if (kept := self._row(partition, key)) is None:
                    continue
                alerts = self._alerts_of(kept.incident)
                incident, told = incidents.waited(kept.incident, now_ms, alerts)
                if incident is kept.incident:
                    part.agenda.look(key, incidents.due_ms(incident, alerts))
                elif incident is None:
                    turn.forgotten[partition, key] = kept.incident
                else:
                    turn.kept[partition, key] = Kept(incident=incident, untold=(*kept.untold, *told))
        await self._settle(turn)

    async def _settle(self, turn: _Turn) -> None:
        if not (turn.kept or turn.forgotten or turn.durable):
            return
        parts = self._parts
        self._require(parts)
        await self._write({at: codec.encode(kept) for at, kept in turn.kept.items()})
        told = [(alert, self._row_of(alert)) for kept in turn.kept.values() for alert in kept.untold]
        ends = [Row(gone.alert.id.encode(), None) for gone in turn.forgotten.values() if gone.alert is not None]
        if told or ends:
            await self._app.write(self._alerts, [*(row for _, row in told), *ends])
        self._require(parts)
        clean = {at: dataclasses.replace(kept, untold=()) for at, kept in turn.kept.items() if kept.untold}
        await self._write({at: codec.encode(kept) for at, kept in clean.items()} | dict.fromkeys(turn.forgotten))
        self._require(parts)
        self._consumer.durable.update(turn.durable)
        for (partition, key), kept in turn.kept.items():
            parts[partition].agenda.look(key, incidents.due_ms(kept.incident, self._alerts_of(kept.incident)))
        for partition, key in turn.forgotten:
            parts[partition].agenda.forget(key)
        for alert, _ in told:
            metrics.ALERTS.labels(alert.labels.get("stream", ""), alert.status).inc()

    async def _write(self, changes: dict[tuple[int, bytes], bytes | None]) -> None:
        by_partition: dict[int, dict[bytes, bytes | None]] = {}
        for (partition, key), value in changes.items():
            by_partition.setdefault(partition, {})[key] = value
        await asyncio.gather(*(self._table.write(partition, rows) for partition, rows in by_partition.items()))

    def _require(self, parts: dict[int, _Part]) -> None:
        """Whoever has the partitions by now must not be written over."""
        if self._parts is not parts or not self.joined or self._failure.done():
            raise _Lost
        if self._clock.monotonic() - self.turned_s > _FROZEN_SECONDS:
            raise WorkerFailed("nothing ran here for so long that others may have the partitions")

    def _row(self, partition: int, key: bytes) -> Kept | None:
        value = self._table.row(partition, key)
        return None if value is None else _kept(value)

    def _row_of(self, alert: Alert) -> Row:
        headers = self._headers(f"{alert.id}/{alert.revision}", round(self._clock.time() * 1000))
        return Row(alert.id.encode(), codec.encode(alert), headers=headers)

    def _alerts_of(self, of: Signal | Incident) -> Alerts:
        return self._alerts_by_stream(of.labels.get("stream", ""))

    # --- time ------------------------------------------------------------------------------------

    async def _pass_time(self) -> None:
        while True:
            await self._clock.sleep(limits.INCIDENT_TURN_SECONDS)
            with self._failing():
                async with self._turn:
                    if self.joined:
                        await self._look()

    async def _pulse(self) -> None:
        """Looks whether everything else still runs. Waits for nothing but the clock, so that its own age tells."""
        joined_s = self.turned_s
        while True:
            await self._clock.sleep(limits.INCIDENT_TURN_SECONDS)
            now_s = self._clock.monotonic()
            silent_s, self.turned_s = now_s - self.turned_s, now_s
            joined_s = now_s if self.joined else joined_s
            if self._app.crashed:
                reason = self._app.crash_reason
                if isinstance(reason, ConsistencyError):
                    raise reason
                raise WorkerFailed(f"Faust crashed: {reason!r}") from reason
            if silent_s > _FROZEN_SECONDS:
                raise WorkerFailed(f"nothing ran here for {silent_s:.0f} s: others may have the partitions")
            if now_s - joined_s > limits.INCIDENT_START_SECONDS_MAX:
                raise WorkerFailed(f"not in the group for {now_s - joined_s:.0f} s")
            for partition, part in self._parts.items():
                if now_s - part.moved_s > limits.INCIDENT_STALLED_SECONDS_MAX and self._behind(partition):
                    raise WorkerFailed(f"partition {partition} has signals that are not heard")

    def _behind(self, partition: int) -> int | None:
        return self._consumer.behind(TP(self._signals, partition))


class _Lost(Exception):
    """The partitions went to others while a turn was under way."""


def _kept(value: bytes) -> Kept | None:
    try:
        return codec.decode(Kept, value)
    except codec.Undecodable as error:  # of a version that never was: its fingerprint begins anew
        log.error("a state of an incident cannot be read and is passed over: %s", error)
        return None
