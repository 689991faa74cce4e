"""Starting tasks in a group that may be ending."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def spawn(
    tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str | None = None
) -> asyncio.Task[None] | None:
    """Starts `work` in the group. None where the group is ending: it takes nothing more, and before Python 3.13 it
    leaves the coroutine to its garbage collector, which complains."""
    try:
        return tasks.create_task(work, name=name)
    except RuntimeError:
        work.close()
        return None
