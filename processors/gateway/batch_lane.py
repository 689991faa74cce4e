"""The batch lane: gathers asks into jobs of the provider's Batch API, and finds their answers again.

Nothing of it is kept on a disk. What is in a job is at the provider: the jobs of this installation (by their
metadata), their inputs while they are under way, their outputs once they have ended. A request's custom_id is made from
the request itself, so that a worker that knows nothing finds the job that a killed one has begun.

A job is begun in an order that lets no two of them have the same request, whoever dies where:
1. the input is uploaded: now others can see what is about to be asked;
2. all jobs are looked at, and the inputs of jobs to be (files that no job has): what is in a job already is taken out
   and the input written anew; where another worker's input has the same requests, both take theirs back and wait for
   a random while;
3. the job is made. If the answer to that is lost, the jobs are looked at until it is there, or its input is deleted,
   without which it cannot begin.
An input that nobody makes a job of for BATCH_ORPHAN_SECONDS belongs to a worker that is gone, and is deleted.

The money of a job enters the ledger once: with whoever deletes its input, of whom there is one. That is the worker that
began the job or, some minutes after its end, any other.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from processors import metrics
from processors.asking import Answer, Ask, Waiting
from processors.clock import Clock
from processors.errors import (
    AccountError,
    AnswerRefused,
    RequestRefused,
    SluiceError,
)
from processors.gateway import wire
from processors.gateway.batch_api import BatchApi, Job, Unsure, Uploaded
from processors.gateway.batch_index import Index, Known
from processors.gateway.batch_lines import (
    Result,
    custom_id_of,
    line_of,
    mark_of,
    metadata_of,
    read_input,
    read_output,
)
from processors.gateway.budget import Budgets, Reservation
from processors.gateway.context import Context
from processors.gateway.dialect import Json, adapt
from processors.gateway.ledger import Bill, Ledger
from processors.gateway.routes import Route
from topics import limits
from topics.messages import Tier, Tokens

log = logging.getLogger("sluice.gateway")

_MADE_BY = "sluice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds. Tests and simulated providers, whose jobs take seconds, set smaller ones."""

    linger_s: float = limits.BATCH_LINGER_SECONDS
    poll_s_min: float = limits.BATCH_POLL_SECONDS_MIN
    poll_s_max: float = limits.BATCH_POLL_SECONDS_MAX
    stale_s: float = limits.BATCH_STALE_SECONDS
    again_s_min: float = limits.BATCH_AGAIN_SECONDS_MIN
    again_s_max: float = limits.BATCH_AGAIN_SECONDS_MAX
    orphan_s: float = limits.BATCH_ORPHAN_SECONDS
    adopt_s: float = limits.BATCH_ADOPT_SECONDS
    cancel_s: float = limits.BATCH_CANCEL_SECONDS


@dataclass(slots=True)
class _Pending:
    """A request that is not in a job yet."""

    custom_id: str
    tier: Tier
    stream: str
    line: bytes
    marks: frozenset[int]
    since_s: float  # monotonic
    deadline_s: float  # since the epoch
    reserved: Reservation
    filing: bool = False


class BatchLane:
    """Of one server. `routes`: the tiers that it serves. One task works; everything else may be called concurrently."""

    def __init__(
        self,
        routes: Mapping[Tier, Route],
        api: BatchApi,
        budgets: Budgets,
        ledger: Ledger,
        *,
        clock: Clock,
        rng: random.Random,
        scope: str,
        pace: Pace,
    ) -> None:
        self._routes = routes
        self._api = api
        self._budgets = budgets
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._scope = scope
        self._pace = pace
        self._worker = f"{rng.getrandbits(64):016x}"
        self._files_made = 0
        self._pending: dict[str, _Pending] = {}  # by custom_id
        self._pending_marks: dict[int, str] = {}
        self._pending_bytes = 0
        self._index = Index()
        self._own: dict[str, dict[str, Reservation]] = {}  # by job, then custom_id: the money set aside for it
        self._looked_s: float | None = None
        self._next_look_s = 0.0
        self._looking = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Stops working. Requests that are in no job are forgotten: whoever needs them asks again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for pending in list(self._pending.values()):
            self._drop(pending)

    def custom_id(self, ask: Ask) -> str:
        """The same for the same ask, whoever makes it."""
        return custom_id_of(ask.stream, orjson.dumps(self._bare(ask)), ask.key)

    async def submit(self, ask: Ask) -> Waiting | None:
        """Takes an ask, unless it or one of its messages is here or in a job. None where it has to go by another lane:
        there is no room, or one of its messages came back from a job without an answer, as far as this worker knows.

        Raises BudgetSpent, or RequestRefused where no job can take it.
        """
        custom_id = self.custom_id(ask)
        names = (custom_id, *ask.about)
        marks = frozenset(mark_of(ask.stream, name) for name in names)
        for mark, name in zip((mark_of(ask.stream, name) for name in names), names, strict=True):
            if (there := self._pending_marks.get(mark)) is not None:
                return Waiting(custom_id=there, again_s=self._filed_s)
            if (known := self._index.find(mark)) is not None:
                return Waiting(custom_id=name, again_s=self._again_s(known.job))
        if self._index.failed(marks):
            return None
        route = self._routes[ask.tier]
        request = self._bare(ask) | {"metadata": metadata_of(ask)}
        line = line_of(custom_id, request)
        if len(line) > limits.BATCH_FILE_BYTES_MAX:
            raise RequestRefused(f"a request of {len(line)} bytes is too large for a Batch job: ask about less at once")
        if self._pending_bytes + len(line) > limits.BATCH_PENDING_BYTES_MAX or not self._index.has_room:
            metrics.LANE_FALLBACKS.labels("batch", "no room").inc()
            return None
        worst = route.prices["batch"].worst_micros(len(line), wire.bound_output(request, "responses"))
        context = Context(tier=ask.tier, stream=ask.stream, tenant=ask.tenant, purpose=ask.purpose)
        reserved = await self._budgets.reserve(context, worst, hold=True)
        if any(mark in self._pending_marks for mark in marks):  # taken meanwhile
            reserved.settle(0)
            return Waiting(custom_id=custom_id, again_s=self._filed_s)
        pending = _Pending(
            custom_id=custom_id,
            tier=ask.tier,
            stream=ask.stream,
            line=line,
            marks=marks,
            since_s=self._clock.monotonic(),
            deadline_s=self._clock.time() + (ask.deadline_s or 0.0),
            reserved=reserved,
        )
        self._pending[custom_id] = pending
        self._pending_marks |= dict.fromkeys(marks, custom_id)
        bytes_before, self._pending_bytes = self._pending_bytes, self._pending_bytes + len(line)
        metrics.LANE_WAITING.set(len(self._pending))
        filled = self._pending_bytes // limits.BATCH_FILE_BYTES_MAX > bytes_before // limits.BATCH_FILE_BYTES_MAX
        if filled or len(self._pending) % limits.BATCH_FILE_REQUESTS_MAX in (0, 1):
            self._wake.set()  # for the first one's linger, or as there may be a full file
        return Waiting(custom_id=custom_id, again_s=self._filed_s)

    async def collect(self, stream: str, name: str) -> Answer | Waiting | None:
        """As `Gateway.collect`."""
        mark = mark_of(stream, name)
        if (custom_id := self._pending_marks.get(mark)) is not None:
            pending = self._pending[custom_id]
            if pending.filing or pending.deadline_s - self._clock.time() > self._pace.cancel_s:
                return Waiting(custom_id=custom_id, again_s=self._filed_s)
            self._drop(pending)  # no job was to be had in all this time
            self._index.fail(pending.marks)
            return None
        known = self._index.find(mark)
        if known is None or known.job.under_way:
            await self._look_if_stale()
            known = self._index.find(mark)
        if known is None:
            return None
        if known.job.under_way or not known.read:
            return Waiting(custom_id=name, again_s=self._again_s(known.job))
        if known.job.id in self._own:
            await self._settle(known.job)  # no answer is used that is not in the ledger
        result = (await self._results(known.job)).get(name)
        return None if result is None else self._answer(result, known)

    # --- the one task that works ------------------------------------------------------------------

    async def _work(self) -> None:
        """Files what waits, looks at the jobs, settles those that ended; until it is cancelled."""
        while True:
            pause_s = self._pace.poll_s_min
            try:
                if self._looked_s is None:
                    await self._look()
                for due in self._due():
                    await self._file(due)
                if self._clock.monotonic() >= self._next_look_s and self._busy():
                    await self._look()
                await self._cancel_late()
                await self._settle_ended()
                pause_s = self._pause_s()
            except AccountError as error:
                log.warning("the batch lane waits: %s", error)
                pause_s = error.retry_after_s
            except SluiceError as error:
                log.warning("the batch lane tries again: %s", error)
            except Exception:
                log.exception("the batch lane failed and tries again")
            await self._woken_or(max(pause_s, min(0.05, self._pace.linger_s)))

    def _busy(self) -> bool:
        return any(known.job.under_way or not known.settled for known in self._index.jobs.values())

    def _pause_s(self) -> float:
        """Until there may be something to do."""
        now_s = self._clock.monotonic()
        pauses = [pending.since_s + self._linger_s - now_s for pending in self._pending.values()]
        if self._busy():
            pauses.append(self._next_look_s - now_s)
        return max(0.0, min(pauses, default=self._pace.poll_s_max))

    @property
    def _linger_s(self) -> float:
        """Until a file that is not full is sent: the longer the more jobs are under way, so that they stay few."""
        under_way = sum(known.job.under_way for known in self._index.jobs.values())
        return self._pace.linger_s * min(1 + under_way / limits.BATCH_LINGER_JOBS, limits.BATCH_LINGER_TIMES_MAX)

    @property
    def _filed_s(self) -> float:
        """Until what waits is in a job, where other workers find it, too."""
        return self._pace.again_s_min + self._linger_s - self._pace.linger_s

    async def _woken_or(self, seconds: float) -> None:
        """Until `seconds` are over; sooner where something began to wait that is due before."""
        self._wake.clear()
        wake = asyncio.ensure_future(self._wake.wait())
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({wake, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wake.cancel()
            pause.cancel()

    # --- filing -----------------------------------------------------------------------------------

    def _due(self) -> list[list[_Pending]]:
        """What goes into jobs now: one tier and stream each, full or waiting long enough."""
        now_s = self._clock.monotonic()
        groups: dict[tuple[Tier, str], list[_Pending]] = {}
        for pending in list(self._pending.values()):
            if pending.deadline_s - self._clock.time() < self._pace.cancel_s:
                self._index.fail(pending.marks)  # whoever asks again is told so, and goes by another lane
                self._drop(pending)
                continue
            groups.setdefault((pending.tier, pending.stream), []).append(pending)
        due = []
        for group in groups.values():
            some: list[_Pending] = []
            size = 0
            for pending in group:
                full = len(some) == limits.BATCH_FILE_REQUESTS_MAX
                if full or size + len(pending.line) > limits.BATCH_FILE_BYTES_MAX:
                    due.append(some)
                    some, size = [], 0
                some.append(pending)
                size += len(pending.line)
            if some and now_s >= some[0].since_s + self._linger_s:
                due.append(some)
        return due

    async def _file(self, group: list[_Pending]) -> None:
        """Makes a job of them. What could not be filed waits for the next turn."""
        for pending in group:
            pending.filing = True
        try:
            for _ in range(limits.BATCH_FILINGS_MAX):
                group = [pending for pending in group if pending.custom_id in self._pending]
                if not group or await self._file_once(group):
                    return
        except RequestRefused as error:
            log.error("the provider takes no such Batch job, and its requests go by another lane: %s", error)
            for pending in group:
                self._index.fail(pending.marks)
                self._drop(pending)
        finally:
            now_s = self._clock.monotonic()
            for pending in group:
                pending.filing = False
                pending.since_s = now_s

    async def _file_once(self, group: Sequence[_Pending]) -> bool:
        """Whether it is done: as steps 1 to 3 of this file's head."""
        self._files_made += 1
        name = f"{self._prefix}{self._worker}-{self._files_made}.jsonl"
        data = b"".join(pending.line for pending in group)
        uploaded = await self._api.upload(name, data)
        marks = frozenset().union(*(pending.marks for pending in group))
        await self._look()
        rival = await self._has_rival(marks)
        held = self._index.held(marks)
        in_jobs = [pending for pending in group if not held.isdisjoint(pending.marks)]
        for pending in in_jobs:
            self._drop(pending)
        if rival or in_jobs:
            await self._api.delete(uploaded.id)
            if rival:
                await self._clock.sleep(self._rng.uniform(0.1, 1.0) * max(0.1, min(5.0, self._pace.orphan_s)))
            return len(in_jobs) == len(group)
        job = await self._create(uploaded, group)
        if job is None:
            return False
        self._index.begun(job, marks)
        self._own[job.id] = {pending.custom_id: pending.reserved for pending in group}
        metrics.LANE_JOBS.labels("created").inc()
        for pending in group:
            self._forget(pending)
        self._next_look_s = min(self._next_look_s, self._clock.monotonic() + self._pace.poll_s_min)
        return True

    async def _has_rival(self, marks: Collection[int]) -> bool:
        """Whether another worker is about to ask the same. Deletes the inputs of workers that are gone."""
        mine = f"{self._prefix}{self._worker}-"
        in_jobs = {known.job.input_file_id for known in self._index.jobs.values()}
        fenced = rival = False
        for file in await self._api.files(self._prefix):
            if file.name.startswith(mine) or file.id in in_jobs:
                continue
            if self._clock.time() - file.created_s > self._pace.orphan_s:
                fenced = await self._api.delete(file.id) or fenced
            elif not rival:
                rival = not (await self._marks_of(file.id) or frozenset()).isdisjoint(marks)
        if fenced:  # a job may have been made of it just before
            await self._look()
        return rival

    async def _create(self, uploaded: Uploaded, group: Sequence[_Pending]) -> Job | None:
        """None where there is no such job, and never will be."""
        deadline_ms = int(min(pending.deadline_s for pending in group) * 1000)
        metadata = {
            "made_by": _MADE_BY,
            "scope": self._scope,
            "worker": self._worker,
            "stream": group[0].stream,
            "tier": group[0].tier,
            "deadline_ms": str(deadline_ms),
        }
        try:
            return await self._api.create(uploaded.id, metadata)
        except Unsure as error:
            log.warning("it is not known whether a Batch job was made (%s): looking", error)
        except SluiceError:
            await self._api.delete(uploaded.id)
            raise
        pause_s = min(1.0, self._pace.orphan_s / 8)
        for last in (False, False, False, True):
            await self._clock.sleep(pause_s)
            pause_s *= 2
            if last:
                await self._api.delete(uploaded.id)  # now it cannot begin any more
            await self._look()
            for known in self._index.jobs.values():
                if known.job.input_file_id == uploaded.id:
                    return known.job
        return None

    @property
    def _prefix(self) -> str:
        return f"sluice-{self._scope}-"

    # --- looking ----------------------------------------------------------------------------------

    async def _look_if_stale(self) -> None:
        if self._looked_s is None or self._clock.monotonic() - self._looked_s > self._pace.stale_s:
            asked_s = self._clock.monotonic()
            async with self._looking:
                if self._looked_s is None or self._looked_s < asked_s:
                    await self._look_now()

    async def _look(self) -> None:
        async with self._looking:
            await self._look_now()

    async def _look_now(self) -> None:
        """At all jobs of this installation: reads the inputs of those that are new, the outputs of those that ended."""
        began_s = self._clock.monotonic()
        jobs = await self._ours()
        inputs = await self._new_inputs(jobs)
        if None in inputs.values():  # deleted since by who has settled the job: it has ended
            jobs = await self._ours()
            inputs = await self._new_inputs(jobs)
        for job in reversed(jobs):  # those that ended last are read last, and held longest
            known = self._index.jobs.get(job.id)
            if job.under_way:
                if known is None:
                    self._index.begun(job, inputs.get(job.id) or ())
                else:
                    known.job = job
            elif self._index.wants(job):
                if known is not None:
                    metrics.LANE_JOBS.labels(job.status).inc()
                if job.status == "failed":
                    log.warning("Batch job %s of stream '%s' failed: %s", job.id, job.metadata.get("stream"), job.why)
                    if known is not None and not job.queue_full:
                        self._index.fail(known.marks)  # another job would fare no better
                await self._read(job)
        self._index.keep({job.id for job in jobs} | self._own.keys())  # a new one may not be in the list yet
        under_way = [job for job in jobs if job.under_way]
        metrics.LANE_JOBS_OPEN.set(len(under_way))
        self._looked_s = began_s
        youngest_s = min((self._clock.time() - job.created_s for job in under_way), default=0.0)
        wait_s = min(max(youngest_s / 10, self._pace.poll_s_min), self._pace.poll_s_max)
        self._next_look_s = self._clock.monotonic() + wait_s

    async def _ours(self) -> list[Job]:
        """The jobs of this installation: those under way, then the others, the newest first."""
        since_s = self._clock.time() - limits.BATCH_FILES_SECONDS
        mine = {"made_by": _MADE_BY, "scope": self._scope}
        jobs = [job for job in await self._api.jobs(since_s) if mine.items() <= job.metadata.items()]
        return sorted(jobs, key=lambda job: not job.under_way)[: limits.BATCH_JOBS_MAX]

    async def _new_inputs(self, jobs: Sequence[Job]) -> dict[str, frozenset[int] | None]:
        """Of jobs under way that were not known, what is in them; None where the input is gone."""
        new = [job for job in jobs if job.under_way and job.id not in self._index.jobs]
        return {job.id: await self._marks_of(job.input_file_id) for job in new}

    async def _marks_of(self, file_id: str) -> frozenset[int] | None:
        """Of all names in an input; None where it is gone."""
        marks: set[int] = set()

        def read(line: bytes) -> None:
            if (asked := read_input(line)) is not None:
                marks.update(mark_of(asked.stream, name) for name in (asked.custom_id, *asked.about))

        return frozenset(marks) if await self._api.lines(file_id, read) else None

    async def _results(self, job: Job) -> Mapping[str, Result]:
        """Of a job that ended, by every name; read again where they are not held any more."""
        if (held := self._index.results(job.id)) is None:
            async with self._looking:
                if (held := self._index.results(job.id)) is None:  # nobody has read it meanwhile
                    await self._read(job)
                    held = self._index.results(job.id)
        return held or {}

    async def _read(self, job: Job) -> None:
        """Reads the results of a job that ended; they are held then."""
        results: dict[str, Result] = {}

        def read(line: bytes) -> None:
            if (result := read_output(line)) is not None:
                results[result.custom_id] = result

        for file_id in (job.output_file_id, job.error_file_id):
            if file_id is not None:
                await self._api.lines(file_id, read)
        self._index.ended(job, results.values())

    # --- ending -----------------------------------------------------------------------------------

    async def _cancel_late(self) -> None:
        """Ends the jobs whose first deadline nears; what they have done by then is used."""
        now_s = self._clock.time()
        for known in list(self._index.jobs.values()):
            deadline_ms = known.job.metadata.get("deadline_ms", "")
            if not deadline_ms.isdigit() or known.job.status not in ("validating", "in_progress"):
                continue
            if int(deadline_ms) / 1000 - now_s < self._pace.cancel_s:
                metrics.LANE_FALLBACKS.labels("batch", "cancelled").inc()
                await self._api.cancel(known.job.id)
                self._next_look_s = self._clock.monotonic() + self._pace.poll_s_min

    async def _settle_ended(self) -> None:
        """Enters the jobs that ended into the ledger: this worker's own, and those that their workers have left."""
        for known in list(self._index.jobs.values()):
            left_s = self._clock.time() - (known.job.ended_s or 0.0)
            if known.read and (known.job.id in self._own or left_s >= self._pace.adopt_s):
                await self._settle(known.job)

    async def _settle(self, job: Job) -> None:
        """Enters one into the ledger, unless another worker has done so, and gives back what was set aside for it."""
        async with self._settling:
            known = self._index.jobs.get(job.id)
            if known is None or known.settled:
                return
            rest = iter(set((await self._results(job)).values()))
            first = await self._api.delete(job.input_file_id)
            known.settled = True
            reserved = self._own.get(job.id, {})

            def enter(results: Iterable[Result]) -> bool:
                """Whether there was one."""
                entered = 0
                for result in results:
                    entered += 1
                    cost = self._enter(job, result) if first else self._bill(job, result).usd_micros
                    if result.custom_id in reserved:
                        reserved.pop(result.custom_id).settle(cost)
                return entered > 0

            try:
                while enter(itertools.islice(rest, limits.BATCH_ENTRIES_MAX)):
                    await self._clock.sleep(limits.BATCH_ENTRIES_SECONDS)
            finally:
                enter(rest)  # cancelled: who has deleted the input enters all of it
                for left in reserved.values():
                    left.settle(0)
                self._own.pop(job.id, None)

    def _enter(self, job: Job, result: Result) -> int:
        """One request's cost, in micro-dollars. One that was never worked on cost nothing and is no call."""
        bill = self._bill(job, result)
        if result.status:
            route = self._routes[self._tier(job)]
            context = Context(
                tier=route.tier,
                stream=job.metadata.get("stream", ""),
                tenant=result.tenant,
                purpose=result.purpose,
                messages=result.messages,
            )
            took_s = max(0.0, (job.ended_s or job.created_s) - job.created_s)
            self._ledger.enter(route, context, bill, result.custom_id, took_s * 1000)
        return bill.usd_micros

    def _bill(self, job: Job, result: Result) -> Bill:
        bill = Bill(0, status=result.status, lane="batch")
        if (reading := result.reading) is not None:
            bill.tokens = reading.tokens or Tokens()
            bill.usd_micros = self._routes[self._tier(job)].prices["batch"].cost_micros(bill.tokens)
            bill.service_tier, bill.simulated = reading.service_tier, reading.simulated
        return bill

    def _answer(self, result: Result, known: Known) -> Answer | None:
        tier = self._tier(known.job)
        route = self._routes[tier]
        if result.reading is None:
            return None
        reading = result.reading
        if reading.refusal is not None:
            raise AnswerRefused(f"{route.model} declined to answer: {reading.refusal[:300]}")
        bill = self._bill(known.job, result)
        return Answer(
            text=reading.text if route.server.dialect.schemas == "strict" else wire.bare_json(reading.text),
            model=reading.model or route.model,
            tokens=bill.tokens,
            cost_usd_micros=bill.usd_micros,
            call_id=result.custom_id,
            latency_ms=max(0.0, (known.job.ended_s or known.job.created_s) - known.job.created_s) * 1000,
            complete=reading.complete,
            lane="batch",
            about=result.about,
            note=result.note,
            sure=reading.sure,
        )

    def _tier(self, job: Job) -> Tier:
        told = job.metadata.get("tier")
        return next((tier for tier in self._routes if tier == told), next(iter(self._routes)))

    def _again_s(self, job: Job) -> float:
        """Until somebody should look for an answer: later and later, and in time for its deadline."""
        now_s = self._clock.time()
        again_s = min(max((now_s - job.created_s) / 2, self._pace.again_s_min), self._pace.again_s_max)
        deadline_ms = job.metadata.get("deadline_ms", "")
        if deadline_ms.isdigit():
            left_s = int(deadline_ms) / 1000 - now_s - limits.PARK_SECONDS_MAX - limits.BATCH_LATE_SECONDS
            again_s = max(self._pace.again_s_min, min(again_s, left_s))
        return again_s

    def _bare(self, ask: Ask) -> Json:
        """The request without what does not change its answer."""
        route = self._routes[ask.tier]
        vendor = route.server.dialect.vendor
        request = wire.write(ask, route.model, "responses", vendor, "batch", logprobs=route.logprobs)
        return adapt(request, route.server.dialect)

    def _drop(self, pending: _Pending) -> None:
        """It goes into no job of ours."""
        pending.reserved.settle(0)
        self._forget(pending)

    def _forget(self, pending: _Pending) -> None:
        if self._pending.pop(pending.custom_id, None) is not None:
            self._pending_bytes -= len(pending.line)
            for mark in pending.marks:
                self._pending_marks.pop(mark, None)
            metrics.LANE_WAITING.set(len(self._pending))
