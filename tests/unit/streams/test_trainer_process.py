"""A student is really taught, in a process that ends whatever happens."""

import asyncio
import sys

import pytest

from processors.student.student import Student
from streams.trainer_lessons import Lesson
from streams.trainer_process import TrainingFailed, teach
from topics import limits

LABELS = ("alert", "routine")
LESSONS = [
    Lesson(f"{'the disk fails with an error' if n % 2 else 'all is well and quiet'} {n % 7}", LABELS[(n + 1) % 2], 1.0)
    for n in range(400)
]


async def test_it_learns_and_has_the_version_that_it_says() -> None:
    taught = await teach(LABELS, LESSONS, seed=1)
    assert taught is not None
    student = Student.load(taught.dump)
    assert student.version == taught.version
    assert [label for label, _ in student.judge(["the disk fails", "well and quiet"])] == ["alert", "routine"]


async def test_too_few_lessons_teach_nothing() -> None:
    assert await teach(LABELS, LESSONS[:9], seed=1) is None


async def test_what_goes_wrong_in_it_is_told() -> None:
    with pytest.raises(TrainingFailed, match="exit code 1: "):
        await teach(LABELS, LESSONS, seed=-1)


async def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STUDENT_TRAINING_SECONDS_MAX", 0.01)
    with pytest.raises(TrainingFailed, match="longer"):
        await teach(LABELS, LESSONS, seed=1)


async def test_one_that_is_not_wanted_any_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()
    execute = asyncio.create_subprocess_exec

    async def remember(*command: str, **settings: int) -> asyncio.subprocess.Process:
        process = await execute(sys.executable, "-c", "import time; time.sleep(600)", **settings)  # type: ignore[arg-type]
        started.set_result(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remember)
    teaching = asyncio.ensure_future(teach(LABELS, LESSONS, seed=1))
    process = await started
    teaching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await teaching
    assert process.returncode is not None
