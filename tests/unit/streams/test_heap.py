"""A worker's heap keeps its pages and is seldom searched for garbage."""

import platform
import subprocess
import sys

import pytest

from streams import heap

FAULTS = """
import resource
from streams import heap
{keep}
def batch():
    blocks = [bytes(1_000) for _ in range(8_000)]
for _ in range(3):
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
SETTINGS = """
import gc
from streams import heap
heap.suit_batches()
print(gc.get_freeze_count() > 1_000, gc.get_threshold()[0])
"""


def output_of(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_pages_are_not_faulted_in_anew_for_each_batch() -> None:
    """8 MB a batch have 2,000 pages."""
    assert int(output_of(FAULTS.format(keep="assert heap.keep_pages()"))) < 1_000
    assert int(output_of(FAULTS.format(keep=""))) > 10_000  # else this test shows nothing


def test_what_is_there_at_the_start_is_not_searched_again() -> None:
    assert output_of(SETTINGS) == f"True {heap._COLLECT_AFTER_OBJECTS}"


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert heap.keep_pages() is False
