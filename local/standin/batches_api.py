"""`/v1/batches`: jobs of many requests at half the price, done some time later. One task a job."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from local.standin import batch_input, chat_api, responses_api
from local.standin.batch_input import Line
from local.standin.batch_job import WINDOW_SECONDS, Job
from local.standin.faults import Faults
from local.standin.files_api import Files, expiry, page
from local.standin.problems import Problem, invalid
from processors.clock import Clock

PATH = "/v1/batches"
ENDPOINTS = (responses_api.PATH, chat_api.PATH)
JOBS_MAX = 10_000
STEPS_MAX = 50  # a job's time passes in so many parts
_METADATA_MAX, _KEY_CHARS_MAX, _VALUE_CHARS_MAX = 16, 64, 512


@dataclass(frozen=True, slots=True)
class Done:
    """One line that was worked on: an HTTP status and its body, and the tokens that were paid."""

    status: int
    body: dict[str, Any]
    tokens: tuple[int, int, int] = (0, 0, 0)  # input, cached, output


Answering = Callable[[str, Line], Awaitable[Done]]
"""Answers one line, given the endpoint."""
Weighing = Callable[[str, list[Line]], int]
"""The tokens that lines take from their model's queue, given the endpoint. Raises Problem: no such model."""


class Batches:
    """All jobs of the stand-in's one project. `seconds` is how long a job takes from its creation to its end."""

    def __init__(
        self,
        files: Files,
        faults: Faults,
        clock: Clock,
        *,
        seconds: float,
        queue_tokens: int,
        answer: Answering,
        weigh: Weighing,
    ) -> None:
        self._files = files
        self._faults = faults
        self._clock = clock
        self._seconds = seconds
        self._queue_tokens = queue_tokens
        self._answer = answer
        self._weigh = weigh
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begins a job. What is wrong with its file is told later, by the job. Raises Problem."""
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not isinstance(body.get(name), str):
                raise invalid(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
        if body["endpoint"] not in ENDPOINTS:
            raise _no_choice("endpoint", body["endpoint"], ENDPOINTS)
        if body["completion_window"] != "24h":
            raise _no_choice("completion_window", body["completion_window"], ("24h",))
        if self._files.get(body["input_file_id"]).purpose != "batch":
            raise invalid("The input file's purpose must be 'batch'.", param="input_file_id", code="invalid_purpose")
        if len(self._jobs) >= JOBS_MAX:
            raise invalid("This simulated provider has as many jobs as it keeps.")
        after = body.get("output_expires_after")
        number = next(self._numbers)
        job = Job(
            id=f"batch_{number:032x}",
            number=number,
            endpoint=body["endpoint"],
            input_file_id=body["input_file_id"],
            metadata=_metadata(body.get("metadata")),
            output_seconds=None if after is None else expiry(after.get("anchor"), after.get("seconds")),
            created_s=self._clock.time(),
        )
        self._jobs[job.id] = job
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job.rendered()

    def get(self, job_id: str) -> dict[str, Any]:
        """Raises Problem where it is not there."""
        return self._job(job_id).rendered()

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The list, newest first. Raises Problem."""
        newest = sorted(self._jobs.values(), key=lambda job: job.number, reverse=True)
        return page([job.rendered() for job in newest], query, 20, 100)

    def cancel(self, job_id: str) -> dict[str, Any]:
        """It ends at its next step, with what is done. Raises Problem where it has ended."""
        job = self._job(job_id)
        if job.status not in ("validating", "in_progress", "finalizing", "cancelling"):
            raise Problem(
                409,
                f"Cannot cancel a batch with status '{job.status}'.",
                type="invalid_request_error",
                code="invalid_status",
            )
        if job.status != "cancelling":
            job.become("cancelling", self._clock.time())
        return job.rendered()

    async def close(self) -> None:
        """Abandons the jobs under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise Problem(404, f"No batch found with id '{job_id}'.", type="invalid_request_error", param="batch_id")
        return self._jobs[job_id]

    async def _run(self, job: Job) -> None:
        await asyncio.sleep(0)
        lines = self._validated(job)
        if lines is None:
            job.become("failed", self._clock.time())
            return
        if job.status == "validating":
            job.become("in_progress", self._clock.time())
        if self._faults.strike(job.model or "", ("batch_expired",)):
            job.lines_max = len(lines) // 2
        steps = min(STEPS_MAX, len(lines))
        outputs, errors, done = bytearray(), bytearray(), 0
        for step in range(steps):
            await self._pass_time(self._seconds / (steps + 1))
            end = len(lines) * (step + 1) // steps
            while done < end and job.status == "in_progress" and not self._over(job, done):
                status = await self._do(job, lines[done], outputs, errors)
                job.completed += status
                job.failed += not status
                done += 1
            if job.status == "cancelling" or self._over(job, done):
                break
        cancelled, expired = job.status == "cancelling", done < len(lines)
        if not (cancelled or expired):
            job.become("finalizing", self._clock.time())
        await self._pass_time(self._seconds / (steps + 1))
        code = "batch_cancelled" if cancelled else "batch_expired"
        why = "This request was not executed because the batch was cancelled."
        if not cancelled:
            why = "This request could not be executed before the completion window expired."
        for line in lines[done:]:
            errors += _line(job, line, None, {"code": code, "message": why})
        job.output_file_id = self._write(job, "output", outputs)
        job.error_file_id = self._write(job, "error", errors)
        job.queued_tokens = 0
        job.become("cancelled" if cancelled else "expired" if expired else "completed", self._clock.time())

    def _validated(self, job: Job) -> list[Line] | None:
        try:
            found = batch_input.read(self._files.get(job.input_file_id).data, job.endpoint)
            if not found.errors and self._faults.strike(found.model, ("batch_refused",)):
                found.wrong("token_limit_exceeded", f"Enqueued token limit reached for {found.model}.")
            if not found.errors and self._faults.strike(found.model, ("batch_invalid",)):
                found.wrong("invalid_request", "The input file cannot be used.")
            if not found.errors:
                job.model, job.total = found.model, len(found.lines)
                queued = sum(other.queued_tokens for other in self._jobs.values() if other.model == job.model)
                job.queued_tokens = self._weigh(job.endpoint, found.lines)
                if queued + job.queued_tokens > self._queue_tokens:
                    found.wrong(
                        "token_limit_exceeded",
                        f"Enqueued token limit reached for {job.model}. Limit: {self._queue_tokens} enqueued tokens. "
                        "Please try again once some in_progress batches have been completed.",
                    )
        except Problem as problem:
            error = problem.body()["error"]
            job.errors = [{"code": error["code"], "message": error["message"], "line": None, "param": error["param"]}]
            return None
        if found.errors:
            job.queued_tokens, job.errors = 0, found.errors
            return None
        return found.lines

    async def _do(self, job: Job, line: Line, outputs: bytearray, errors: bytearray) -> bool:
        """Whether the line was answered well."""
        done = await self._answer(job.endpoint, line)
        job.input_tokens += done.tokens[0]
        job.cached_tokens += done.tokens[1]
        job.output_tokens += done.tokens[2]
        good = done.status == 200
        (outputs if good else errors).extend(_line(job, line, done, None))
        return good

    def _over(self, job: Job, done: int) -> bool:
        late = self._clock.time() >= job.created_s + WINDOW_SECONDS
        return late or (job.lines_max is not None and done >= job.lines_max)

    def _write(self, job: Job, kind: str, data: bytearray) -> str | None:
        if not data:
            return None
        return self._files.add(f"{job.id}_{kind}.jsonl", "batch_output", bytes(data), job.output_seconds).id

    async def _pass_time(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)


def _no_choice(name: str, value: str, choices: tuple[str, ...]) -> Problem:
    return invalid(
        f"Invalid value: '{value}'. Supported values are: {', '.join(choices)}.", param=name, code="invalid_value"
    )


def _metadata(given: Any) -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or len(given) > _METADATA_MAX:
        raise invalid(f"Invalid 'metadata': expected an object of at most {_METADATA_MAX} pairs.", param="metadata")
    for key, value in given.items():
        if not isinstance(value, str) or len(key) > _KEY_CHARS_MAX or len(value) > _VALUE_CHARS_MAX:
            raise invalid(
                f"Invalid 'metadata.{key[:_KEY_CHARS_MAX]}': expected a string of at most {_VALUE_CHARS_MAX} "
                f"characters under a name of at most {_KEY_CHARS_MAX}.",
                param="metadata",
            )
    return dict(given)


def _line(job: Job, line: Line, done: Done | None, error: dict[str, str] | None) -> bytes:
    """One line of the output or error file."""
    request_id = f"{job.id[-8:]}_{line.custom_id[:40]}"
    response = None if done is None else {"status_code": done.status, "request_id": request_id, "body": done.body}
    rendered = {"id": f"batch_req_{request_id}", "custom_id": line.custom_id, "response": response, "error": error}
    return orjson.dumps(rendered) + b"\n"
