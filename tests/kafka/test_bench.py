"""The bench believes no program: what it wrote is read back before a figure is told."""

import sys
from pathlib import Path

import pytest

from bench import programs
from bench.trials import Line, Trials
from local.kafka import LocalKafka

FORGETFUL = """
import asyncio
from bench.peers import job, raw

decide = job.Memory.decide
job.Memory.decide = lambda self, topic, partition, offset, *rest: decide(self, topic, partition, max(offset, 1), *rest)
asyncio.run(raw.main(job.Task.told()))
"""
MESSAGES = 3_000

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="programs are observed through /proc")


def test_a_program_that_writes_every_output_once_is_measured_and_another_is_not(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    said: list[str] = []
    trials = Trials(kafka.bootstrap_servers, tmp_path, said.append)
    done = trials.run(Line("honest", programs.aiokafka(), "send", "at least once", MESSAGES), 1)
    assert done is not None
    assert min(done.per_s, done.cpu_us_each, done.rss_mb_max) > 0
    forgetful = [sys.executable, "-c", FORGETFUL]
    assert trials.run(Line("forgetful", forgetful, "send", "at least once", MESSAGES), 1) is None
    assert "forgetful, 1 partition: failed. 1 outputs are missing, 1 too many." in said[-1]
