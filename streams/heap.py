"""The heap of a worker, which makes thousands of short-lived objects a second and drops them a batch at a time."""

import ctypes
import gc
import sys

from topics.limits import MIB

# glibc's parameters (malloc.h), and what a worker sets them to
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MALLOPT = (
    (_M_TRIM_THRESHOLD, 64 * MIB),  # so much may stay unused at the heap's end; what is beyond goes back to the system
    (_M_TOP_PAD, 4 * MIB),  # the heap grows by so much at once
    (_M_MMAP_THRESHOLD, 8 * MIB),  # a larger block is the system's own; set, as glibc stops adjusting it by itself
)
_COLLECT_AFTER_OBJECTS = 20_000  # more than a poll makes: most die by their reference count before anyone looks


def suit_batches() -> None:
    """Called once, in a process that is a worker and nothing else, when it is ready to work."""
    keep_pages()
    gc.collect()
    gc.freeze()  # what is there now stays: no collection looks at it again
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 10, 10)


def keep_pages() -> bool:
    """Keeps freed memory for the next batch, whose pages would have to be faulted in anew. Whether the C library is
    one that can be told: glibc is, others are left alone."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _MALLOPT)
