"""Which message is in which Batch job, and the answers of the jobs that were read last."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from processors.gateway.batch_api import Job
from processors.gateway.batch_lines import Result, mark_of
from topics.limits import BATCH_FAILED_MAX, BATCH_JOBS_MAX, BATCH_NAMES_MAX, BATCH_READ_REQUESTS_MAX


@dataclass(slots=True, eq=False)
class Known:
    """One job of ours. `marks`: of what is in it while it is under way, of what was answered once it has ended."""

    job: Job
    marks: frozenset[int]
    read: bool = False  # it has ended and its files were read
    settled: bool = False  # its cost is in the ledger, by this worker or another

    @property
    def stream(self) -> str:
        return self.job.metadata.get("stream", "")


class Index:
    """The jobs of one installation at one provider. Bounded: of those that are done with, the oldest are forgotten
    first."""

    def __init__(self) -> None:
        self.jobs: dict[str, Known] = {}
        self._results: OrderedDict[str, Mapping[str, Result]] = OrderedDict()  # by job, then by any name in it
        self._requests: dict[str, int] = {}  # that each of these jobs had
        self._failed: OrderedDict[int, None] = OrderedDict()  # marks
        self._let_go: set[str] = set()  # jobs that ended and were forgotten, as long as the provider lists them

    @property
    def has_room(self) -> bool:
        """Whether another job may be begun, and all of them stay known until their answers were used."""
        under_way = [known for known in self.jobs.values() if known.job.under_way]
        names = sum(len(known.marks) for known in under_way)
        return len(under_way) < BATCH_JOBS_MAX // 2 and names < BATCH_NAMES_MAX // 2

    def begun(self, job: Job, marks: Iterable[int]) -> None:
        self.jobs[job.id] = Known(job, frozenset(marks))
        self._bound()

    def ended(self, job: Job, results: Collection[Result]) -> None:
        """A job whose files were read."""
        known = self.jobs.setdefault(job.id, Known(job, frozenset()))
        stream = job.metadata.get("stream", "")
        good = [result for result in results if result.answered]
        marks = frozenset(mark_of(stream, name) for result in good for name in (result.custom_id, *result.about))
        if job.status != "failed":  # before any of it was tried
            self.fail(known.marks - marks)  # a line that failed does not say what it was about
            self.fail(mark_of(stream, result.custom_id) for result in results if not result.answered)
        known.job, known.marks, known.read = job, marks, True
        self._results[job.id] = {name: result for result in results for name in (*result.about, result.custom_id)}
        self._results.move_to_end(job.id)
        self._requests[job.id] = len(results)
        while len(self._results) > 1 and sum(self._requests.values()) > BATCH_READ_REQUESTS_MAX:
            del self._requests[self._results.popitem(last=False)[0]]
        self._bound()

    def find(self, mark: int) -> Known | None:
        """The job that a name is in, the one with answers first."""
        found = [known for known in self.jobs.values() if mark in known.marks]
        return max(found, key=lambda known: known.read, default=None)

    def held(self, marks: frozenset[int]) -> frozenset[int]:
        """Those that are in a job. A file has up to 100,000: one by one they would hold up the event loop."""
        return frozenset().union(*(marks & known.marks for known in self.jobs.values()))

    def results(self, job_id: str) -> Mapping[str, Result] | None:
        """None where they are not held any more."""
        if job_id in self._results:
            self._results.move_to_end(job_id)
        return self._results.get(job_id)

    def fail(self, marks: Iterable[int]) -> None:
        """These were tried in a job and came back without an answer."""
        self._failed.update(dict.fromkeys(marks))
        while len(self._failed) > BATCH_FAILED_MAX:
            self._failed.popitem(last=False)

    def failed(self, marks: Iterable[int]) -> bool:
        """Whether one of them was."""
        return any(mark in self._failed for mark in marks)

    def keep(self, job_ids: Collection[str]) -> None:
        """Forgets all other jobs."""
        for job_id in self.jobs.keys() - job_ids:
            self._forget(job_id)
        self._let_go.intersection_update(job_ids)

    def wants(self, job: Job) -> bool:
        """Whether a job that ended has to be read."""
        known = self.jobs.get(job.id)
        return job.id not in self._let_go if known is None else not known.read

    def _bound(self) -> None:
        names = sum(len(known.marks) for known in self.jobs.values())
        order = sorted(self.jobs.values(), key=lambda one: (one.job.under_way, not one.settled, one.job.created_s))
        for known in order:
            if len(self.jobs) <= BATCH_JOBS_MAX and names <= BATCH_NAMES_MAX:
                break
            names -= len(known.marks)
            self._forget(known.job.id)
            if not known.job.under_way:  # read again, it would push out another
                self._let_go.add(known.job.id)

    def _forget(self, job_id: str) -> None:
        del self.jobs[job_id]
        self._results.pop(job_id, None)
        self._requests.pop(job_id, None)
