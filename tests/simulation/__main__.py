"""Runs schedules by hand: `python -m tests.simulation --seed 7` tells one, `--schedules 5000` runs many."""

import argparse
import sys
import time

from tests.simulation.checks import Finding, check
from tests.simulation.loop import Stuck
from tests.simulation.plan import draw
from tests.simulation.schedule import Schedule


def run(seed: int) -> tuple[Schedule, list[Finding]]:
    """One schedule, and what is wrong with it."""
    schedule = Schedule(draw(seed))
    try:
        schedule.run()
    except Stuck as stuck:
        return schedule, [Finding("stuck", str(stuck))]
    return schedule, check(schedule)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="the one schedule to run, with its history; or the first of many")
    parser.add_argument("--schedules", type=int, help="how many to run")
    arguments = parser.parse_args()
    if arguments.schedules is None:
        return _tell(arguments.seed or 0)
    return _run_many(arguments.seed or 0, arguments.schedules)


def _tell(seed: int) -> int:
    schedule, findings = run(seed)
    print(schedule.plan)
    print(*schedule.history.events, sep="\n")
    print("\n".join(map(str, findings)) or "nothing is wrong")
    return bool(findings)


def _run_many(first: int, count: int) -> int:
    began = time.process_time()
    failed = 0
    for seed in range(first, first + count):
        _, findings = run(seed)
        failed += bool(findings)
        for finding in findings[:3]:
            print(f"seed {seed}: {finding}", flush=True)
    minutes = (time.process_time() - began) / 60
    print(f"{count} schedules, {failed} failed; {count / minutes:,.0f} a minute of one core")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
