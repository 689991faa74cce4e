"""Which message is in which Batch job, and the answers of the jobs that were read last."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from processors.gateway.batch_api import Job
from processors.gateway.batch_lines import Result, mark_of
from topics.limits import BATCH_FAILED_MAX, BATCH_JOBS_MAX, BATCH_NAMES_MAX, BATCH_READ_JOBS_MAX


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
    """The jobs of one installation at one provider. Bounded: the oldest are forgotten first."""

    def __init__(self) -> None:
        self.jobs: dict[str, Known] = {}
        self._results: OrderedDict[str, Mapping[str, Result]] = OrderedDict()  # by job, then by any name in it
        self._failed: OrderedDict[str, None] = OrderedDict()  # custom_ids

    def begun(self, job: Job, marks: Iterable[int]) -> None:
        self.jobs[job.id] = Known(job, frozenset(marks))
        self._bound()

    def ended(self, job: Job, results: Collection[Result]) -> None:
        """A job whose files were read."""
        known = self.jobs.setdefault(job.id, Known(job, frozenset()))
        stream = job.metadata.get("stream", "")
        good = [result for result in results if result.answered]
        marks = frozenset(mark_of(stream, name) for result in good for name in (result.custom_id, *result.about))
        known.job, known.marks, known.read = job, marks, True
        for result in results:
            if not result.answered:
                self.fail(result.custom_id)
        self._results[job.id] = {name: result for result in results for name in (*result.about, result.custom_id)}
        self._results.move_to_end(job.id)
        while len(self._results) > BATCH_READ_JOBS_MAX:
            self._results.popitem(last=False)
        self._bound()

    def find(self, mark: int) -> Known | None:
        """The job that a name is in, the one with answers first."""
        found = [known for known in self.jobs.values() if mark in known.marks]
        return max(found, key=lambda known: known.read, default=None)

    def holds(self, marks: Iterable[int]) -> bool:
        return any(self.find(mark) is not None for mark in marks)

    def results(self, job_id: str) -> Mapping[str, Result] | None:
        """None where they are not held any more."""
        if job_id in self._results:
            self._results.move_to_end(job_id)
        return self._results.get(job_id)

    def fail(self, custom_id: str) -> None:
        """It was tried in a job and came back without an answer."""
        self._failed[custom_id] = None
        while len(self._failed) > BATCH_FAILED_MAX:
            self._failed.popitem(last=False)

    def failed(self, custom_id: str) -> bool:
        return custom_id in self._failed

    def keep(self, job_ids: Collection[str]) -> None:
        """Forgets all other jobs."""
        for job_id in self.jobs.keys() - job_ids:
            self._forget(job_id)

    def _bound(self) -> None:
        names = sum(len(known.marks) for known in self.jobs.values())
        oldest = sorted(self.jobs.values(), key=lambda known: known.job.created_s)
        for known in oldest:
            if len(self.jobs) <= BATCH_JOBS_MAX and names <= BATCH_NAMES_MAX:
                break
            names -= len(known.marks)
            self._forget(known.job.id)

    def _forget(self, job_id: str) -> None:
        del self.jobs[job_id]
        self._results.pop(job_id, None)
