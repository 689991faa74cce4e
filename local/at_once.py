"""Work on several cores at a time, in processes that end with the one that began them."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def processes() -> ProcessPoolExecutor:
    """As many as there are cores. One that works on when its parent was killed would work for nobody."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(os.cpu_count(), mp_context=spawn, initializer=_end_with_parent)


def _end_with_parent() -> None:
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a process of the pool has one"
    parent.join()
    os._exit(1)
