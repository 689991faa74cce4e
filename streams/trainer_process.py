"""A student is taught in a process of its own: it takes a core for up to a minute, and its memory goes with it.

`python -m streams.trainer_process` reads the lessons as JSON and writes the student's version, a line feed and its
bytes; nothing where the lessons are too few of their kinds.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from streams.trainer_lessons import Lesson
from topics import limits

_NICENESS = 10  # whoever decides messages on the same machine goes first
_ERROR_CHARS_MAX = 2_000


class Taught(NamedTuple):
    """A new student."""

    version: str
    dump: bytes


class TrainingFailed(Exception):
    """The process ended with an error, or was ended because it took too long. The message says which."""


async def teach(labels: Sequence[str], lessons: Sequence[Lesson], seed: int) -> Taught | None:
    """None where the lessons are too few of their kinds. Raises TrainingFailed. Cancelled, it leaves no process."""
    told = await asyncio.to_thread(
        orjson.dumps, {"labels": labels, "lessons": [tuple(each) for each in lessons], "seed": seed}
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limits.STUDENT_TRAINING_SECONDS_MAX):
            answer, error = await process.communicate(told)
    except TimeoutError:
        raise TrainingFailed(f"it took longer than {limits.STUDENT_TRAINING_SECONDS_MAX:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise TrainingFailed(f"exit code {process.returncode}: {error.decode(errors='replace')[-_ERROR_CHARS_MAX:]}")
    version, _, dump = answer.partition(b"\n")
    if not answer:
        return None
    if len(dump) > limits.STUDENT_BYTES_MAX:
        raise TrainingFailed(f"the student has {len(dump):,} bytes, and at most {limits.STUDENT_BYTES_MAX:,} travel")
    return Taught(version.decode(), dump)


def main() -> None:
    """The process."""
    from processors.student.lessons import Example
    from processors.student.training import train

    os.nice(_NICENESS)
    told = orjson.loads(sys.stdin.buffer.read())
    student = train(told["labels"], [Example(*lesson) for lesson in told["lessons"]], seed=told["seed"])
    if student is not None:
        sys.stdout.buffer.write(student.version.encode() + b"\n" + student.dump())


if __name__ == "__main__":
    main()
